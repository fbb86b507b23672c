"""When a falling rank IC is more than chance: a one-sided CUSUM with a stated rate of false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.significance import (
    HORIZONS_FOR_INTERVAL,
    MIN_DAYS,
    block_length,
    cosine_error,
)
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class AlarmRule:
    """The line that the summed shortfall must not cross.

    Attributes:
        mean: Mean daily rank IC of the reference, the sessions of the backtest.
        threshold: The line, in units of summed rank IC.
        rate: Share of years without decay in which the line is crossed.
        sessions: Sessions of a year.
        block: Mean block of the draws, in sessions.
        reference_days: Sessions of the reference.
        delay: Median sessions from the morning on which the rank IC falls to 0 until the line is crossed; None where
            half the drawn years end before.
    """

    mean: float
    threshold: float
    rate: float
    sessions: int
    block: int
    reference_days: int
    delay: int | None


def shortfall(rank_ic: ArrayLike, mean: ArrayLike) -> FloatArray:
    """Return the summed shortfall of a series of daily rank ICs, a one-sided CUSUM (Page, 1954).

    S_t = max(0, S_{t-1} + mean / 2 - x_t): half-way between the rank IC of the backtest and none, which is what the
    sum tells apart soonest. A session without a rank IC changes nothing.

    Args:
        rank_ic: (sessions,) or (series, sessions), NaN = not known.
        mean: Mean of the reference, one number or (series, 1).
    """
    steps = np.nan_to_num(np.asarray(mean, np.float64) / 2.0 - np.asarray(rank_ic, np.float64), nan=0.0)
    total = np.cumsum(steps, axis=-1)
    lowest = np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)
    summed: FloatArray = total - lowest
    return summed


def alarm_rule(
    reference: ArrayLike, *, horizon: int, sessions: int, rate: float, draws: int = 1000, seed: int = 0
) -> AlarmRule | None:
    """Return the line that a share `rate` of years without decay crosses.

    The line comes from drawn histories of two years that could follow the reference: its sessions in blocks of random
    length (Politis and Romano, 1994), moved and stretched to a mean and a long-run variance that are drawn too, as the
    reference is too short to know them. The maximum over the second year counts, so that the rate holds for a sum that
    has run for a year.

    Args:
        reference: Daily rank IC of the backtest (sessions,), NaN left out.
        horizon: Horizon of the labels in sessions; the shortest block is twice that.
        sessions: Sessions of a year.
        rate: Share of years without decay with an alarm, for example 0.05.
        draws: Draws.
        seed: Seed of the draws.

    Returns:
        None with too few sessions for their horizon, or where the mean is not above 0: what shows no skill cannot
        lose it.
    """
    values = np.asarray(reference, np.float64)
    values = values[np.isfinite(values)]
    fewest = max(MIN_DAYS, HORIZONS_FOR_INTERVAL * horizon)
    if len(values) < fewest or not values.mean() > 0.0 or np.ptp(values) == 0.0:
        return None
    block = min(max(2 * horizon, block_length(values, horizon)), len(values) // 3)
    rng = np.random.default_rng(seed)
    live = _without_decay(values, horizon, block, (draws, 2 * sessions), rng)
    mean = float(values.mean())
    highest = shortfall(live, mean)[:, sessions:].max(axis=1)
    threshold = float(np.quantile(highest, 1.0 - rate))
    decayed = values[_positions(len(values), block, sessions, draws, rng)] - mean
    return AlarmRule(
        mean=mean,
        threshold=threshold,
        rate=rate,
        sessions=sessions,
        block=block,
        reference_days=len(values),
        delay=_delay(shortfall(decayed, mean) > threshold),
    )


def _without_decay(
    values: FloatArray, horizon: int, block: int, shape: tuple[int, int], rng: np.random.Generator
) -> FloatArray:
    """Histories (draw, session) that the reference could be followed by, each with a mean and a spread of its own.

    Mean and long-run variance are drawn from what the reference says of them: Student's distribution, with error
    and degrees of `cosine_error`. Dependence and tails are those of the blocks, stretched to the variance drawn.
    """
    draws, length = shape
    error, degrees = cosine_error(values, horizon)
    errors = error * np.sqrt(degrees / rng.chisquare(degrees, draws))
    means = values.mean() + errors * rng.normal(size=draws)
    of_blocks = values[_positions(len(values), block, len(values), draws, rng)].mean(axis=1).std(ddof=1)
    deviation = values[_positions(len(values), block, length, draws, rng)] - values.mean()
    histories: FloatArray = means[:, None] + deviation * (errors / of_blocks)[:, None]
    return histories


def _positions(days: int, block: int, length: int, draws: int, rng: np.random.Generator) -> IntArray:
    """Positions that stationary-bootstrap draws hold, (draw, length), which may be longer than the reference."""
    starts = rng.random((draws, length)) < 1.0 / block
    starts[:, 0] = True
    sessions = np.arange(length)
    since = sessions - np.maximum.accumulate(np.where(starts, sessions, 0), axis=1)
    first = np.take_along_axis(rng.integers(days, size=(draws, length)), sessions - since, axis=1)
    return np.asarray((first + since) % days)


def _delay(crossed: BoolArray) -> int | None:
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, crossed.shape[1] + 1)
    median = float(np.median(first))
    return int(median) if median <= crossed.shape[1] else None
