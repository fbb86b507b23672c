"""A user's own scores are measured as every model is, on the same stocks and sessions as the baselines."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gogooku_kedro as gk
from gogooku_kedro.alpha_page import tear_sheet_figures
from gogooku_kedro.cli import cli
from gogooku_kedro.features import registry
from gogooku_kedro.metrics import exposure
from gogooku_kedro.metrics.align import wide_parts
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


@pytest.fixture(scope="module")
def found(study, reversal) -> gk.Evaluation:
    """What is measured of it."""
    return gk.evaluate(reversal, study)


@pytest.mark.pipeline
def test_a_copy_of_a_baseline_measures_as_that_baseline(found, reversal):
    own, baseline = (found.metrics["test"][name] for name in ("own", "reversal_1d"))
    for horizon in ("1d", "5d", "10d", "20d"):
        assert own[horizon]["rank_ic"] == pytest.approx(baseline[horizon]["rank_ic"], abs=1e-6)
        assert own[horizon]["sharpe_net"] == pytest.approx(baseline[horizon]["sharpe_net"], abs=1e-4)
        assert found.comparisons["test"]["reversal_1d"][horizon].difference == pytest.approx(0.0, abs=1e-6)
    assert {"own", "own_neutral", "own_pca_neutral", "model", "lightgbm", "oracle"} <= set(found.metrics["test"])
    assert found.rows["read"] == len(reversal)
    assert found.rows["measured"] == len(found.scores)
    shown = found.table().set_index(["model", "horizon"])
    held = found.portfolios["test"]["own"]["long_short"]["5d"]["costs"]["10"]
    assert shown.loc[("own", "5d"), "net_sharpe"] == held["sharpe_active"]
    assert shown.loc[("own", "5d"), "decile_sharpe"] == own["5d"]["sharpe_net"]
    assert np.isnan(shown.loc[("own_neutral", "5d"), "net_sharpe"])
    shown = shown.reset_index()
    assert set(shown.loc[shown["model"] == "lightgbm", "answer"]) <= {"better", "worse", "undecided", "unknown"}


@pytest.mark.pipeline
def test_scores_that_have_no_label_yet_are_left_out_and_counted(study, reversal, found):
    """The scores of a morning's file, which go on to the newest session."""
    newest = reversal[reversal["date"] == reversal["date"].max()].assign(date=study.labels["date"].values[-1])
    again = gk.evaluate(pd.concat([reversal, newest]), study)
    assert again.rows["later_than_the_last_label"] == len(newest)
    assert again.rows["measured"] == found.rows["measured"]
    pd.testing.assert_frame_equal(again.daily, found.daily)
    with pytest.raises(
        ValueError, match=f"all {len(newest)} scores are of sessions that have no label yet, later than"
    ):
        gk.evaluate(newest, study)


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


@pytest.mark.pipeline
def test_the_tear_sheet_opens_offline_and_has_every_figure(found, reversal, tmp_path):
    html = gk.tear_sheet(found, path=tmp_path / "sheet.html", horizon="5d").read_text()
    assert "https://" not in html.split("<body>")[1]
    for heading in (
        *("Rank IC, 5d horizon", "Rank IC by month", "Rank IC by sector", "Return by score decile", "Drawdown:"),
        *("Turnover, long-short", "Exposure to sectors", "Exposure to size", "Held long", "Held short"),
    ):
        assert heading in html
    assert html.count('class="plotly-graph-div"') == len(tear_sheet_figures(found, "5d")) == 9
    with pytest.raises(ValueError, match="horizon: '3d' has no scores; there are 1d, 5d, 10d, 20d"):
        gk.tear_sheet(found, path=tmp_path / "none.html", horizon="3d")
    with pytest.raises(ValueError, match="market is missing"):
        gk.tear_sheet(reversal)


@pytest.mark.pipeline
def test_the_sectors_add_up_to_the_rank_ic_and_the_legs_to_one(study, found):
    own = found.scores[found.scores["split"] == "test"].assign(model="own")
    (part,) = wide_parts(own, found.ground.labels)
    parts = exposure.sector_contributions(part, 5, study.panel)
    assert parts["rank_ic"].sum() == pytest.approx(found.metrics["test"]["own"]["5d"]["rank_ic"], abs=1e-6)
    held = exposure.held_weights(part, 5)
    assert held.clip(lower=0).sum(axis=1).iloc[10:].max() <= 1 + 1e-9
    np.testing.assert_allclose(exposure.sector_exposure(held, study.panel).sum(axis=1), 0.0, atol=1e-9)
    size = exposure.size_exposure(held, study.panel).dropna()
    assert size.min(axis=None) > 0
    assert size.max(axis=None) <= 1


@pytest.mark.pipeline
def test_the_python_of_the_page_runs(finished_run, monkeypatch, tmp_path):
    page = (ROOT / "docs/tutorials/python.md").read_text()
    bars_to_figures, own_alpha, own_feature = re.findall(r"(?ms)^```python\n(.*?)^```$", page)
    opened = 'gk.Study("prices.parquet", data_root="out")'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "REGISTERED", {})
    for example in (bars_to_figures, own_alpha):
        assert opened in example
        there = example.replace(opened, f'gk.Study(env="test", data_root={str(finished_run)!r})')
        exec(compile(there, "docs/tutorials/python.md", "exec"), {})
    assert (tmp_path / "rank_ic.html").exists()
    assert (tmp_path / "reversal_3d.html").exists()
    exec(compile(own_feature, "docs/tutorials/python.md", "exec"), {})
    assert [*registry.REGISTERED] == ["above_average"]
