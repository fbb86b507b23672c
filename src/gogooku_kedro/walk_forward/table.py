"""One table over folds: figures of all test sessions together, of every fold, and how far folds differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.labels.split import Split, split_mask
from gogooku_kedro.metrics.daily import DAILY_COLUMNS, daily_metrics, number, summarise_metrics
from gogooku_kedro.metrics.significance import icir, mean_interval, newey_west_lag, newey_west_t, sharpe

COMPARED = ("rank_ic", "rank_icir", "sharpe_net")
"""Figures of a fold whose spread between folds is told."""


def measure_folds(
    predictions: pd.DataFrame, labels: xr.Dataset, splits: Sequence[Split], cost_bps: float
) -> pd.DataFrame:
    """Return the daily metrics of the test parts of all folds as one series, with a column `fold`.

    The test parts follow one another, so the portfolios are carried from the last session of a fold into the
    first of the next, as a desk would that replaces its model: a fold does not begin with an empty portfolio.

    Args:
        predictions: fold, date, code, split, score_<h>d, model.
        labels: `ret` (date, code, horizon) of all sessions.
        splits: From `walk_forward_splits`.
        cost_bps: Cost per side of the portfolios, in basis points.

    Returns:
        `fold` and the columns of `daily_metrics`.
    """
    daily = daily_metrics(predictions.drop(columns="fold"), labels, cost_bps)
    daily.insert(0, "fold", _fold_of(daily["date"], splits))
    return daily


def measure_seeds(
    predictions: pd.DataFrame, labels: xr.Dataset, splits: Sequence[Split], cost_bps: float
) -> pd.DataFrame:
    """Return the daily metrics of every seed by itself: `seed` and the columns of `measure_folds`.

    Args:
        predictions: fold, date, code, split, seed, score_<h>d.
        labels: As in `measure_folds`.
        splits: As in `measure_folds`.
        cost_bps: As in `measure_folds`.
    """
    frames = []
    for seed, own in predictions.groupby("seed"):
        scores = own.drop(columns="seed").assign(model="model")
        daily = measure_folds(scores, labels, splits, cost_bps)
        daily.insert(0, "seed", seed)
        frames.append(daily)
    return pd.concat(frames, ignore_index=True)


def summarise_folds(
    daily: pd.DataFrame, sessions_per_year: float, *, replications: int, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {model: {horizon: numbers}} over the test parts of all folds.

    Args:
        daily: Table of `measure_folds`.
        sessions_per_year: Trading sessions in a year.
        replications: Bootstrap draws of the Sharpe interval.
        seed: Seed of the draws.

    Returns:
        The numbers of `summarise_metrics` over the sessions of all folds together, and beside them
        `folds` (number of the fold to rank_ic, rank_ic_t, rank_ic_ci, ic, rank_icir, decile_spread,
        sharpe_net, days) and `between_folds` (rank_ic, rank_icir, sharpe_net to std, min, max and
        share_positive over the folds' values). None = does not exist; the standard deviation of a single
        fold does not.
    """
    pooled = summarise_metrics(daily[DAILY_COLUMNS], sessions_per_year, replications=replications, seed=seed)["test"]
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for (model, horizon), days in daily.groupby(["model", "horizon"], sort=False):
        folds = {str(fold): _figures(own, str(horizon), sessions_per_year) for fold, own in days.groupby("fold")}
        spread = {name: _spread([fold[name] for fold in folds.values()]) for name in COMPARED}
        table.setdefault(str(model), {})[str(horizon)] = pooled[str(model)][str(horizon)] | {
            "folds": folds,
            "between_folds": spread,
        }
    return table


def summarise_seeds(
    daily: pd.DataFrame, sessions_per_year: float
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return {seed: {horizon: numbers}} over the sessions of all folds.

    Args:
        daily: Table of `measure_seeds`.
        sessions_per_year: Trading sessions in a year.

    Returns:
        rank_ic, rank_icir, sharpe_net and days of every seed.
    """
    table: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for (seed, horizon), days in daily.groupby(["seed", "horizon"], sort=False):
        figures = _figures(days, str(horizon), sessions_per_year)
        table.setdefault(str(seed), {})[str(horizon)] = {name: figures[name] for name in (*COMPARED, "days")}
    return table


def _figures(days: pd.DataFrame, horizon: str, sessions_per_year: float) -> dict[str, Any]:
    rank_ic, sessions = days["rank_ic"], horizon_sessions(horizon)
    return {
        "rank_ic": number(rank_ic.mean()),
        "rank_ic_t": number(newey_west_t(rank_ic, newey_west_lag(sessions))),
        "rank_ic_ci": [number(end) for end in mean_interval(rank_ic, sessions)],
        "ic": number(days["ic"].mean()),
        "rank_icir": number(icir(rank_ic)),
        "decile_spread": number(days["decile_spread"].mean()),
        "sharpe_net": number(sharpe(days["long_short_net"], sessions_per_year)),
        "days": int(rank_ic.notna().sum()),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    present = [value for value in values if value is not None]
    return {
        "std": number(float(np.std(present, ddof=1)) if len(present) > 1 else math.nan),
        "min": min(present, default=None),
        "max": max(present, default=None),
        "share_positive": sum(value > 0 for value in present) / len(present) if present else None,
    }


def _fold_of(dates: pd.Series[Any], splits: Sequence[Split]) -> pd.Series[int]:
    fold = pd.Series(0, index=dates.index)
    for position, split in enumerate(splits, start=1):
        fold[split_mask(split, dates.to_numpy(), "test")] = position
    return fold
