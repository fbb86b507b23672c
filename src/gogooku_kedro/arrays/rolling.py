"""Trailing-window statistics along `date` that see the rows of their window and nothing else.

Rule for absent values, the same for every statistic: at least 80% of the window's sessions must be
present (`min_present`), otherwise the result is NaN; the present ones then count as the whole
window. All functions take and return float64 DataArrays with a `date` dimension. How a window is
assembled, and why not by a running sum: `arrays/fold.py`.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import sqrt
from gogooku_kedro.arrays.fold import Parts, fold_panel

MIN_PRESENT = 0.8


class Regression(NamedTuple):
    """Rolling least squares of y on x: slope, correlation, standard deviation of the residual."""

    beta: xr.DataArray
    correlation: xr.DataArray
    residual_std: xr.DataArray


def min_present(window: int) -> int:
    """Return how many of `window` sessions must be present for a statistic to exist."""
    return math.ceil(round(MIN_PRESENT * window, 9))


def rolling_count(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the number of present values among the last `window` sessions."""
    return _sum(x.notnull().astype(np.int16), window).astype(np.float64)


def rolling_sum(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the sum of the present values among the last `window` sessions."""
    return _total(x, window).where(_enough(x, window).notnull())


def rolling_mean(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the mean of the present values among the last `window` sessions."""
    return _total(x, window) / _enough(x, window)


def rolling_max(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the maximum of the last `window` sessions."""
    highest = fold_panel([x.fillna(-np.inf)], window, _larger)[0]
    return highest.where(_enough(x, window).notnull())


def rolling_min(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the minimum of the last `window` sessions."""
    return -rolling_max(-x, window)


def rolling_std(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the sample standard deviation (n - 1) of the last `window` sessions.

    Meant for returns and logarithms, whose mean is not many orders of magnitude above their spread;
    a window of equal values gives exactly 0.
    """
    n = _enough(x, window)
    return sqrt(_squared_deviations(n, _total(x, window), _total(x**2, window)) / (n - 1))


def rolling_skewness(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the skewness m3 / m2^1.5 (population moments) of the last `window` sessions.

    NaN below 80% present and where the window's values are all equal.
    """
    n = _enough(x, window)
    total, squares = _total(x, window), _total(x**2, window)
    mean = total / n
    variance = _squared_deviations(n, total, squares) / n
    third = _total(x**3, window) / n - 3 * mean * squares / n + 2 * mean**3
    return third / variance.where(variance > 0) ** 1.5


def rolling_kurtosis(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the excess kurtosis m4 / m2^2 - 3 (population moments) of the last `window` sessions.

    NaN below 80% present and where the window's values are all equal.
    """
    n = _enough(x, window)
    total, squares, cubes = (_total(x**power, window) for power in (1, 2, 3))
    mean = total / n
    variance = _squared_deviations(n, total, squares) / n
    fourth = _total(x**4, window) / n - 4 * mean * cubes / n + 6 * mean**2 * squares / n - 3 * mean**4
    return fourth / variance.where(variance > 0) ** 2 - 3


def rolling_ewma(x: xr.DataArray, window: int, half_life: float) -> xr.DataArray:
    """Return the exponentially weighted mean of the last `window` sessions.

    Weights 0.5^(age / half_life), cut off after `window` sessions and renormalised over the present
    values, so that the look-back is finite. NaN below 80% present.
    """
    decay = 0.5 ** (1.0 / half_life)
    weighted = _sum(x.fillna(0.0), window, decay)
    weights = _sum(x.notnull().astype(np.float64), window, decay)
    return (weighted / weights).where(_enough(x, window).notnull())


def rolling_regression(y: xr.DataArray, x: xr.DataArray, window: int) -> Regression:
    """Regress y on x with an intercept over the last `window` sessions where both are present.

    NaN below 80% present and where x (for the correlation: or y) does not vary. The residual's
    standard deviation has n - 2 degrees of freedom.
    """
    y, x = xr.broadcast(y, x)
    together = y.notnull() & x.notnull()
    y, x = y.where(together), x.where(together)
    n, sum_y, sum_x = _enough(y, window), _total(y, window), _total(x, window)
    yx = _total(y * x, window) - sum_y * sum_x / n
    xx = _squared_deviations(n, sum_x, _total(x**2, window))
    yy = _squared_deviations(n, sum_y, _total(y**2, window))
    xx = xx.where(xx > 0)
    return Regression(
        beta=yx / xx,
        correlation=(yx / sqrt(xx * yy.where(yy > 0))).clip(-1, 1),
        residual_std=sqrt((yy - yx**2 / xx).clip(min=0) / (n - 2)),
    )


def _squared_deviations(n: xr.DataArray, total: xr.DataArray, squares: xr.DataArray) -> xr.DataArray:
    deviations = squares - total**2 / n
    # What cancellation leaves of a constant window is rounding, not variance.
    return deviations.where(deviations > 1e-13 * squares, 0.0).where(n.notnull())


def _enough(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the number of present values, NaN below the required number."""
    count = rolling_count(x, window)
    return count.where(count >= min_present(window))


def _total(x: xr.DataArray, window: int) -> xr.DataArray:
    return _sum(x.fillna(0.0), window)


def _sum(x: xr.DataArray, window: int, decay: float = 1.0) -> xr.DataArray:
    return fold_panel([x], window, partial(_add, decay=decay))[0]


def _add(recent: Parts, older: Parts, out: Parts, lag: int, decay: float) -> None:
    faded = older[0] if decay == 1.0 else older[0] * decay**lag
    np.add(recent[0], faded, out=out[0])


def _larger(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    np.maximum(recent[0], older[0], out=out[0])
