"""Statistics of trailing windows as `arrays/fold.py` folds them, in one compiled pass over the array.

A block of 2^k sessions is two blocks of half the length put together, the recent one and the one before
it. So the pass keeps the last 2^k blocks of 2^k sessions for each k, a few hundred rows of some stocks
that stay in the processor's cache from the first session to the last. Values are combined in the order
of `fold_window`, which gives the same bits.
"""

from enum import IntEnum

import numpy as np

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.typing import Array, FloatArray

LANES = 64  # columns at once: constant, so that the compiler makes vector instructions of the loops


class Statistic(IntEnum):
    """A statistic of the present values of a window; up to KURTOSIS of powers, up to EWMA of sums."""

    SUM = 0
    MEAN = 1
    STD = 2
    SKEWNESS = 3
    KURTOSIS = 4
    REGRESSION = 5
    EWMA = 6
    TREND = 7
    MAX = 8
    AGE_OF_MAX = 9
    DRAWDOWN = 10
    ADAPTIVE_MEAN = 11
    COUNT = 12


# The parts of a block, given as those of a block without values.
_NO_VALUES = {
    Statistic.SUM: (-0.0,),  # -0.0 + x is x for every x, +0.0 + x is not
    Statistic.MEAN: (-0.0,),
    Statistic.STD: (-0.0,) * 2,  # x, x²
    Statistic.SKEWNESS: (-0.0,) * 3,
    Statistic.KURTOSIS: (-0.0,) * 4,
    Statistic.REGRESSION: (-0.0,) * 5,  # y, x, yx, x², y²
    Statistic.EWMA: (-0.0,) * 2,  # weight x, weight
    Statistic.TREND: (-0.0,) * 6,  # 1, age, age², y, age y, y²
    Statistic.MAX: (-np.inf,),
    Statistic.AGE_OF_MAX: (-np.inf, 0.0),  # highest value, its age
    Statistic.DRAWDOWN: (-np.inf, np.inf, 0.0),  # highest, lowest, deepest fall
    Statistic.ADAPTIVE_MEAN: (1.0, -0.0, 0.0, 1.0),  # share kept, gain, first price, 1 without a price
    Statistic.COUNT: (-0.0,),
}
_RESULTS = {Statistic.REGRESSION: 3, Statistic.TREND: 3}


def trailing(
    statistic: Statistic, x: Array, window: int, enough: int, other: Array | None = None, decay: float = 1.0
) -> FloatArray:
    """Return a statistic of the last `window` sessions of every column.

    Args:
        statistic: Which one.
        x: `(date, code)`, NaN where absent.
        window: Sessions; at the start, the ones there are.
        enough: Present values below which the result is NaN.
        other: `(date, code)`: x of a regression of `x` on it; the weights of an adaptive mean.
        decay: Of an EWMA, the weight of a session relative to the next.

    Returns:
        `(result, date, code)`: slope, correlation and residual deviation of a regression; slope,
        correlation and t-value of a trend; one result of the others.
    """
    first = np.ascontiguousarray(x, dtype=np.float64)
    second = first if other is None else np.ascontiguousarray(other, dtype=np.float64)
    no_values = np.array(_NO_VALUES[statistic])
    bits = window.bit_length()
    fades = np.array([[decay**2**k for k in range(bits)], [decay ** (window & (2**k - 1)) for k in range(bits)]])
    results = np.empty((_RESULTS.get(statistic, 1), *first.shape))
    _run(int(statistic), first, second, window, enough, fades, no_values, results)
    return results


def mean_deviation(x: Array, centre: Array, window: int) -> FloatArray:
    """Return the mean over the last `window` sessions of |x - today's centre|, NaN without any, `(date, code)`."""
    deviation = np.empty(x.shape)
    _mean_deviation(
        np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(centre, dtype=np.float64), window, deviation
    )
    return deviation


