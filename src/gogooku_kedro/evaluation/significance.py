"""How sure a mean, a Sharpe ratio or a difference of two daily series is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], float]

MIN_DAYS = 20
"""Below this number of days no standard error or interval is reported."""


def newey_west_lag(horizon: int) -> int:
    """Return the Bartlett lag in sessions for overlapping h-session labels: h - 1 overlap + 4."""
    return horizon - 1 + 4


def newey_west_t(series: ArrayLike, lag: int) -> float:
    """Return the t-value of the mean of a daily series: mean / `newey_west_error`.

    NaN when fewer than `MIN_DAYS` days are present or the series does not vary.
    """
    values = _present(series)
    error = newey_west_error(values, lag)
    return float(values.mean() / error) if error > 0 else math.nan


def newey_west_error(series: ArrayLike, lag: int) -> float:
    """Return the standard error of the mean of a daily series under serial correlation.

    error = sqrt(S / n),  S = g_0 + 2 * sum_{l=1..lag} (1 - l / (lag + 1)) * g_l,
    g_l = sum_t d_t * d_{t-l} / n with d = deviation from the mean (Newey and West, 1987).

    Args:
        series: Daily values (date,); missing days are left out.
        lag: Largest autocovariance used, in sessions.

    Returns:
        NaN when fewer than `MIN_DAYS` days are present or the series does not vary.
    """
    values = _present(series)
    n = len(values)
    if n < MIN_DAYS or np.ptp(values) == 0.0:
        return math.nan
    deviation = values - values.mean()
    lags = np.arange(1, min(lag, n - 1) + 1)
    autocovariance = np.array([deviation[k:] @ deviation[:-k] / n for k in lags])
    long_run = deviation @ deviation / n + 2.0 * ((1.0 - lags / (lag + 1.0)) @ autocovariance)
    return math.sqrt(long_run / n)


def icir(series: ArrayLike) -> float:
    """Return mean / standard deviation of a daily IC series (daily, not annualised).

    NaN when fewer than two days are present or the series does not vary.
    """
    values = _present(series)
    if len(values) < 2 or np.ptp(values) == 0.0:
        return math.nan
    return float(values.mean() / values.std(ddof=1))


def sharpe(returns: ArrayLike, sessions_per_year: float) -> float:
    """Return the annualised Sharpe ratio of daily returns (fractions): ICIR * sqrt(sessions).

    NaN when fewer than two days are present or the returns do not vary. No risk-free rate is
    subtracted: a long-short book finances itself.
    """
    return icir(returns) * math.sqrt(sessions_per_year)


def block_length(series: ArrayLike, horizon: int) -> int:
    """Return the mean block of the stationary bootstrap in sessions, at least `horizon`.

    The data-driven length is that of Politis and White (2004) with the 2009 correction; it is
    capped at a third of the series so that resamples differ.
    """
    values = _present(series)
    optimal = float(optimal_block_length(values)["stationary"].iloc[0])
    return max(horizon, math.ceil(min(optimal, len(values) / 3.0)))


def bootstrap_sharpe_ci(
    returns: ArrayLike,
    *,
    horizon: int,
    sessions_per_year: float,
    replications: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of the annualised Sharpe ratio.

    Days are drawn in blocks of random length (Politis and Romano, 1994) so that the dependence
    that an overlapping h-session book carries is kept.

    Returns:
        (NaN, NaN) when fewer than `MIN_DAYS` days are present or the returns do not vary.
    """
    values = _present(returns)
    if len(values) < MIN_DAYS or np.ptp(values) == 0.0:
        return math.nan, math.nan
    draws = _resampled(values[:, None], block_length(values, horizon), replications, seed)[..., 0]
    ratio = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    low, high = _percentiles(ratio * math.sqrt(sessions_per_year), confidence)
    return low, high


