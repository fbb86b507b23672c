"""`kedro explain` says why a stock has its score, or what is missing to say so."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from tests.conftest import ROOT


@pytest.fixture
def explain(monkeypatch):
    """The command on the data of the small sample market below a folder."""
    monkeypatch.chdir(ROOT)

    def call(data_root: Path, *arguments: str):
        where = ["--env", "test", "--params", f"data_root={data_root}"]
        return CliRunner().invoke(cli, ["explain", *where, *arguments])

    return call


def test_without_data_it_says_which_pipeline_makes_them(explain, tmp_path):
    result = explain(tmp_path, "--code", "7203")
    assert result.exit_code == 1
    assert "Error: no panel, features, labels, graph_edges, feature_manifest yet" in result.output
    assert "kedro run --pipelines=data" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--code'"),
        (["--code", "7203", "--horizon", "3"], "'3' is not one of '1', '5', '10', '20'"),
        (["--code", "7203", "--date", "yesterday"], "'yesterday' does not match the format '%Y-%m-%d'"),
        (["--code", "7203", "--top", "0"], "0 is not in the range"),
    ],
    ids=["no_code", "horizon", "date", "top"],
)
def test_a_wrong_option_is_named(explain, tmp_path, arguments, message):
    result = explain(tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.pipeline
def test_after_a_run_the_score_of_the_predictions_is_explained(explain, finished_run):
    predictions = pd.read_parquet(finished_run / "07_model_output/predictions.parquet")
    last = predictions[predictions["date"] == predictions["date"].max()].reset_index(drop=True)
    row = last.iloc[7]
    result = explain(finished_run, "--code", row["code"], "--horizon", "20", "--top", "3", "--json")
    assert result.exit_code == 0, result.output
    why = json.loads(result.output)
    assert (why["code"], why["date"], why["horizon"]) == (row["code"], f"{row['date']:%Y-%m-%d}", 20)
    assert why["score"] == pytest.approx(row["score_20d"], abs=1e-5)
    assert why["rank"] == 1 + int((last["score_20d"] > row["score_20d"]).sum())
    assert why["quantiles"]["0.5"] == pytest.approx(row["q50_20d"], abs=1e-5)
    assert why["gap"] < 0.05
    assert len(why["features"]) == 3
    assert why["gate"] == []  # the features of the small market have none of the market as a whole


@pytest.mark.pipeline
def test_without_a_trained_model_or_an_unknown_stock_it_says_so(explain, finished_run, tmp_path):
    result = explain(finished_run, "--code", "XXXXX")
    assert result.exit_code == 1
    assert "Error: --code XXXXX: not among the 60 stocks of the features" in result.output
    for folder in ("03_primary", "04_feature", "05_model_input"):
        shutil.copytree(finished_run / folder, tmp_path / folder)
    result = explain(tmp_path, "--code", "7203")
    assert result.exit_code == 1
    assert "Error: no trained model yet: run `kedro run --pipelines=training` first" in result.output
