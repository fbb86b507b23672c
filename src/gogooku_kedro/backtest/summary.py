"""From daily portfolio results to portfolio_metrics.json: performance, significance and trials."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gogooku_kedro.backtest.performance import annual_return, performance
from gogooku_kedro.backtest.portfolios import PORTFOLIO_COLUMNS
from gogooku_kedro.backtest.sharpe_tests import (
    daily_sharpe,
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
)
from gogooku_kedro.baselines import table as models
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.sharpe_intervals import SharpeIntervals
from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.typing import FloatArray

logger = logging.getLogger(__name__)

_KEYS = ["split", "model", "portfolio", "horizon"]
_FIGURES = [name for name in PORTFOLIO_COLUMNS if name not in (*_KEYS, "date")]


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
    held = list(_portfolios(portfolio_returns))
    trials = _count_trials(held, tuned)
    intervals = SharpeIntervals(sessions_per_year, replications, seed=seed)
    summary: dict[str, Any] = {"trials": trials}
    for one in held:
        of_model = summary.setdefault(one.split, {}).setdefault(one.model, {}).setdefault(one.portfolio, {})
        costs = _after_costs(one, trials[one.split], sessions_per_year, intervals)
        of_model[one.horizon] = _before_cost(one.costs[min(one.costs)], sessions_per_year) | {"costs": costs}
    return summary


class _Portfolio(NamedTuple):
    """A portfolio's columns (date,) as numbers, `active` among them, at each cost in basis points."""

    split: str
    model: str
    portfolio: str
    horizon: str
    costs: dict[float, dict[str, FloatArray]]


def _portfolios(table: pd.DataFrame) -> Iterator[_Portfolio]:
    """Yield the portfolios in the order of their first rows."""
    values = {name: table[name].to_numpy(np.float64) for name in _FIGURES}
    values["active"] = values["net"] - values["benchmark"]
    number = table.groupby(_KEYS, sort=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    of_each = np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(order) else []
    names = table[_KEYS].iloc[[rows[0] for rows in of_each]].astype(str)
    for (split, model, portfolio, horizon), rows in zip(names.itertuples(index=False), of_each, strict=True):
        cost_bps = values["cost_bps"][rows]
        at = {float(cost): rows[cost_bps == cost] for cost in np.unique(cost_bps)}
        columns = {cost: {name: column[kept] for name, column in values.items()} for cost, kept in at.items()}
        yield _Portfolio(split, model, portfolio, horizon, columns)


def _count_trials(held: Sequence[_Portfolio], tuned: int) -> dict[str, Any]:
    """Return per part how many Sharpe ratios were looked at, and how they spread at each cost.

    A trial is a model x horizon x portfolio with a Sharpe ratio on that part; the oracles of the sample
    market are no candidates and are left out. `tuned` trials of a tuning are among `count`, and by themselves
    `tuning`. Sharpe ratios are daily, of the active return.

    The best of K trials is held against what K trials of no skill would spread, the standard error
    1 / sqrt(T) of a Sharpe ratio of 0 over T sessions. The observed spread stands beside it; it is no measure
    of luck here, as rules that surely lose to costs and models that surely win are among the trials.
    """
    left_out = sorted({one.model for one in held} & set(models.oracles()))
    trials: dict[str, Any] = {}
    for split in dict.fromkeys(one.split for one in held):
        at_cost: dict[float, list[FloatArray]] = {}
        for one in held:
            if one.split == split and one.model not in left_out:
                for cost, days in one.costs.items():
                    at_cost.setdefault(cost, []).append(days["active"])
        costs = {f"{cost:g}": spread for cost in sorted(at_cost) if (spread := _spread(at_cost[cost], tuned))}
        count = max((spread.pop("trials") for spread in costs.values()), default=0)
        trials[split] = {"count": count, "tuning": tuned, "left_out": left_out, "costs": costs}
    return trials


def _spread(active: Sequence[FloatArray], tuned: int) -> dict[str, Any]:
    """Say how the daily Sharpe ratios of active returns spread, and out of how many; {} where there is none."""
    ratios = {place: ratio for place, days in enumerate(active) if not math.isnan(ratio := daily_sharpe(days))}
    if not ratios:
        return {}
    by_chance = 1.0 / math.sqrt(max(np.isfinite(active[place]).sum() for place in ratios))
    trials = len(ratios) + tuned
    return {
        "trials": trials,
        "daily_sharpe_deviation": number(float(np.std(list(ratios.values()), ddof=1)) if len(ratios) > 1 else 0.0),
        "deviation_by_chance": number(by_chance),
        "expected_best_daily_sharpe": number(expected_best_sharpe(by_chance, trials)),
    }


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


def _before_cost(days: Mapping[str, FloatArray], sessions_per_year: float) -> dict[str, float | int | None]:
    gross, traded = _mean(days["gross"]), 2.0 * _mean(days["turnover"])
    excess = _mean(days["gross"] - days["benchmark"])
    break_even = excess / traded * 1e4 if traded > 0 and excess > 0 else math.nan
    means = {name: number(_mean(days[name])) for name in ("turnover", "unfilled", "long", "short", "n_long", "n_short")}
    capacity = days["capacity"][~np.isnan(days["capacity"])]
    return {
        "days": int((~np.isnan(days["gross"])).sum()),
        "annual_return_gross": number(gross * sessions_per_year),
        "sharpe_gross": number(sharpe(days["gross"], sessions_per_year)),
        **means,
        "capacity": number(float(np.median(capacity)) if len(capacity) else math.nan),
        "break_even_bps": number(break_even),
    }


def _mean(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else math.nan


def _after_costs(
    held: _Portfolio, trials: Mapping[str, Any], sessions_per_year: float, intervals: SharpeIntervals
) -> dict[str, dict[str, Any]]:
    """Return the figures of a portfolio after each cost."""
    ends = intervals.of([days["active"] for days in held.costs.values()], horizon_sessions(held.horizon))
    of_cost: dict[str, dict[str, Any]] = {}
    for (cost, days), interval in zip(held.costs.items(), ends, strict=True):
        active = days["active"]
        spread = trials["costs"].get(f"{cost:g}", {}).get("deviation_by_chance")
        deflated = math.nan if spread is None else deflated_sharpe(active, spread, trials["count"])
        of_cost[f"{cost:g}"] = {k: number(v) for k, v in performance(days["net"], sessions_per_year).items()} | {
            "annual_active": number(annual_return(active, sessions_per_year)),
            "sharpe_active": number(sharpe(active, sessions_per_year)),
            "sharpe_active_ci": [number(end) for end in interval],
            "probabilistic_sharpe": number(probabilistic_sharpe(active)),
            "deflated_sharpe": number(deflated),
        }
    return of_cost
