"""Every environment composes to complete, valid settings."""

import pytest
import yaml
from pydantic import BaseModel

from gogooku_kedro.params import SECTIONS
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ENVIRONMENTS, ROOT, config_loader, settings_of

TABLES = {"ablation.variants", "tuning.spaces"}  # the user's own names


def keys(tree: dict, prefix: str = "") -> set[str]:
    """Dotted paths of all leaves and sections."""
    found = set()
    for key, value in tree.items():
        found.add(prefix + key)
        if isinstance(value, dict) and prefix + key not in TABLES:
            found |= keys(value, f"{prefix}{key}.")
    return found


def fields(section: type[BaseModel], prefix: str) -> set[str]:
    found = set()
    for name, field in section.model_fields.items():
        found.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= fields(field.annotation, f"{prefix}{name}.")
    return found


def test_the_list_of_environments_is_complete():
    folders = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert folders - {"tuned"} == {*ENVIRONMENTS, "local"}  # a tuning may have left the first


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_environment_is_valid(env):
    assert configuration_problems(settings_of(env)) == []


def test_base_writes_every_field_and_no_other():
    expected = {"preset", *SECTIONS}
    for name, section in SECTIONS.items():
        expected |= fields(section, f"{name}.")
    assert keys(config_loader()["parameters"]) == expected


@pytest.mark.parametrize("env", [env for env in ENVIRONMENTS if env != "base"])
def test_an_environment_writes_only_keys_that_base_has(env):
    written = yaml.safe_load((ROOT / f"conf/{env}/parameters.yml").read_text())
    assert keys(written) <= keys(config_loader()["parameters"])


@pytest.mark.parametrize("env", ["gat_minimal", "gat_production"])
def test_a_template_writes_the_whole_gat_section(env):
    written = yaml.safe_load((ROOT / f"conf/{env}/parameters.yml").read_text())
    assert keys(written["model"]["gat"]) == keys(config_loader()["parameters"]["model"]["gat"])


def test_an_environment_leaves_the_keys_it_does_not_write_alone():
    base, minimal = settings_of(), settings_of("gat_minimal")
    assert minimal["model"]["hidden_size"] == 16
    assert minimal["model"]["window"] == base["model"]["window"]
    assert minimal["training"]["learning_rate"] == base["training"]["learning_rate"]


def test_the_production_template_is_the_full_width_on_cuda():
    production = settings_of("gat_production")
    assert production["model"]["hidden_size"] == 256
    assert production["training"]["device"] == "cuda"
    assert production["training"]["precision"] == "bf16-mixed"
    assert production["training"]["max_epochs"] == 120
    penalties = production["model"]["gat"]["regularization"]
    assert penalties == {
        "enabled": True,
        "edge_weight_penalty": 0.01,
        "attention_entropy_penalty": 0.001,
    }


@pytest.mark.parametrize(("given", "seed"), [({}, 1), ({"market_seed": 7}, 7)])
def test_another_sample_market_is_drawn_from_the_command_line(given, seed):
    catalog = config_loader(**given)["catalog"]
    assert {catalog[name]["seed"] for name in ("raw_bars", "market_oracle", "planted_peers")} == {seed}
