"""What a morning knows of earlier rankings, and that it knows nothing else."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from gogooku_kedro.labels.returns import forward_returns
from gogooku_kedro.monitoring.matured import matured_days, reference_days, rolling_mean, scores_of
from gogooku_kedro.monitoring.monitor import Monitoring, monitor
from gogooku_kedro.monitoring.page import render_monitoring, verdict
from tests.monitoring.conftest import PUBLISHED, Desk, publish


def monitored(desk: Desk, morning: pd.Timestamp) -> Monitoring:
    return monitor(
        desk.rankings,
        desk.panel,
        desk.in_universe(),
        desk.raw_features,
        desk.backtest,
        desk.facts,
        desk.settings,
        morning,
    )


@pytest.fixture(scope="module")
def morning(desk: Desk) -> pd.Timestamp:
    return desk.panel.indexes["date"][-10]


@pytest.fixture(scope="module")
def found(desk: Desk, morning: pd.Timestamp) -> Monitoring:
    return monitored(desk, morning)


def test_a_label_counts_from_the_morning_after_its_exit(desk, found, morning):
    dates = desk.panel.indexes["date"]
    last = dates.get_loc(morning)
    for name, horizon in (("1d", 1), ("5d", 5), ("20d", 20)):
        own = found.days[found.days["horizon"] == name].set_index("date")["rank_ic"]
        assert len(own) == PUBLISHED - 9
        matured = own[: dates[last - 1 - horizon]]
        assert matured.notna().all()
        assert own[dates[last - horizon] :].isna().all()
        assert found.horizons[name]["days"] == len(matured)


def test_features_that_end_before_the_morning_go_on_with_those_of_its_own(desk, found, morning):
    raw = desk.raw_features
    drifted = raw.where(raw["date"] < desk.panel.indexes["date"][-30], raw + 3.0)
    cut = drifted.isel(date=slice(None, -40), code=slice(1, None))
    whole = monitored(desk._replace(raw_features=drifted.isel(code=slice(1, None))), morning)
    window = desk.settings[1].monitoring.drift_window
    recent = drifted.isel(code=slice(1, None)).sel(date=slice(None, morning)).isel(date=slice(-window - 1, None))
    beside = (desk.rankings, desk.panel, desk.in_universe(), cut, desk.backtest, desk.facts, desk.settings, morning)
    pd.testing.assert_frame_equal(monitor(*beside, recent).drift, whole.drift)
    assert (whole.drift["psi"] > 1).all()
    assert (monitor(*beside).drift["psi"] < 1).all()  # as of the last session of the features


def test_the_rank_ic_is_scipys(desk, found):
    labels = forward_returns(desk.panel, [5], "next_open")["ret"].sel(horizon=5)
    day = desk.rankings["date"].unique()[3]
    rows = desk.rankings[desk.rankings["date"] == day]
    ret = labels.sel(date=day).to_series().reindex(rows["code"]).to_numpy()
    both = np.isfinite(ret)
    expected = stats.spearmanr(rows["score_5d"].to_numpy()[both], ret[both])[0]
    own = found.days[(found.days["horizon"] == "5d") & (found.days["date"] == day)]
    assert own["rank_ic"].item() == pytest.approx(expected)
    assert own["coverage"].item() == 1.0


def changed_after(panel: xr.Dataset, t: pd.Timestamp) -> xr.Dataset:
    """Other prices, trades and listings after t."""
    late = (panel["date"] > t).values
    rng = np.random.default_rng(0)
    other = {}
    for name in ("exact_open", "exact_close", "high", "low", "close"):
        values = panel[name].values.copy()
        values[late] *= rng.lognormal(0, 0.5, values[late].shape)
        other[name] = (("date", "code"), values)
    for name in ("traded", "listed", "limit_up", "limit_down", "invalid_jump", "thin_date"):
        values = panel[name].values.copy()
        values[late] = rng.random(values[late].shape) < 0.5
        other[name] = (panel[name].dims, values)
    return panel.assign(other)


def test_no_bit_changes_with_what_comes_after_the_morning(desk, found, morning):
    raw = desk.raw_features.where(desk.raw_features["date"] <= morning, 7.0)
    later = desk._replace(panel=changed_after(desk.panel, morning), raw_features=raw)
    again = monitored(later, morning)
    assert json.dumps(again.as_dict()) == json.dumps(found.as_dict())
    ended = desk._replace(
        panel=desk.panel.sel(date=slice(None, morning)), raw_features=raw.sel(date=slice(None, morning))
    )
    assert json.dumps(monitored(ended, morning).as_dict()) == json.dumps(found.as_dict())
    assert render_monitoring(again) == render_monitoring(found)
    last = desk.panel.indexes["date"][-1]
    assert json.dumps(monitored(later, last).as_dict()) != json.dumps(monitored(desk, last).as_dict())


def test_stocks_without_a_score_lower_the_coverage(desk, morning):
    codes = desk.rankings["code"].unique()[::2]
    fewer = desk.rankings[~desk.rankings["code"].isin(codes)]
    days = matured_days(fewer, desk.panel, desk.in_universe(), desk.settings[0], morning)
    assert 0.4 < days["coverage"].mean() < 0.6


def test_the_reference_ends_before_the_first_ranking(desk):
    first = desk.rankings["date"].min()
    values = reference_days(desk.backtest, 5, first, 6, 25)
    own = desk.backtest[(desk.backtest["horizon"] == "5d") & (desk.backtest["split"] == "test")]
    np.testing.assert_array_equal(values, own["rank_ic"].to_numpy()[:-6])
    more = reference_days(desk.backtest, 5, first, 6, 1000)  # too few of the test part: the validation part too
    assert len(more) == 144
    assert len(reference_days(desk.backtest, 5, desk.backtest["date"].min(), 6, 25)) == 0


def test_an_alarm_and_none(desk, found, morning):
    assert found.rule is not None
    assert found.crossed is None
    assert verdict(found).startswith("No alarm: the summed shortfall of")
    worse = desk._replace(rankings=desk.rankings.assign(score_5d=-desk.rankings["score_5d"]))
    alarm = monitored(worse, morning)
    assert alarm.crossed == alarm.summed.index[(alarm.summed > alarm.rule.threshold).to_numpy()][0]
    assert verdict(alarm).startswith("Alarm: ")
    none = monitored(desk._replace(backtest=desk.backtest.assign(rank_ic=-0.1)), morning)
    assert verdict(none).startswith("No alarm line")
    young = monitored(desk, desk.rankings["date"].min())
    assert verdict(young) == "No alarm yet: of no published session the label at 5d is known."
    assert all(words in render_monitoring(young) for words in ("no label is known yet", "; 1 ranking, "))
    assert none.as_dict()["alarm"] == {"horizon": "5d", "rule": None, "shortfall": None, "crossed": None}


def test_the_rolling_mean_and_its_interval_by_window():
    series = pd.Series(np.random.default_rng(0).normal(size=70), index=pd.bdate_range("2021-01-04", periods=70))
    rolled = rolling_mean(series, 60, 1)
    assert len(rolled) == 11
    assert rolled["mean"].iloc[-1] == pytest.approx(series[-60:].mean())
    assert (rolled["low"] < rolled["mean"]).all()
    assert rolling_mean(series, 60, 20)["low"].isna().all()  # too short for labels of 20 sessions


def test_the_page_is_one_file_with_the_history(found):
    page = render_monitoring(found)
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[^>]*", page) == []
    assert page.count("Plotly.newPlot") == 4 + page.count("Plotly.newPlot=")
    for words in (verdict(found), "alarm line", "Without decay 5% of years cross the line", "first_line"):
        assert (words in page) == (words != "first_line"), words


def test_published_rankings_give_their_scores_back(desk, tmp_path):
    kept = desk.rankings[desk.rankings["date"] >= desk.rankings["date"].unique()[-3]].reset_index(drop=True)
    published = publish(kept, tmp_path / "rankings")
    found = scores_of(published.ranking(session) for session in published.sessions())
    pd.testing.assert_frame_equal(found, kept.astype({"date": "datetime64[ns]", "code": str})[list(found)])
    with pytest.raises(ValueError, match="no ranking was published yet; `kedro daily` publishes one a morning"):
        scores_of([])


def test_a_morning_without_ranking_or_session_is_refused(desk):
    dates = desk.panel.indexes["date"]
    with pytest.raises(ValueError, match=r"no ranking of .* or before was published"):
        monitored(desk, dates[-PUBLISHED - 1])
    with pytest.raises(ValueError, match="2020-06-28 is no session of the market, which ends on 2020-06-30"):
        monitored(desk, pd.Timestamp("2020-06-28"))
