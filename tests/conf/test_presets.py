"""`preset` lays the values of one size over any environment."""

import shutil

import pytest
import yaml
from click.testing import CliRunner
from omegaconf import OmegaConf

from gogooku_kedro.cli import cli
from gogooku_kedro.config_files import ConfigFileError, ConfigLoader
from gogooku_kedro.params import PRESETS
from gogooku_kedro.settings import CONFIG_LOADER_ARGS
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ENVIRONMENTS, ROOT, settings_of


def settings(env="base", conf=ROOT / "conf", **runtime):
    return ConfigLoader(str(conf), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)["parameters"]


@pytest.fixture
def conf(tmp_path):
    return shutil.copytree(ROOT / "conf", tmp_path / "conf")


def written(preset):
    return yaml.safe_load((ROOT / "conf" / PRESETS[preset] / "parameters.yml").read_text())


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_preset_goes_with_every_environment(env, preset):
    merged = settings(env, preset=preset)
    assert configuration_problems(merged) == []
    assert OmegaConf.merge(merged, written(preset)) == merged


def test_production_on_an_own_file_keeps_what_the_file_needs():
    merged, file = settings("ohlcv", preset="production"), settings_of("ohlcv")
    model, training = merged["model"], merged["training"]
    assert (model["hidden_size"], model["window"], training["max_epochs"]) == (256, 60, 120)
    for section in ("ingestion", "features", "split", "labels"):
        assert merged[section] == file[section]
    assert merged["training"]["seeds"] == [0, 1, 2]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_no_preset_leaves_an_environment_as_it_is(env):
    assert settings(env, preset="none") == settings(env) == settings_of(env)


def test_the_template_and_the_preset_are_one_size():
    assert settings("base", preset="production") == settings("gat_production") | {"preset": "production"}


def test_the_command_line_wins_over_its_preset():
    merged = settings("ohlcv", preset="production", training={"device": "cpu", "max_epochs": 2}, model={"window": 24})
    assert (merged["training"]["device"], merged["training"]["max_epochs"], merged["model"]["window"]) == ("cpu", 2, 24)
    assert merged["model"]["hidden_size"] == 256


def test_the_keys_beside_a_preset_in_a_file_win_over_it(conf):
    (conf / "local").mkdir(exist_ok=True)
    (conf / "local/parameters.yml").write_text("preset: production\ntraining: {max_epochs: 7}\n")
    merged = settings("local", conf)
    assert (merged["model"]["hidden_size"], merged["training"]["max_epochs"]) == (256, 7)
    assert settings("local", conf, training={"max_epochs": 3})["training"]["max_epochs"] == 3
    assert settings("local", conf, preset="production")["training"]["max_epochs"] == 120


def test_the_command_line_takes_the_preset_of_a_file_away(conf):
    (conf / "local").mkdir(exist_ok=True)
    plain = settings("local", conf)
    (conf / "local/parameters.yml").write_text("preset: production\n")
    assert settings("local", conf, preset="none") == plain
    assert settings("local", conf, preset="minimal")["model"]["window"] == settings_of()["model"]["window"]


def test_an_unknown_preset_is_refused_with_the_sizes():
    (problem,) = configuration_problems(settings("ohlcv", preset="prodution"))
    assert problem == "preset: 'prodution' is no size; did you mean 'production'? Write none, minimal or production"


def test_a_configuration_without_the_folder_of_its_preset(conf):
    shutil.rmtree(conf / "gat_production")
    with pytest.raises(ConfigFileError, match=r"preset: production reads .*gat_production, which is not there"):
        settings("ohlcv", conf, preset="production")


def test_a_preset_that_cannot_be_read_is_named(conf):
    (conf / "gat_production/parameters.yml").write_text("model: [")
    with pytest.raises(ConfigFileError, match=r"gat_production.parameters\.yml, line"):
        settings("ohlcv", conf, preset="production")


def test_validate_config_says_what_it_would_run_with(monkeypatch):
    monkeypatch.chdir(ROOT)
    command = ["validate-config", "--env", "ohlcv", "--params"]
    result = CliRunner().invoke(cli, [*command, "preset=production"])
    assert result.output == "configuration of environment ohlcv with preset production is valid\n"
    assert CliRunner().invoke(cli, [*command, "preset=production,model.gat.heads=5"]).exit_code == 1
