"""From daily portfolio results to portfolio_metrics.json: performance, significance and trials."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro.backtest.performance import annual_return, performance
from gogooku_kedro.backtest.portfolios import PORTFOLIO_COLUMNS
from gogooku_kedro.backtest.sharpe_tests import (
    SharpeIntervals,
    daily_sharpe,
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
)
from gogooku_kedro.baselines import table as models
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.significance import sharpe

logger = logging.getLogger(__name__)

_KEYS = ["split", "model", "portfolio", "horizon"]


def summarise_portfolios(
    portfolio_returns: pd.DataFrame,
    sessions_per_year: float,
    *,
    replications: int = 1000,
    seed: int = 0,
    tuned: int = 0,
) -> dict[str, Any]:
    """Return {"trials": …, "valid": …, "test": …} as portfolio_metrics.json holds it.

    Args:
        portfolio_returns: Table of `portfolios.backtest_portfolios`.
        sessions_per_year: Trading sessions in a year.
        replications: Bootstrap draws of the Sharpe intervals.
        seed: Seed of the draws.
        tuned: Trials of a tuning on this data, which count as trials.

    Returns:
        Per part, model, portfolio and horizon the figures that no cost changes, and under `costs` those after
        each cost per side. The intervals and probabilities are of the active return: net of costs and of
        the benchmark, which is the universe for a long-only portfolio and 0 for a long-short one. A number
        that does not exist is None.
    """
    check_columns(portfolio_returns, PORTFOLIO_COLUMNS, "portfolio returns")
    table = portfolio_returns.assign(active=portfolio_returns["net"] - portfolio_returns["benchmark"])
    trials = count_trials(table, tuned)
    intervals = SharpeIntervals(sessions_per_year, replications, seed=seed)
    summary: dict[str, Any] = {"trials": trials}
    for (split, model, portfolio, horizon), days in table.groupby(_KEYS, sort=False):
        costs = {
            f"{cost:g}": _after_cost(rows, trials[str(split)], f"{cost:g}", sessions_per_year, intervals)
            for cost, rows in days.groupby("cost_bps")
        }
        gross = days[days["cost_bps"] == days["cost_bps"].min()]
        of_portfolio = summary.setdefault(str(split), {}).setdefault(str(model), {}).setdefault(str(portfolio), {})
        of_portfolio[str(horizon)] = _before_cost(gross, sessions_per_year) | {"costs": costs}
    return summary


def count_trials(table: pd.DataFrame, tuned: int = 0) -> dict[str, Any]:
    """Return per part how many Sharpe ratios were looked at, and how they spread at each cost.

    A trial is a model x horizon x portfolio with a Sharpe ratio on that part; the oracles of the sample
    market are no candidates and are left out. `tuned` trials of a tuning are among `count`, and by themselves
    `tuning`. Sharpe ratios are daily, of the active return.

    The best of K trials is held against what K trials of no skill would spread, the standard error
    1 / sqrt(T) of a Sharpe ratio of 0 over T sessions. The observed spread stands beside it; it is no measure
    of luck here, as rules that surely lose to costs and models that surely win are among the trials.
    """
    candidates = table[~table["model"].isin(models.oracles())]
    series = candidates.groupby([*_KEYS, "cost_bps"], sort=False)["active"]
    ratios = series.agg(daily_sharpe).dropna()
    days = series.count()[ratios.index]
    trials: dict[str, Any] = {}
    for split in table["split"].unique():
        part = ratios[ratios.index.get_level_values("split") == split].groupby("cost_bps")
        costs = {}
        for cost, values in part:
            by_chance = 1.0 / math.sqrt(days[values.index].max())
            costs[f"{cost:g}"] = {
                "daily_sharpe_deviation": number(float(values.std(ddof=1)) if len(values) > 1 else 0.0),
                "deviation_by_chance": number(by_chance),
                "expected_best_daily_sharpe": number(expected_best_sharpe(by_chance, len(values) + tuned)),
            }
        left_out = sorted(set(table["model"]) & set(models.oracles()))
        count = int(part.size().max()) + tuned if len(part) else 0
        trials[str(split)] = {"count": count, "tuning": tuned, "left_out": left_out, "costs": costs}
    return trials


def tuned_trials(study: Mapping[str, Any] | None, data_hash: str | None) -> int:
    """Return how many trials of a tuning count on this data; a tuning of other data is said, and counts none.

    Args:
        study: tuning_study.json, None without a tuning.
        data_hash: Of the data of the run.
    """
    if study is None:
        return 0
    counted: int = study["trials"]["counted"]
    if study["run"]["data_hash"] == data_hash:
        return counted
    logger.warning(
        "the %d trials of the tuning %s are of other data and are not counted for the deflated Sharpe ratio; "
        "kedro run --pipelines=tuning counts those of this data",
        counted,
        study["study"],
    )
    return 0


def _before_cost(days: pd.DataFrame, sessions_per_year: float) -> dict[str, float | int | None]:
    gross, traded = days["gross"].mean(), 2.0 * days["turnover"].mean()
    excess = (days["gross"] - days["benchmark"]).mean()
    break_even = excess / traded * 1e4 if traded > 0 and excess > 0 else math.nan
    means = {name: number(days[name].mean()) for name in ("turnover", "unfilled", "long", "short")}
    return {
        "days": int(days["gross"].notna().sum()),
        "annual_return_gross": number(gross * sessions_per_year),
        "sharpe_gross": number(sharpe(days["gross"], sessions_per_year)),
        **means,
        "n_long": number(days["n_long"].mean()),
        "n_short": number(days["n_short"].mean()),
        "capacity": number(days["capacity"].median()),
        "break_even_bps": number(break_even),
    }


def _after_cost(
    days: pd.DataFrame,
    trials: Mapping[str, Any],
    cost: str,
    sessions_per_year: float,
    intervals: SharpeIntervals,
) -> dict[str, Any]:
    horizon = horizon_sessions(days["horizon"].iloc[0])
    active = days["active"].to_numpy(np.float64)
    net = days["net"].to_numpy(np.float64)
    figures: dict[str, Any] = {k: number(v) for k, v in performance(net, sessions_per_year).items()}
    spread = trials["costs"].get(cost, {}).get("deviation_by_chance")
    deflated = math.nan if spread is None else deflated_sharpe(active, spread, trials["count"])
    figures |= {
        "annual_active": number(annual_return(active, sessions_per_year)),
        "sharpe_active": number(sharpe(active, sessions_per_year)),
        "sharpe_active_ci": [number(end) for end in intervals.of(active, horizon)],
        "probabilistic_sharpe": number(probabilistic_sharpe(active)),
        "deflated_sharpe": number(deflated),
    }
    return figures