@compiled
def _run(
    statistic: int, x: Array, other: Array, window: int, enough: int, fades: Array, no_values: Array, results: Array
) -> None:
    n_dates, n_codes = x.shape
    size = len(no_values) * LANES  # part by part
    blocks = np.empty((2 ** fades.shape[1], size))  # those of 2^k sessions begin at row 2^k; row 0 is for work
    now, total, result = np.empty(size), np.empty(size), np.empty(3 * LANES)
    values, others, count = np.full(LANES, np.nan), np.full(LANES, np.nan), np.empty(LANES)
    present = np.empty((window, LANES))
    for first in range(0, n_codes, LANES):
        n = min(LANES, n_codes - first)
        for part in range(len(no_values)):
            blocks[:, part * LANES : (part + 1) * LANES] = no_values[part]
        present[:] = 0.0
        count[:] = 0.0
        for t in range(n_dates):
            for c in range(n):
                values[c] = x[t, first + c]
            if statistic in (Statistic.REGRESSION, Statistic.ADAPTIVE_MEAN):
                for c in range(n):
                    others[c] = other[t, first + c]
            row = t % window
            for c in range(LANES):
                count[c] -= present[row, c]
            _read(statistic, values, others, now, size, present, row)
            for c in range(LANES):
                count[c] += present[row, c]
            if statistic != Statistic.COUNT:
                _fold(statistic, blocks, now, total, t, window, size, fades)
            _finish(statistic, total, count, enough, values, result)
            for i in range(len(results)):
                for c in range(n):
                    results[i, t, first + c] = result[i * LANES + c]


@compiled
def _read(statistic: int, x: Array, other: Array, now: Array, size: int, present: Array, row: int) -> None:
    """Write the parts of one session, and in `present` whether it has a value."""
    for c in range(LANES):
        absent = np.isnan(x[c])
        present[row, c] = 0.0 if absent else 1.0
        now[c] = 0.0 if absent else x[c]
    if statistic <= Statistic.KURTOSIS:
        for start in range(LANES, size, LANES):
            for c in range(LANES):
                now[start + c] = now[start - LANES + c] * now[c]
    elif statistic == Statistic.REGRESSION:
        _read_pair(x, other, now, present, row)
    elif statistic == Statistic.EWMA:
        for c in range(LANES):
            now[LANES + c] = present[row, c]
    elif statistic == Statistic.TREND:
        for c in range(LANES):
            y = now[c]
            now[c], now[3 * LANES + c], now[5 * LANES + c] = present[row, c], y, y * y
            now[LANES + c] = now[2 * LANES + c] = now[4 * LANES + c] = 0.0
    elif statistic == Statistic.ADAPTIVE_MEAN:
        _read_weighted(x, other, now, present, row)
    else:
        _read_extremes(statistic, x, now, size)


@compiled
def _read_weighted(price: Array, weight: Array, now: Array, present: Array, row: int) -> None:
    for c in range(LANES):
        absent = np.isnan(price[c]) | np.isnan(weight[c])
        now[2 * LANES + c], now[3 * LANES + c] = now[c], 1.0 - present[row, c]
        now[c] = 1.0 if absent else 1.0 - weight[c]
        now[LANES + c] = 0.0 if absent else weight[c] * price[c]


@compiled
def _read_extremes(statistic: int, x: Array, now: Array, size: int) -> None:
    for c in range(LANES):
        now[c] = -np.inf if np.isnan(x[c]) else x[c]
    for start in range(LANES, size, LANES):
        for c in range(LANES):
            now[start + c] = 0.0
    if statistic == Statistic.DRAWDOWN:
        for c in range(LANES):
            now[LANES + c] = np.inf if np.isnan(x[c]) else x[c]


@compiled
def _read_pair(y: Array, x: Array, now: Array, present: Array, row: int) -> None:
    for c in range(LANES):
        absent = np.isnan(y[c]) | np.isnan(x[c])
        own, its = (0.0 if absent else y[c]), (0.0 if absent else x[c])
        present[row, c] = 0.0 if absent else 1.0
        now[c], now[LANES + c], now[2 * LANES + c] = own, its, own * its
        now[3 * LANES + c], now[4 * LANES + c] = its * its, own * own


