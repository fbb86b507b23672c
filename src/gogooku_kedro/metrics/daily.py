"""Daily metrics per model, part and horizon, and the summary that metrics.json holds."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import bottleneck as bn
import numba
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from gogooku_kedro.columns import horizon_name, horizon_sessions
from gogooku_kedro.metrics import scores as score_statistics
from gogooku_kedro.metrics import significance
from gogooku_kedro.metrics.align import Predictions, WidePart, check_columns, wide_parts
from gogooku_kedro.metrics.decile_portfolios import (
    PortfolioReturns,
    decile_legs,
    decile_means,
    equal_weights,
    long_only,
    long_short,
)
from gogooku_kedro.metrics.deciles import DECILE_COLUMNS, decile_rows, monotonicity, profile_monotonicity
from gogooku_kedro.metrics.rank_ic import MIN_PAIRS, is_constant, matched, rank_ic, row_correlation, row_ranks
from gogooku_kedro.metrics.sharpe_intervals import SharpeIntervals
from gogooku_kedro.typing import BoolArray, FloatArray

Summary = dict[str, dict[str, dict[str, dict[str, Any]]]]

MEANS_OF_DAYS = (
    "coverage",
    "dispersion",
    "distinct_share",
    "score_autocorrelation",
    "score_autocorrelation_h",
    "monotonicity",
)
"""Columns whose mean over the sessions stands in metrics.json under the same name."""

DAILY_COLUMNS = [
    "model",
    "split",
    "horizon",
    "date",
    "rank_ic",
    "ic",
    "hit_rate",
    "decile_spread",
    "rank_ic_one_day_late",
    "long_short_gross",
    "long_short_net",
    "turnover",
    "n",
    "long_only_gross",
    "long_only_net",
    *MEANS_OF_DAYS,
]


def daily_metrics(
    predictions: Predictions,
    labels: xr.Dataset,
    cost_bps: float,
    *,
    in_universe: xr.DataArray | None = None,
) -> pd.DataFrame:
    """Return every metric of every date, long: one row per model, split, horizon and session.

    Args:
        predictions: date, code, split, score_<h>d, optionally model (several models stacked); whole or in
            frames of whole models.
            High score = expected to do better.
        labels: `ret` (date, code, horizon), fractions, NaN = missing; horizon 1 prices the portfolios.
        cost_bps: Cost per side of the portfolios, in basis points.
        in_universe: (date, code) bool on the dates and codes of the labels, the stocks that should have a
            score; without it there is no `coverage`.

    Returns:
        Columns `DAILY_COLUMNS`. `horizon` is a name ("1d"); `n` counts the stocks with score and
        label; long_short_* are fractions per session, long_only_* are in excess of the equally
        weighted universe; `rank_ic_one_day_late` holds yesterday's score against today's label.
        `coverage`, `dispersion`, `distinct_share` and `score_autocorrelation` (with the session before,
        `_h` with h sessions before) are of the scores alone (`score_statistics`), `monotonicity` of the
        date's ten decile returns. NaN = not defined on that date.

    Raises:
        ValueError: Columns or codes do not fit (`wide_parts`), or the labels lack horizon 1.
    """
    return daily_metrics_and_deciles(predictions, labels, cost_bps, in_universe=in_universe)[0]


def daily_metrics_and_deciles(
    predictions: Predictions, labels: xr.Dataset, cost_bps: float, *, in_universe: xr.DataArray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of `daily_metrics`, and the mean label of each score decile on every date, long.

    Arguments and errors as in `daily_metrics`. The horizons of a part are measured in threads, as many as Numba has.

    Returns:
        The second table has the columns `deciles.DECILE_COLUMNS`: one row per model, split, horizon, session and
        decile (1 = lowest scores, 10 = highest); mean_return is a fraction over the whole horizon. NaN for a decile
        that ties leave empty, and for all of a date with fewer than 5 pairs or a constant score.
    """
    if 1 not in labels["horizon"].values:
        raise ValueError(
            f"labels have the horizons {labels['horizon'].values.tolist()} without 1; "
            "portfolios are priced with one-session returns: add 1 to labels.horizons"
        )
    measured: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    with ThreadPoolExecutor(numba.get_num_threads()) as workers:
        for part in wide_parts(predictions, labels):
            of_part = partial(_horizon_metrics, part, cost_bps=cost_bps, in_universe=in_universe)
            measured += workers.map(of_part, part.scores)
    if not measured:
        return pd.DataFrame(columns=DAILY_COLUMNS), pd.DataFrame(columns=DECILE_COLUMNS)
    daily, deciles = (pd.concat(tables, ignore_index=True) for tables in zip(*measured, strict=True))
    return daily[DAILY_COLUMNS], deciles


