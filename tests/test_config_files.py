"""`conf/local` is read over every environment, and an environment that is not there is named with the others."""

import shutil
from pathlib import Path

import pytest
import yaml

from gogooku_kedro.config_files import ConfigFileError, ConfigLoader, unknown_environment
from gogooku_kedro.settings import CONFIG_LOADER_ARGS
from tests.conftest import ROOT


@pytest.fixture
def conf(tmp_path) -> Path:
    """A copy of the configuration with settings in `local`."""
    copy = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local")))
    (copy / "local").mkdir()
    mine = {"training": {"max_epochs": 77, "seed": 5}, "model": {"hidden_size": 48}}
    (copy / "local/parameters.yml").write_text(yaml.safe_dump(mine))
    market = yaml.safe_load((copy / "base/globals.yml").read_text())["sample_market"] | {"n_codes": 9}
    (copy / "local/globals.yml").write_text(yaml.safe_dump({"sample_market": market}))
    (copy / "local/catalog.yml").write_text(yaml.safe_dump({"mine": {"type": "MemoryDataset"}}))
    return copy


def loader(conf: Path, env: str | None = None, **runtime) -> ConfigLoader:
    return ConfigLoader(str(conf), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)


@pytest.mark.parametrize("env", [None, "local", "base", "ohlcv", "gat_minimal", "gat_production"])
def test_local_is_read_over_every_environment(conf, env):
    configuration = loader(conf, env)
    parameters = configuration["parameters"]
    assert parameters["training"]["max_epochs"] == 77
    assert parameters["model"]["hidden_size"] == 48
    catalog = configuration["catalog"]
    assert {"mine", "panel"} <= set(catalog)
    assert catalog["raw_bars"].get("n_codes", 9) == 9


def test_an_environment_keeps_what_local_leaves_alone(conf):
    parameters = loader(conf, "gat_production")["parameters"]
    assert parameters["training"]["precision"] == "bf16-mixed"
    assert parameters["training"]["device"] == "cuda"


def test_the_command_line_is_read_over_local(conf):
    changed = loader(conf, "gat_minimal", training={"max_epochs": 3})["parameters"]["training"]
    assert (changed["max_epochs"], changed["seed"]) == (3, 5)


def test_the_tests_do_not_depend_on_local(conf):
    assert loader(conf, "test")["parameters"]["training"]["max_epochs"] == 2
    assert "mine" not in loader(conf, "test")["catalog"]


@pytest.mark.parametrize("env", [None, "gat_minimal"])
def test_a_checkout_without_local_is_base_and_the_environment(conf, env):
    shutil.rmtree(conf / "local")
    assert loader(conf, env)["parameters"]["training"]["max_epochs"] < 77


def test_a_misspelt_file_in_local_is_refused_with_every_environment(conf):
    (conf / "local/parameters.yml").rename(conf / "local/paramters.yml")
    with pytest.raises(ConfigFileError, match=r"paramters.yml: nothing reads a file of this name; rename it to param"):
        loader(conf, "gat_minimal")["parameters"]


def test_a_broken_file_in_local_is_named_with_every_environment(conf):
    (conf / "local/parameters.yml").write_text("training: {seed: 1")
    with pytest.raises(ConfigFileError, match=r"local/parameters.yml, line"):
        loader(conf, "gat_minimal")["parameters"]


def test_an_environment_that_is_not_there_is_named_with_the_list(conf):
    with pytest.raises(ConfigFileError) as refusal:
        loader(conf, "gat_prodction")["parameters"]
    assert str(refusal.value) == (
        f"--env gat_prodction: no such environment in {conf}; did you mean 'gat_production'? There are base, "
        f"gat_minimal, gat_production, jquants, local, ohlcv, test"
    )
    assert "nowhere: no such folder" in str(unknown_environment(conf / "nowhere", None))
