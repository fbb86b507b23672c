"""Two daily series on the same sessions: a difference, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.significance import (
    MIN_DAYS,
    block_length,
    daily_values,
    mean_interval,
    mean_p_value,
    newey_west_lag,
    newey_west_t,
    percentiles,
    resampled_days,
)
from gogooku_kedro.typing import FloatArray

Statistic = Callable[[FloatArray], float]


@dataclass(frozen=True)
class PairedDifference:
    """A statistic of two daily series measured on the same sessions, and their difference.

    Attributes:
        first: Statistic of the first series.
        second: Statistic of the second series.
        difference: first - second.
        relative: difference / |second|, a fraction; NaN when second is 0.
        t: Newey-West t of the mean daily difference; NaN below `MIN_DAYS` sessions.
        p: Its p-value by `mean_p_value`; NaN with too few sessions for their horizon.
        low: Lower end of the interval of `difference`.
        high: Upper end.
        days: Sessions on which both series are present.
    """

    first: float
    second: float
    difference: float
    relative: float
    t: float
    p: float
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
    """Compare two daily series session by session.

    The interval of a difference of means is `mean_interval` of the daily differences; that of any other
    statistic is from stationary-bootstrap draws of the same sessions for both, see `percentiles`.

    Args:
        first: Daily values (date,), e.g. rank IC of the model.
        second: Daily values (date,) on the same dates, e.g. rank IC of a baseline.
        horizon: Label horizon in sessions; sets the lag of t and the shortest block.
        statistic: Function of one series (sessions,); the mean unless told (`icir` is another).
        replications: Bootstrap draws.
        confidence: Coverage of the interval.
        seed: Seed of the draws.

    Raises:
        ValueError: The two series differ in length.
    """
    pair = np.column_stack([daily_values(first, "first"), daily_values(second, "second", like=first)])
    pair = pair[np.isfinite(pair).all(axis=1)]
    days, daily = len(pair), pair[:, 0] - pair[:, 1]
    if days < 2:
        return PairedDifference(*(math.nan,) * 8, days=days)
    one, two = float(statistic(pair[:, 0])), float(statistic(pair[:, 1]))
    low = high = math.nan
    if statistic is np.mean:
        low, high = mean_interval(daily, horizon, confidence)
    elif days >= MIN_DAYS and np.ptp(daily) > 0.0:
        block = block_length(daily, horizon)
        draws = pair[resampled_days(days, block, replications, seed)]
        drawn = np.array([statistic(draw[:, 0]) - statistic(draw[:, 1]) for draw in draws])
        low, high = percentiles(drawn, one - two, days, block, confidence)
    return PairedDifference(
        first=one,
        second=two,
        difference=one - two,
        relative=(one - two) / abs(two) if two != 0.0 else math.nan,
        t=newey_west_t(daily, newey_west_lag(horizon)),
        p=mean_p_value(daily, horizon),
        low=low,
        high=high,
        days=days,
    )