def hit_rate(score: ArrayLike, ret: ArrayLike) -> FloatArray:
    """Return the share of stocks on the same side of both medians of the date (date,).

    Stocks that lie exactly on a median are on no side and are left out. 0.5 = no skill; NaN on
    dates with fewer than `MIN_PAIRS` pairs or where no stock has a side.
    """
    scores, returns = matched(score, ret)
    side = np.sign(scores - bn.nanmedian(scores, axis=1)[:, None])
    side *= np.sign(returns - bn.nanmedian(returns, axis=1)[:, None])
    hits, sided = (side > 0).sum(axis=1), (np.abs(side) > 0).sum(axis=1)
    usable = (np.isfinite(scores).sum(axis=1) >= MIN_PAIRS) & (sided > 0)
    return np.where(usable, hits / np.maximum(sided, 1), np.nan)


def one_day_late(score: FloatArray) -> FloatArray:
    """Return the scores of the session before (date, code); the first session has none."""
    return np.vstack([np.full((1, score.shape[1]), np.nan), score[:-1]])


def summarise_metrics(
    daily: pd.DataFrame,
    sessions_per_year: float,
    *,
    deciles: pd.DataFrame | None = None,
    replications: int = 1000,
    seed: int = 0,
) -> Summary:
    """Return {split: {model: {horizon: numbers}}} as metrics.json holds it.

    Args:
        daily: Table of `daily_metrics`.
        sessions_per_year: Trading sessions in a year (about 245 in Tokyo).
        deciles: Table of `daily_metrics_and_deciles`; without it there is no `profile_monotonicity`.
        replications: Bootstrap draws of the Sharpe interval.
        seed: Seed of the draws.

    Returns:
        Plain Python numbers; a number that does not exist is None, never NaN and never 0.
        `rank_ic_t` is a Newey-West t with lag h + 3, `rank_ic_p` and `rank_ic_ci` (95%) are those of
        `significance.mean_interval`; `icir` and `rank_icir` are daily;
        Sharpe ratios are annualised and of the overlapping long-short portfolio.
    """
    check_columns(daily, DAILY_COLUMNS, "daily metrics")
    summary: Summary = {}
    intervals = SharpeIntervals(sessions_per_year, replications, seed=seed)
    profile = {} if deciles is None else profile_monotonicity(deciles).to_dict()
    for (split, model, name), days in daily.groupby(["split", "model", "horizon"], sort=False):
        horizon = horizon_sessions(name)
        [(low, high)] = intervals.of([days["long_short_net"]], horizon)
        lag = significance.newey_west_lag(horizon)
        summary.setdefault(str(split), {}).setdefault(str(model), {})[str(name)] = {
            "rank_ic": number(days["rank_ic"].mean()),
            "rank_ic_t": number(significance.newey_west_t(days["rank_ic"], lag)),
            "rank_ic_p": number(significance.mean_p_value(days["rank_ic"], horizon)),
            "rank_ic_ci": [number(end) for end in significance.mean_interval(days["rank_ic"], horizon)],
            "ic": number(days["ic"].mean()),
            "icir": number(significance.icir(days["ic"])),
            "rank_icir": number(significance.icir(days["rank_ic"])),
            "hit_rate": number(days["hit_rate"].mean()),
            "decile_spread": number(days["decile_spread"].mean()),
            "turnover": number(days["turnover"].mean()),
            "sharpe_gross": number(significance.sharpe(days["long_short_gross"], sessions_per_year)),
            "sharpe_net": number(significance.sharpe(days["long_short_net"], sessions_per_year)),
            "sharpe_net_ci": [number(low), number(high)],
            "rank_ic_one_day_late": number(days["rank_ic_one_day_late"].mean()),
            **{column: number(days[column].mean()) for column in MEANS_OF_DAYS},
            "profile_monotonicity": number(profile.get((model, split, name), math.nan)),
            "days": int(days["rank_ic"].notna().sum()),
        }
    return summary