@compiled
def _fold(
    statistic: int, blocks: Array, now: Array, total: Array, t: int, window: int, size: int, fades: Array
) -> None:
    """Combine the blocks that make up the window that ends with session t, and keep those that end with t."""
    width, covered, k = 1, 0, 0
    while True:
        if covered and window & width:
            _merge(statistic, total, blocks, width + ((t - covered) & (width - 1)), size, covered, fades[1, k])
        elif window & width:
            for c in range(size):
                total[c] = now[c]
        covered += window & width
        row = width + (t & (width - 1))
        if covered == window:
            for c in range(size):
                blocks[row, c] = now[c]
            return
        if statistic <= Statistic.EWMA:
            for c in range(size):
                before, recent = blocks[row, c], now[c]
                blocks[row, c] = recent
                now[c] = recent + before * fades[0, k]
        else:
            for c in range(size):
                blocks[0, c] = blocks[row, c]
            for c in range(size):
                blocks[row, c] = now[c]
            _merge(statistic, now, blocks, 0, size, width, fades[0, k])
        width *= 2
        k += 1


@compiled
def _merge(statistic: int, recent: Array, blocks: Array, row: int, size: int, lag: int, fade: float) -> None:
    """Turn the parts of a block into those of it and of the block in `row`, which ends `lag` sessions before it."""
    if statistic <= Statistic.EWMA:
        for c in range(size):
            recent[c] += blocks[row, c] * fade
    elif statistic == Statistic.TREND:
        for c in range(LANES):
            n, age, y = blocks[row, c], blocks[row, LANES + c], blocks[row, 3 * LANES + c]
            recent[c] += n
            recent[LANES + c] += age + lag * n
            recent[2 * LANES + c] += blocks[row, 2 * LANES + c] + 2 * lag * age + lag * lag * n
            recent[3 * LANES + c] += y
            recent[4 * LANES + c] += blocks[row, 4 * LANES + c] + lag * y
            recent[5 * LANES + c] += blocks[row, 5 * LANES + c]
    elif statistic == Statistic.ADAPTIVE_MEAN:
        for c in range(LANES):
            start, before, unset = recent[2 * LANES + c], blocks[row, 2 * LANES + c], blocks[row, 3 * LANES + c]
            recent[LANES + c] += recent[c] * blocks[row, LANES + c]
            recent[c] *= blocks[row, c]
            recent[2 * LANES + c] = start if unset > 0 else before
            recent[3 * LANES + c] *= unset
    elif statistic == Statistic.DRAWDOWN:
        for c in range(LANES):
            high, low, deepest = recent[c], recent[LANES + c], recent[2 * LANES + c]
            high_before, low_before, deepest_before = blocks[row, c], blocks[row, LANES + c], blocks[row, 2 * LANES + c]
            across = low / high_before - 1 if (low < np.inf) & (high_before > -np.inf) else 0.0
            deepest = deepest_before if deepest_before < deepest else deepest
            recent[c] = high_before if high_before > high else high
            recent[LANES + c] = low_before if low_before < low else low
            recent[2 * LANES + c] = across if across < deepest else deepest
    else:
        if statistic == Statistic.AGE_OF_MAX:
            for c in range(LANES):
                age, before = recent[LANES + c], blocks[row, LANES + c] + lag
                recent[LANES + c] = before if blocks[row, c] > recent[c] else age
        for c in range(LANES):
            value, before = recent[c], blocks[row, c]
            recent[c] = before if before > value else value


@compiled
def _finish(statistic: int, total: Array, count: Array, enough: int, x: Array, result: Array) -> None:
    """Write the statistic of the windows that end with one session, from their parts."""
    for c in range(LANES):
        result[c] = count[c] if (count[c] >= enough) | (statistic == Statistic.COUNT) else np.nan
    if statistic == Statistic.MEAN:
        for c in range(LANES):
            result[c] = total[c] / result[c]
    elif statistic in (Statistic.STD, Statistic.SKEWNESS, Statistic.KURTOSIS):
        _finish_moment(statistic, total, result)
    elif statistic == Statistic.REGRESSION:
        _finish_regression(total, result)
    elif statistic == Statistic.TREND:
        _finish_trend(total, result)
    elif statistic == Statistic.EWMA:
        for c in range(LANES):
            result[c] = np.nan if np.isnan(result[c]) else total[c] / total[LANES + c]
    elif statistic == Statistic.ADAPTIVE_MEAN:
        for c in range(LANES):
            absent = np.isnan(result[c]) | np.isnan(x[c])
            result[c] = np.nan if absent else total[c] * total[2 * LANES + c] + total[LANES + c]
    elif statistic != Statistic.COUNT:
        part = len(total) - LANES  # the last one: the sum, the maximum, its age, the deepest fall
        for c in range(LANES):
            result[c] = np.nan if np.isnan(result[c]) else total[part + c]


