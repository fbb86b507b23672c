"""`kedro check-gradients` shows whether the configured model can learn, on the data of a run if any."""

import pytest
import torch
import yaml
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from gogooku_kedro.model.grn import GatedFusion
from tests.conftest import ENVIRONMENTS, ROOT, listing


@pytest.fixture
def check(monkeypatch, tmp_path):
    """The command, where no data lies unless `--params data_root=...` comes later."""
    monkeypatch.chdir(ROOT)
    nowhere = ["--params", f"data_root={tmp_path / 'data'}"]
    return lambda *arguments: CliRunner().invoke(cli, ["check-gradients", *nowhere, *arguments])


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_models_of_the_project_pass(check, env):
    result = check("--env", env)
    assert result.exit_code == 0, result.output
    *table, tried_on, verdict = result.output.splitlines()
    assert all(line.endswith("  ok") for line in table)
    assert tried_on == "tried on random numbers, as there are no features, labels and graph yet"
    assert verdict == f"all {len(table)} checks passed"


@pytest.mark.parametrize(
    "env", [pytest.param(env, marks=[pytest.mark.slow] if env == "gat_production" else []) for env in ENVIRONMENTS]
)
def test_inputs_that_do_not_vary_are_named_and_do_not_make_a_healthy_model_fail(check, monkeypatch, env):
    from gogooku_kedro.training.diagnostics import trial

    random = trial.random_chunk

    def still(params, seed):
        chunk = random(params, seed)
        x, levels, context = chunk.x.clone(), chunk.levels.clone(), chunk.context.clone()
        x[..., 2], levels[..., 1], context[..., :1] = 0.0, torch.nan, 0.0  # no context without the market gate
        return chunk._replace(x=x, levels=levels, context=context)

    monkeypatch.setattr(trial, "random_chunk", still)
    result = check("--env", env)
    assert result.exit_code == 0, result.output
    still_ones = "feature 2 (counted from 0), channel 1 (counted from 0)"
    if env in ("test", "gat_production"):  # with the market gate
        still_ones += ", market feature 0 (counted from 0)"
    assert f"; without variation there, so tried with random numbers: {still_ones}\n" in result.output


def test_a_model_that_cannot_learn_fails_with_the_names_of_the_checks(check, monkeypatch):
    fuse = GatedFusion.forward
    monkeypatch.setattr(GatedFusion, "forward", lambda self, *inputs: fuse(self, *inputs) * 0.0)
    result = check("--env", "test")
    assert result.exit_code == 1
    last = result.output.splitlines()[-1]
    assert last.startswith("Error: failed: ")
    assert "task_gradient_of_fusion" in last
    assert "FAILED: the task teaches 'fusion' nothing" in result.output


def test_nothing_is_written(check, tmp_path):
    before = listing(ROOT / "conf"), listing(ROOT / "data")
    assert check("--env", "test").exit_code == 0
    assert (listing(ROOT / "conf"), listing(ROOT / "data")) == before
    assert listing(tmp_path) == []


def test_wrong_settings_are_named_before_anything_is_built(check, tmp_path):
    conf = tmp_path / "conf"
    for folder in ("base", "local"):
        (conf / folder).mkdir(parents=True)
    for file in (ROOT / "conf" / "base").glob("*.yml"):
        (conf / "base" / file.name).write_text(file.read_text())
    settings = {"model": {"gat": {"use_in_training": False}}}
    (conf / "local" / "parameters.yml").write_text(yaml.safe_dump(settings))
    result = check("--conf-source", str(conf), "--env", "local")
    assert result.exit_code == 1
    assert result.output.startswith("Error: model.gat.use_in_training: false while")


@pytest.mark.pipeline
def test_after_a_run_its_first_training_sessions_are_used(check, finished_run):
    result = check("--env", "test", "--params", f"data_root={finished_run}")
    assert result.exit_code == 0, result.output
    assert "tried on the first 16 training sessions, 60 stocks" in result.output