def summarise_extras(daily: pd.DataFrame, sessions_per_year: float) -> Summary:
    """Return further numbers in the shape of `summarise_metrics`, kept apart from metrics.json.

    Per horizon: `long_only_sharpe_gross`, `long_only_sharpe_net` (of the excess over the equally
    weighted universe), `long_only_excess_net` and `long_short_net_return` (fractions a year), and
    `break_even_bps`, the cost per side at which the long-short portfolio earns nothing (None when it
    loses before costs).
    """
    extras: Summary = {}
    for (split, model, name), days in daily.groupby(["split", "model", "horizon"], sort=False):
        gross, traded = days["long_short_gross"].mean(), 2.0 * days["turnover"].mean()
        break_even = gross / traded * 1e4 if traded > 0 and gross > 0 else math.nan
        excess, net = days["long_only_gross"], days["long_only_net"]
        extras.setdefault(str(split), {}).setdefault(str(model), {})[str(name)] = {
            "long_only_sharpe_gross": number(significance.sharpe(excess, sessions_per_year)),
            "long_only_sharpe_net": number(significance.sharpe(net, sessions_per_year)),
            "long_only_excess_net": number(net.mean() * sessions_per_year),
            "long_short_net_return": number(days["long_short_net"].mean() * sessions_per_year),
            "break_even_bps": number(break_even),
        }
    return extras


def number(value: float) -> float | None:
    """Return a plain float, or None where the value is not finite (JSON null)."""
    return float(value) if math.isfinite(value) else None


def _horizon_metrics(
    part: WidePart, horizon: int, *, cost_bps: float, in_universe: xr.DataArray | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Daily metrics and decile returns of one horizon."""
    score, session_return = part.scores[horizon], part.returns[1]
    scores, returns = matched(score, part.returns[horizon])
    score_ranks, return_ranks = row_ranks(scores), row_ranks(returns)
    session_ranks = score_ranks if horizon == 1 else row_ranks(matched(score, session_return)[0])
    portfolio: PortfolioReturns = long_short(score, session_return, horizon, cost_bps, session_ranks)
    top_decile = long_only(score, session_return, horizon, cost_bps, session_ranks)
    yesterday = score_statistics.autocorrelation(score, 1)
    means = decile_means(scores, returns, score_ranks)
    daily = pd.DataFrame(
        {
            "model": part.model,
            "split": part.split,
            "horizon": horizon_name(horizon),
            "date": part.dates,
            "rank_ic": row_correlation(score_ranks, return_ranks),
            "ic": row_correlation(scores, returns),
            "hit_rate": hit_rate(scores, returns),
            "decile_spread": _spread(score_ranks, returns, is_constant(scores)),
            "rank_ic_one_day_late": rank_ic(one_day_late(score), part.returns[horizon]),
            "long_short_gross": portfolio.gross,
            "long_short_net": portfolio.net,
            "turnover": portfolio.turnover,
            "n": np.isfinite(scores).sum(axis=1),
            "long_only_gross": top_decile.gross,
            "long_only_net": top_decile.net,
            "coverage": _coverage(part, score, in_universe),
            "dispersion": score_statistics.dispersion(score),
            "distinct_share": score_statistics.distinct_share(score),
            "score_autocorrelation": yesterday,
            "score_autocorrelation_h": _autocorrelation_h(score, horizon, yesterday),
            "monotonicity": monotonicity(means),
        }
    )
    return daily, decile_rows(part, horizon, means)


def _autocorrelation_h(score: FloatArray, horizon: int, yesterday: FloatArray) -> FloatArray:
    return yesterday if horizon == 1 else score_statistics.autocorrelation(score, horizon)


def _coverage(part: WidePart, score: FloatArray, in_universe: xr.DataArray | None) -> FloatArray:
    if in_universe is None:
        return np.full(len(score), np.nan)
    inside = in_universe.transpose("date", "code").sel(date=part.dates, code=part.codes)
    return score_statistics.coverage(score, inside.to_numpy())


def _spread(ranks: FloatArray, returns: FloatArray, constant: BoolArray) -> FloatArray:
    """Mean return of the top decile minus that of the bottom decile, per date."""
    top, bottom = decile_legs(ranks)
    weights = equal_weights(top) - equal_weights(bottom)
    defined = top.any(axis=1) & bottom.any(axis=1) & ~constant
    spread = (weights * np.nan_to_num(returns, nan=0.0)).sum(axis=1)
    return np.where(defined, spread, np.nan)
