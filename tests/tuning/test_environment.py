"""The best trial as an environment: valid, laid over that of the run, and never over what somebody wrote."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.tuning.environment import PARAMETERS, check_target, tuned_parameters
from tests.conftest import ROOT, config_loader, settings_of
from tests.tuning.conftest import tuning_params

POINT = {"model.gat.heads": 2, "model.dropout": 0.3, "training.learning_rate": 0.00001}


@pytest.fixture
def conf(tmp_path) -> Path:
    folder = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.rmtree(folder / "local", ignore_errors=True)
    (folder / "local").mkdir()
    return folder


def export(conf: Path, env: str = "base", preset: str = "none", point: Any = None, **changes: Any) -> str:
    parameters = settings_of(env, **changes)
    best = {"trial": 3, "value": 0.0123, "settings": POINT if point is None else point}
    found = {"best": best, "study": "s_1", "objective": "rank_ic", "run": {"environment": env, "preset": preset}}
    model, training = (
        ModelParams.model_validate(parameters["model"]),
        TrainingParams.model_validate(parameters["training"]),
    )
    return tuned_parameters(found, tuning_params(export_to=str(conf / "tuned")), model, training)


@pytest.mark.parametrize("env", ["base", "test", "ohlcv"])
def test_the_environment_validates_and_has_the_settings_of_the_trial(env, conf, monkeypatch):
    export(conf, env, training__max_epochs=3, training__seeds=[4, 5])
    monkeypatch.chdir(ROOT)
    arguments = ["validate-config", "--env", "tuned", "--conf-source", str(conf), "--params", "ohlcv_path=x.csv"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    found = config_loader("tuned", conf)["parameters"]
    assert (found["model"]["gat"]["heads"], found["model"]["dropout"]) == (2, 0.3)
    assert found["training"]["learning_rate"] == 0.00001
    assert (found["training"]["max_epochs"], found["training"]["seeds"]) == (3, [4, 5])  # of the run, not of a file
    of_run = config_loader(env, conf)["parameters"]
    assert {name: found[name] for name in of_run if name not in ("model", "training")} == {
        name: of_run[name] for name in of_run if name not in ("model", "training")
    }
    catalogs = [config_loader(name, conf, ohlcv_path="x.csv")["catalog"] for name in ("tuned", env)]
    assert catalogs[0] == catalogs[1]


def test_a_preset_of_the_command_line_is_in_it(conf):
    export(conf, preset="production")
    found = config_loader("tuned", conf)["parameters"]
    assert found["graph"]["window"] == settings_of("gat_production")["graph"]["window"]


def test_paths_follow_the_data_root_of_the_next_run(conf):
    export(conf, "test")
    found = config_loader("tuned", conf, data_root="/elsewhere")["parameters"]
    assert found["training"]["checkpoint_dir"].startswith("/elsewhere/")
    assert found["tuning"]["export_to"].startswith("/elsewhere/")


def test_its_own_environment_is_written_anew(conf):
    export(conf, "ohlcv")
    export(conf, "base", point={"model.dropout": 0.2})
    assert config_loader("tuned", conf)["parameters"]["model"]["dropout"] == 0.2
    assert [path.name for path in (conf / "tuned").iterdir()] == [PARAMETERS]


@pytest.mark.parametrize("accident", ["foreign", "edited", "added", "file"])
def test_what_somebody_wrote_is_never_overwritten(accident, conf):
    target = conf / "tuned"
    if accident == "file":
        target.write_text("mine")
    elif accident == "foreign":
        target.mkdir()
        (target / PARAMETERS).write_text("graph: {k: 5}\n")
    else:
        export(conf)
        path = target / (PARAMETERS if accident == "edited" else "catalog_mine.yml")
        path.write_text((path.read_text() if path.exists() else "") + "graph: {k: 5}\n")
    before = {path: path.read_text() for path in [target, *target.rglob("*")] if path.is_file()}
    with pytest.raises(ValueError, match=r"tuning\.export_to: .*tuned is there, and the tuning did not write it"):
        export(conf)
    assert {path: path.read_text() for path in before} == before
    with pytest.raises(ValueError, match=r"tuning\.export_to"):
        check_target(target)  # before anything is trained


def test_without_a_finished_trial_there_is_nothing_to_export():
    with pytest.raises(ValueError, match="no trial of the study finished"):
        tuned_parameters({"best": None}, tuning_params(), None, None)
