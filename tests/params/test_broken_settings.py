"""Every broken setting of the table is refused with one sentence, and the documentation shows the table."""

import shutil

import pytest
from click.testing import CliRunner

from gogooku_kedro.ablation.variants import variant_problems
from gogooku_kedro.cli import cli
from gogooku_kedro.tuning.space import space_problems
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ROOT, settings_of
from tests.params.broken_settings import PAGE, page, table

SETTINGS, FILES = table("settings"), table("files")


def test_the_table_is_long_and_has_no_case_twice():
    assert len(SETTINGS) + len(FILES) >= 60
    cases = [(entry["setting"], repr(entry["value"])) for entry in SETTINGS]
    assert len(set(cases)) == len(cases)


@pytest.mark.parametrize("entry", SETTINGS, ids=lambda entry: f"{entry['setting']}={entry['value']}"[:60])
def test_a_broken_setting_is_refused_with_one_sentence(entry):
    parameters = settings_of(**{entry["setting"].replace(".", "__"): entry["value"]})
    problems = configuration_problems(parameters)
    (problem,) = problems or variant_problems(parameters) + space_problems(parameters)
    assert entry["words"] in problem
    assert "\n" not in problem


@pytest.fixture
def conf(tmp_path):
    return shutil.copytree(ROOT / "conf", tmp_path / "conf")


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: f"{entry['file']}: {entry['text']}"[:60])
def test_a_broken_file_is_refused_with_one_sentence_that_names_it(entry, conf, monkeypatch):
    monkeypatch.chdir(ROOT)
    (conf / "local").mkdir(exist_ok=True)
    (conf / "local" / entry["file"]).write_text(entry["text"], encoding="utf-8")
    result = CliRunner().invoke(cli, ["validate-config", "--conf-source", str(conf), "--env", "local"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert entry["words"] in line


def test_a_file_beside_the_configuration_is_left_alone(conf, monkeypatch):
    monkeypatch.chdir(ROOT)
    (conf / "local").mkdir(exist_ok=True)
    (conf / "local" / "spark.yml").write_text("a: 1")
    (conf / "local" / "notes.txt").write_text("parameters")
    result = CliRunner().invoke(cli, ["validate-config", "--conf-source", str(conf), "--env", "local"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "changes",
    [
        {"training__max_epochs": 12.0, "training__seeds": [1.0, 2.0]},  # whole numbers, as 1e3 is
        {"training__learning_rate": 1},
        {"split__train_end": "2021-06-30", "split__valid_end": "auto"},
        {"model__quantiles": [0.01, 0.99]},
        {"ingestion__timezone": "UTC", "ingestion__calendar": None},
        {"ingestion__calendar": "XNYS"},
        {"split__purge_sessions": 21},
        {"labels__entry": "close", "split__purge_sessions": 20},
        {"ablation__run": [True, False]},  # a bare on and off
    ],
)
def test_what_has_a_meaning_stays_possible(changes):
    parameters = settings_of(**changes)
    assert configuration_problems(parameters) + variant_problems(parameters) == []


def test_the_page_shows_the_table():
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), f"{PAGE.name} is out of date: run `python -m tests.params.broken_settings`"
