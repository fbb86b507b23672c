"""`kedro export` after a run, and what it says where nothing can be exported."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from tests.conftest import ROOT


@pytest.fixture
def export(monkeypatch):
    monkeypatch.chdir(ROOT)

    def call(data_root: Path, *arguments: str):
        return CliRunner().invoke(cli, ["export", "--env", "test", "--params", f"data_root={data_root}", *arguments])

    return call


def test_without_a_run_it_says_what_is_missing(export, tmp_path):
    result = export(tmp_path / "data", "--to", "qlib", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "Error: no panel, predictions yet: run `kedro run`" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.pipeline
def test_after_a_run_both_libraries_have_their_files(export, finished_run, tmp_path):
    result = export(finished_run, "--to", "qlib", str(tmp_path / "qlib"))
    assert result.exit_code == 0, result.output
    assert "60 codes, 12 fields" in result.output
    predictions = pd.read_parquet(finished_run / "07_model_output/predictions.parquet")
    scores = [np.fromfile(file, "<f")[1:] for file in (tmp_path / "qlib/features").glob("*/score_1d.day.bin")]
    assert sum(int(np.isfinite(each).sum()) for each in scores) == len(predictions)
    file = tmp_path / "factor.parquet"
    result = export(finished_run, "--to", "alphalens", "--horizon", "20", str(file))
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(file)
    assert list(table.columns[:4]) == ["1D", "5D", "10D", "20D"]
    assert len(table) == len(predictions)
    assert table["factor"].equals(table["score_20d"])
    assert table.loc[table["split"] == "test", "20D"].notna().any()


@pytest.mark.pipeline
def test_a_folder_in_the_place_of_the_file_is_refused(export, finished_run, tmp_path):
    result = export(finished_run, "--to", "alphalens", str(tmp_path))
    assert result.exit_code == 1
    assert "is a folder; name a file such as" in result.output
