"""A user's own scores are measured as every model is, on the same stocks and sessions as the baselines."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gogooku_kedro as gk
from gogooku_kedro.cli import cli
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def study(finished_run) -> gk.Study:
    return gk.Study(env="test", data_root=finished_run)


@pytest.fixture(scope="module")
def reversal(study) -> pd.DataFrame:
    """What the baseline reversal_1d is, as a user would write it, on all sessions that have a label."""
    close = study.panel["adj_close"]
    score = (-(close / close.shift(date=1) - 1)).to_series().dropna().rename("score")
    return score[score.index.get_level_values("date") < "2021-03-01"].reset_index()


@pytest.mark.pipeline
def test_a_copy_of_a_baseline_measures_as_that_baseline(study, reversal):
    found = gk.evaluate(reversal, study)
    own, baseline = (found.metrics["test"][name] for name in ("own", "reversal_1d"))
    for horizon in ("1d", "5d", "10d", "20d"):
        assert own[horizon]["rank_ic"] == pytest.approx(baseline[horizon]["rank_ic"], abs=1e-6)
        assert own[horizon]["sharpe_net"] == pytest.approx(baseline[horizon]["sharpe_net"], abs=1e-4)
        assert found.comparisons["test"]["reversal_1d"][horizon].difference == pytest.approx(0.0, abs=1e-6)
    assert {"own", "own_neutral", "own_pca_neutral", "model", "lightgbm", "oracle"} <= set(found.metrics["test"])
    assert found.rows["read"] == len(reversal)
    assert found.rows["measured"] == len(found.scores)
    shown = found.table()
    assert set(shown.loc[shown["model"] == "lightgbm", "answer"]) <= {"better", "worse", "undecided", "unknown"}


@pytest.mark.pipeline
def test_the_command_measures_a_file_of_one_horizon(finished_run, reversal, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    half = reversal[reversal["code"].isin(sorted(reversal["code"].unique())[:30])]
    half.rename(columns={"score": "score_5d"}).to_csv(tmp_path / "alpha.csv", index=False)
    where = ["--env", "test", "--params", f"data_root={finished_run}", "--scores"]

    result = CliRunner().invoke(cli, ["evaluate", *where, str(tmp_path / "alpha.csv"), "--name", "half"])
    assert result.exit_code == 0, result.output
    folder = finished_run / "08_reporting/own_scores/half"
    written = json.loads((folder / "metrics.json").read_text())
    assert written["horizons"] == list(written["metrics"]["test"]["half"]) == ["5d"]
    daily = pd.read_parquet(folder / "daily_metrics.parquet")
    assert daily.loc[daily["model"].isin(["model", "reversal_1d"]), "n"].max() <= 30  # the same stocks
    assert "lightgbm" in result.output
    assert str(folder / "metrics.json") in result.output

    half.assign(code="9999").to_csv(tmp_path / "alpha.csv", index=False)
    result = CliRunner().invoke(cli, ["evaluate", *where, str(tmp_path / "alpha.csv")])
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "1 codes are not of the market (9999)" in result.output
    assert not (folder.parent / "own").exists()


def test_without_a_run_the_command_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    pd.DataFrame({"date": ["2021-01-04"], "code": ["13010"], "score": [1.0]}).to_csv(tmp_path / "a.csv")
    where = ["--env", "test", "--params", f"data_root={tmp_path / 'data'}", "--scores", str(tmp_path / "a.csv")]
    result = CliRunner().invoke(cli, ["evaluate", *where])
    assert result.exit_code == 1
    assert "yet: run `kedro run` first" in result.output


@pytest.mark.parametrize(("name", "sentence"), [("lightgbm", "is a model of the table"), ("a/b", "other characters")])
def test_a_name_that_cannot_be_told_apart_is_refused(name, sentence):
    from gogooku_kedro.own_alpha import measure

    with pytest.raises(ValueError, match=sentence):
        measure(pd.DataFrame(), None, name)


@pytest.mark.pipeline
def test_a_panel_alone_is_enough(study):
    panel = study.panel.isel(date=slice(0, 120))
    future = panel["adj_close"].shift(date=-7) / panel["adj_close"]
    found = gk.evaluate(future.to_series().dropna().rename("score"), panel, name="crystal_ball")
    figures = found.metrics["test"]
    assert set(figures) == {"crystal_ball", "reversal_1d", "reversal_5d", "momentum_20d", "random"}
    assert figures["crystal_ball"]["5d"]["rank_ic"] > 0.5 > figures["random"]["5d"]["rank_ic"]
    assert np.isfinite(found.portfolio_returns["net"]).any()