@compiled
def _finish_moment(statistic: int, total: Array, result: Array) -> None:
    for c in range(LANES):
        n, squares = result[c], total[LANES + c]
        deviations = _squared_deviations(n, total[c], squares)
        if statistic == Statistic.STD:
            result[c] = np.sqrt(deviations / (n - 1))
            continue
        mean, variance = total[c] / n, _above_0(deviations / n)
        square, cubes = mean * mean, total[2 * LANES + c]
        if statistic == Statistic.SKEWNESS:
            third = cubes / n - 3 * mean * squares / n + 2 * (square * mean)
            result[c] = third / (variance * np.sqrt(variance))
        else:
            fourth = total[3 * LANES + c] / n - 4 * mean * cubes / n + 6 * square * squares / n - 3 * (square * square)
            result[c] = fourth / (variance * variance) - 3


@compiled
def _finish_regression(total: Array, result: Array) -> None:
    for c in range(LANES):
        n, y, x = result[c], total[c], total[LANES + c]
        yx = total[2 * LANES + c] - y * x / n
        xx = _above_0(_squared_deviations(n, x, total[3 * LANES + c]))
        yy = _squared_deviations(n, y, total[4 * LANES + c])
        unexplained = yy - yx * yx / xx
        result[c] = yx / xx
        result[LANES + c] = _within_1(yx / np.sqrt(xx * _above_0(yy)))
        result[2 * LANES + c] = np.sqrt((0.0 if unexplained < 0 else unexplained) / (n - 2))


@compiled
def _finish_trend(total: Array, result: Array) -> None:
    for c in range(LANES):
        n, age, y, yy = result[c], total[LANES + c], total[3 * LANES + c], total[5 * LANES + c]
        together = y * age / n - total[4 * LANES + c]  # minus the covariance with age: time runs the other way
        ages = total[2 * LANES + c] - age * age / n
        deviations = yy - y * y / n
        deviations = deviations if deviations > 1e-13 * yy else np.nan
        correlation = _within_1(together / np.sqrt(ages * deviations))
        unexplained = 1 - correlation * correlation
        result[c], result[LANES + c] = together / ages, correlation
        result[2 * LANES + c] = correlation * np.sqrt((n - 2) / (unexplained if unexplained > 1e-12 else np.nan))


@compiled
def _squared_deviations(n: float, total: float, squares: float) -> float:
    """Return the sum of squared deviations; what cancellation leaves of a constant window is not variance."""
    deviations = squares - total * total / n
    return deviations if (deviations > 1e-13 * squares) | np.isnan(n) else 0.0


@compiled
def _above_0(x: float) -> float:
    return x if x > 0 else np.nan


@compiled
def _within_1(x: float) -> float:
    x = -1.0 if x < -1.0 else x
    return 1.0 if x > 1.0 else x


@compiled
def _mean_deviation(x: Array, centre: Array, window: int, deviation: Array) -> None:
    n_dates, n_codes = x.shape
    count = np.empty(n_codes)
    for t in range(n_dates):
        count[:] = 0.0
        deviation[t] = 0.0
        for age in range(min(window, t + 1)):
            for c in range(n_codes):
                distance = abs(x[t - age, c] - centre[t, c])
                deviation[t, c] += 0.0 if np.isnan(distance) else distance
                count[c] += 0.0 if np.isnan(distance) else 1.0
        for c in range(n_codes):
            deviation[t, c] = deviation[t, c] / count[c] if count[c] > 0 else np.nan