def bootstrap_mean_ci(
    series: ArrayLike,
    *,
    horizon: int,
    replications: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of the mean of a daily series.

    Days are drawn as in `bootstrap_sharpe_ci`.

    Returns:
        (NaN, NaN) when fewer than `MIN_DAYS` days are present or the series does not vary.
    """
    values = _present(series)
    if len(values) < MIN_DAYS or np.ptp(values) == 0.0:
        return math.nan, math.nan
    draws = _resampled(values[:, None], block_length(values, horizon), replications, seed)[..., 0]
    return _percentiles(draws.mean(axis=1), confidence)


@dataclass(frozen=True)
class PairedDifference:
    """A statistic of two daily series measured on the same days, and their difference.

    Attributes:
        first: Statistic of the first series.
        second: Statistic of the second series.
        difference: first - second.
        relative: difference / |second|, a fraction; NaN when second is 0.
        t: Newey-West t of the mean daily difference; NaN below `MIN_DAYS` days.
        low: Lower end of the bootstrap interval of `difference`.
        high: Upper end.
        days: Days on which both series are present.
    """

    first: float
    second: float
    difference: float
    relative: float
    t: float
    low: float
    high: float
    days: int


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    horizon: int,
    statistic: Statistic = np.mean,
    replications: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Compare two daily series day by day: the same resampled days are used for both.

    Args:
        first: Daily values (date,), e.g. rank IC of the model.
        second: Daily values (date,) on the same dates, e.g. rank IC of a baseline.
        horizon: Label horizon in sessions; sets the lag of t and the shortest block.
        statistic: Function of one series (days,); the mean unless told (`icir` is another).
        replications: Bootstrap draws.
        confidence: Coverage of the interval.
        seed: Seed of the draws.

    Raises:
        ValueError: The two series differ in length.
    """
    pair = np.column_stack([_series(first, "first"), _series(second, "second", like=first)])
    pair = pair[np.isfinite(pair).all(axis=1)]
    days, daily = len(pair), pair[:, 0] - pair[:, 1]
    if days < 2:
        return PairedDifference(*(math.nan,) * 7, days=days)
    one, two = float(statistic(pair[:, 0])), float(statistic(pair[:, 1]))
    low = high = math.nan
    if days >= MIN_DAYS and np.ptp(daily) > 0.0:
        draws = _resampled(pair, block_length(daily, horizon), replications, seed)
        drawn = np.array([statistic(draw[:, 0]) - statistic(draw[:, 1]) for draw in draws])
        low, high = _percentiles(drawn, confidence)
    return PairedDifference(
        first=one,
        second=two,
        difference=one - two,
        relative=(one - two) / abs(two) if two != 0.0 else math.nan,
        t=newey_west_t(daily, newey_west_lag(horizon)),
        low=low,
        high=high,
        days=days,
    )


def resampled_days(days: int, block: int, replications: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of the days that stationary-bootstrap draws hold, (replication, days).

    What is measured day by day on several models is drawn on the same days for all of them.

    Args:
        days: Number of days.
        block: Mean block in sessions (`block_length`).
        replications: Draws.
        seed: Seed of the draws.
    """
    positions = np.arange(days, dtype=np.float64)[:, None]
    return _resampled(positions, block, replications, seed)[..., 0].astype(np.int64)


def _resampled(values: FloatArray, block: int, replications: int, seed: int) -> FloatArray:
    """Stationary-bootstrap draws, (replication, days, series)."""
    bootstrap = StationaryBootstrap(block, values, seed=seed)
    return np.stack([data[0][0] for data in bootstrap.bootstrap(replications)])


def _percentiles(draws: FloatArray, confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws[np.isfinite(draws)], [tail, 1.0 - tail])
    return float(low), float(high)


def _present(series: ArrayLike) -> FloatArray:
    values = _series(series, "series")
    return values[np.isfinite(values)]


def _series(series: ArrayLike, name: str, like: ArrayLike | None = None) -> FloatArray:
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1 or (like is not None and len(values) != np.asarray(like).size):
        raise ValueError(
            f"{name} has shape {values.shape}; pass one value per date, the same dates for both series"
        )
    return values
