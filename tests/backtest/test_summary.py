"""The summary of the portfolios: figures, trials and what was assumed."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.backtest.portfolios import backtest_portfolios, describe_portfolios
from gogooku_kedro.backtest.sharpe_tests import deflated_sharpe, expected_best_sharpe
from gogooku_kedro.backtest.summary import summarise_portfolios, tuned_trials
from gogooku_kedro.labels.target import make_labels
from gogooku_kedro.metrics.sharpe_intervals import SharpeIntervals
from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.report.figures.portfolio import portfolio_drawdown, portfolio_equity
from tests.backtest.small_market import (
    events_of,
    make_panel,
    one_portfolio,
    predictions,
    random_market,
    rules,
)

HORIZONS = (1, 5)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Portfolios of a good, a random and a constant score, and of an oracle, at 0 and 10 bps."""
    panel, noise = random_market(20, sessions=60)
    labels = make_labels(panel, HORIZONS, "next_open")
    known = labels["ret"].values[: len(noise), :, 0]
    scores = {"model": known + 0.03 * noise, "random": noise, "flat": np.ones(noise.shape), "oracle": known}
    stacked = [predictions(panel, score, HORIZONS).assign(model=name) for name, score in scores.items()]
    return backtest_portfolios(pd.concat(stacked), labels, panel, events_of(panel), "next_open", rules(), [0.0, 10.0])


@pytest.fixture(scope="module")
def summary(table: pd.DataFrame) -> dict:
    return summarise_portfolios(table, 245, replications=100, seed=1)


def test_the_summary_is_plain_json_without_nan(summary: dict) -> None:
    assert "NaN" not in json.dumps(summary)
    assert set(summary["test"]) == {"model", "random", "flat", "oracle"}
    assert set(summary["test"]["model"]["long_only"]) == {"1d", "5d"}
    assert set(summary["test"]["model"]["long_only"]["1d"]["costs"]) == {"0", "10"}


def test_figures_are_those_of_the_daily_table(table: pd.DataFrame, summary: dict) -> None:
    days = one_portfolio(table[table["model"] == "model"], "long_only", 5)
    portfolio = summary["test"]["model"]["long_only"]["5d"]
    after = portfolio["costs"]["10"]
    active = days["net"] - days["benchmark"]
    assert after["sharpe"] == pytest.approx(sharpe(days["net"], 245))
    assert after["sharpe_active"] == pytest.approx(sharpe(active, 245))
    [interval] = SharpeIntervals(245, 100, seed=1).of([active], 5)
    assert after["sharpe_active_ci"] == pytest.approx(interval)
    assert portfolio["turnover"] == pytest.approx(days["turnover"].mean())
    assert portfolio["days"] == len(days)
    saved = (days["gross"] - days["benchmark"]).mean() / (2 * days["turnover"].mean())
    assert portfolio["break_even_bps"] == pytest.approx(saved * 1e4)


def test_at_no_cost_the_long_short_portfolio_is_its_own_active_return(summary: dict) -> None:
    portfolio = summary["test"]["model"]["long_short"]["1d"]
    free, dear = portfolio["costs"]["0"], portfolio["costs"]["10"]
    assert free["sharpe"] == free["sharpe_active"] == portfolio["sharpe_gross"]
    assert dear["annual_return"] < free["annual_return"] == portfolio["annual_return_gross"]
    assert dear["max_drawdown"] >= free["max_drawdown"]
    assert dear["probabilistic_sharpe"] <= free["probabilistic_sharpe"]


def test_trials_are_counted_without_the_oracle_and_without_the_missing(table: pd.DataFrame, summary: dict) -> None:
    trials = summary["trials"]["test"]
    assert trials["count"] == 2 * 2 * 2  # model and random, two portfolios, two horizons; flat has no Sharpe
    assert trials["left_out"] == ["oracle"]
    kept = table[table["model"].isin(["model", "random"]) & (table["cost_bps"] == 10.0)]
    kept = kept.assign(active=kept["net"] - kept["benchmark"])
    ratios = kept.groupby(["model", "portfolio", "horizon"])["active"].agg(lambda r: r.mean() / r.std())
    costs = trials["costs"]["10"]
    assert costs["daily_sharpe_deviation"] == pytest.approx(ratios.std())
    deviation = costs["deviation_by_chance"]
    assert deviation == pytest.approx(1 / math.sqrt(kept.groupby(["model", "portfolio", "horizon"]).size().max()))
    days = one_portfolio(table[table["model"] == "model"])
    after = summary["test"]["model"]["long_short"]["1d"]["costs"]["10"]
    assert after["deflated_sharpe"] == pytest.approx(deflated_sharpe(days["net"], deviation, 8))
    assert after["deflated_sharpe"] < after["probabilistic_sharpe"]


