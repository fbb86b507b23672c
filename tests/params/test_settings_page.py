"""The reference of settings has every key, with a meaning, what is possible, and the value of each environment."""

import re

import pytest

from gogooku_kedro.params import SECTIONS
from gogooku_kedro.params.base import flatten
from gogooku_kedro.settings_page import possible, settings_of, settings_page, yaml_comments
from tests.conftest import ROOT
from tests.conftest import settings_of as parameters_of

PAGE = settings_page(ROOT / "conf")
ROWS = {
    key: cells
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for key, *cells in [re.split(r"(?<!\\) \| ", line[2:-2])]
}


@pytest.fixture(scope="module")
def base():
    return parameters_of("base")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_base_has_its_row(name, base):
    keys = {setting.path for setting in settings_of(name, SECTIONS[name], base)}
    written = {f"{name}.{key}" for key in flatten(base[name])}
    named = {re.sub(r"(?<=ablation\.variants\.)\w+(\.\w+).*", r"NAME\1", key) for key in written}
    named = {re.sub(r"(?<=tuning\.spaces\.)\w+\.ranges\..*(\.\w+)", r"NAME.ranges.NAME\1", key) for key in named}
    named = {re.sub(r"(?<=tuning\.spaces\.)\w+(\.sampler|\.choices\b).*", r"NAME\1", key) for key in named}
    free = {key for key in named if any(key.startswith(f"{table}.") for table in keys)}  # keys of a table of any names
    assert named - free <= keys


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_has_a_meaning(name, base):
    meanings = yaml_comments(ROOT / "conf/base")
    silent = [s.path for s in settings_of(name, SECTIONS[name], base) if not meanings.get(s.example)]
    assert silent == [], "write it behind the key in conf/base"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("model.dropout", "number, ≥ 0, < 1"),
        ("model.gat.layers", "whole number, ≥ 1, ≤ 3"),
        ("training.compile", "true, false or `auto`"),
        ("graph.max_degree", "whole number or null, > 0"),
        ("labels.entry", "`next_open`, `close`"),
        ("training.seeds", "list, each whole number"),
        ("model.quantiles", "list, each number, at least 1"),
    ],
)
def test_what_is_possible_is_said_in_words(key, says, base):
    section = key.partition(".")[0]
    (setting,) = [s for s in settings_of(section, SECTIONS[section], base) if s.path == key]
    assert possible(setting.field) == says


def test_a_row_has_the_values_of_the_environments():
    meaning, _, of_base, elsewhere = ROWS["`model.window`"]
    assert meaning == "sessions each stock looks back over"
    assert of_base == "`20`"
    assert set(elsewhere.split("<br>")) == {"gat_production: `60`", "ohlcv: `8`", "test: `8`"}
    assert "`graph.cache_dir` †" in ROWS


def test_values_are_those_that_a_run_reads():
    for environment in ("ohlcv", "gat_production"):
        read = flatten(parameters_of(environment))
        for key in ("graph.k", "training.learning_rate", "labels.entry"):
            own = re.search(rf"{environment}: `([^`]+)`", ROWS[f"`{key}`"][3])
            said = own[1] if own else ROWS[f"`{key}`"][2].strip("`")
            assert said == str(read[key])


def test_the_page_is_what_schema_and_configuration_say():
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == PAGE, "docs/settings.md is out of date: run `kedro document-settings`"
