"""The map in CONTRIBUTING.md names files that exist, and the places that it names do what it says."""

import re
import tomllib
from pathlib import Path

import pytest

import gogooku_kedro

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"(?m)^\| (an? [\w ]+) \| (.+) \|$", PAGE))
ASKED_FOR = {"a feature", "a baseline", "a metric", "a loss", "a graph edge", "a setting", "a figure"}
PATHS = re.compile(r"`((?:src|tests|conf|docs)/[\w./]+)`")


def test_the_map_has_a_row_for_everything_that_is_added_often():
    assert set(ROWS) >= ASKED_FOR


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_map_names_files_that_exist(row):
    named = PATHS.findall(ROWS[row])
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []
    changed, _, held = ROWS[row].rpartition(" | ")
    assert PATHS.search(changed), "what is changed"
    assert any(path.startswith("tests/") for path in PATHS.findall(held)), "what holds it"


def test_every_family_has_the_tuple_that_a_feature_is_added_to():
    families = sorted((ROOT / "src/gogooku_kedro/features/families").glob("[a-z]*.py"))
    assert [path.name for path in families if "\nFEATURES = (" not in path.read_text()] == []


def test_a_file_has_the_largest_size_that_the_page_names():
    named = re.search(r"in 60 to (\d+) lines", PAGE)
    sizes = (ROOT / "tests/pipelines/test_code_sizes.py").read_text()
    assert named is not None
    assert re.search(rf"\b{named[1]}\b", sizes), "tests/pipelines/test_code_sizes.py holds another limit"


def test_lines_of_code_are_as_long_as_the_page_says():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = re.search(r"lines below (\d+) characters", PAGE)
    assert named is not None
    assert settings["tool"]["ruff"]["line-length"] == int(named[1])


def test_the_version_stands_in_one_place():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "gogooku_kedro.__version__"}
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "mkdocs.yml", ROOT / "README.md"]
    assert [path.name for path in sources if gogooku_kedro.__version__ in path.read_text()] == ["__init__.py"]