def test_trials_of_a_tuning_of_the_same_data_count_and_make_the_deflated_ratio_smaller(
    table: pd.DataFrame, summary: dict, caplog: pytest.LogCaptureFixture
) -> None:
    study = {"study": "s_1", "trials": {"counted": 50}, "run": {"data_hash": "own"}}
    assert tuned_trials(None, "own") == 0
    assert tuned_trials(study, "other") == 0
    assert "the 50 trials of the tuning s_1 are of other data and are not counted" in caplog.text
    tuned = summarise_portfolios(table, 245, replications=10, tuned=tuned_trials(study, "own"))
    trials, before = tuned["trials"]["test"], summary["trials"]["test"]
    assert (trials["count"], trials["tuning"]) == (before["count"] + 50, 50)
    expected = trials["costs"]["10"]["expected_best_daily_sharpe"]
    assert expected == pytest.approx(expected_best_sharpe(before["costs"]["10"]["deviation_by_chance"], 58))
    ratios = [s["test"]["model"]["long_short"]["1d"]["costs"]["10"]["deflated_sharpe"] for s in (tuned, summary)]
    assert ratios[0] < ratios[1]


def test_a_portfolio_that_holds_nothing_has_no_figures(summary: dict) -> None:
    portfolio = summary["test"]["flat"]["long_short"]["1d"]
    assert portfolio["days"] == 0
    costs = portfolio.pop("costs")
    assert {value for name, value in portfolio.items() if name != "days"} == {None}
    assert costs["10"].pop("sharpe_active_ci") == [None, None]
    assert set(costs["10"].values()) == {None}


def test_the_result_says_what_was_known_and_what_was_assumed() -> None:
    panel = make_panel(np.full((4, 6), 100.0), sector=list("aabbcc"))
    said = describe_portfolios(panel, events_of(panel), "close", rules(sector_cap=0.5, loanable="none"))
    assert (said["entry"], said["sector_cap"]) == ("close", 0.5)
    assert said["loanable"] == {"source": "assumed", "share_of_stock_days": 0.0}
    known = events_of(panel, np.array([1, 1, 1, 0, 0, np.nan]))
    said = describe_portfolios(panel, known, "close", rules(loanable="none"))
    assert said["loanable"] == {"source": "margin balances", "share_of_stock_days": 0.5}
    without = make_panel(np.full((4, 6), 100.0))
    assert describe_portfolios(without, known, "close", rules(sector_cap=0.5))["sector_cap"] is None


def test_equity_ends_at_one_plus_the_sum_and_drawdown_never_rises_above_zero(table: pd.DataFrame) -> None:
    figure = portfolio_equity(table, 10.0, horizon="1d")
    assert [trace.name for trace in figure.data] == ["model", "random", "oracle", "flat"]
    assert list(figure.data[3].y) == []
    net = one_portfolio(table[table["model"] == "model"])["net"].dropna()
    assert figure.data[0].y[-1] == pytest.approx(1 + net.sum(), abs=1e-4)
    falls = portfolio_drawdown(table, 10.0, horizon="1d", portfolio="long_only")
    assert max(falls.data[0].y) <= 0.0
    assert "10 bps" in falls.layout.title.text
    with pytest.raises(ValueError, match=r"cost_bps is 7; portfolio returns have the costs \[0.0, 10.0\]"):
        portfolio_equity(table, 7.0)


def test_sharpe_ratios_of_days_and_of_years_are_not_mixed(summary: dict) -> None:
    trials = summary["trials"]["test"]["costs"]["10"]
    annual = [
        portfolio[horizon]["costs"]["10"]["sharpe_active"]
        for name in ("model", "random")
        for portfolio in summary["test"][name].values()
        for horizon in ("1d", "5d")
    ]
    assert np.std(annual, ddof=1) / math.sqrt(245) == pytest.approx(trials["daily_sharpe_deviation"])
