"""Trailing-window statistics along `date` that see the rows of their window and nothing else.

Rule for absent values, the same for every statistic: at least 80% of the window's sessions must be
present (`min_present`), otherwise the result is NaN; the present ones then count as the whole
window. All functions take and return float64 DataArrays with a `date` dimension. How a window is
assembled, and why not by a running sum: `arrays/fold.py`; the loops: `arrays/trailing.py`.
"""

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.trailing import Statistic, mean_deviation, trailing
from gogooku_kedro.typing import Array

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
    return over_window(Statistic.COUNT, x, window=window)[0]


def rolling_sum(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the sum of the present values among the last `window` sessions."""
    return over_window(Statistic.SUM, x, window=window)[0]


def rolling_mean(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the mean of the present values among the last `window` sessions."""
    return over_window(Statistic.MEAN, x, window=window)[0]


def rolling_max(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the maximum of the last `window` sessions."""
    return over_window(Statistic.MAX, x, window=window)[0]


def rolling_min(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the minimum of the last `window` sessions."""
    return -rolling_max(-x, window)


def rolling_std(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the sample standard deviation (n - 1) of the last `window` sessions.

    Meant for returns and logarithms, whose mean is not many orders of magnitude above their spread;
    a window of equal values gives exactly 0.
    """
    return over_window(Statistic.STD, x, window=window)[0]


def rolling_skewness(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the skewness m3 / m2^1.5 (population moments) of the last `window` sessions.

    NaN below 80% present and where the window's values are all equal.
    """
    return over_window(Statistic.SKEWNESS, x, window=window)[0]


def rolling_kurtosis(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the excess kurtosis m4 / m2^2 - 3 (population moments) of the last `window` sessions.

    NaN below 80% present and where the window's values are all equal.
    """
    return over_window(Statistic.KURTOSIS, x, window=window)[0]


def rolling_ewma(x: xr.DataArray, window: int, half_life: float) -> xr.DataArray:
    """Return the exponentially weighted mean of the last `window` sessions.

    Weights 0.5^(age / half_life), cut off after `window` sessions and renormalised over the present
    values, so that the look-back is finite. NaN below 80% present.
    """
    return over_window(Statistic.EWMA, x, window=window, decay=0.5 ** (1.0 / half_life))[0]


def rolling_mean_deviation(x: xr.DataArray, centre: xr.DataArray, window: int) -> xr.DataArray:
    """Return the mean of |x - centre| over the last `window` sessions, with the centre of today.

    NaN where today's centre is; it has no rule of its own for absent values.
    """
    x, centre = xr.broadcast(x, centre)
    return _like(x, mean_deviation(_by_date(x), _by_date(centre), window))


def rolling_regression(y: xr.DataArray, x: xr.DataArray, window: int) -> Regression:
    """Regress y on x with an intercept over the last `window` sessions where both are present.

    NaN below 80% present and where x (for the correlation: or y) does not vary. The residual's
    standard deviation has n - 2 degrees of freedom.
    """
    return Regression(*over_window(Statistic.REGRESSION, *xr.broadcast(y, x), window=window))


def over_window(
    statistic: Statistic, x: xr.DataArray, other: xr.DataArray | None = None, *, window: int, decay: float = 1.0
) -> list[xr.DataArray]:
    """Return the results of `trailing` along `date`, each with the labels of x.

    Args:
        statistic: Which one.
        x: With the dimension `date`, any others, in any order.
        other: Of the dimensions of x, or None.
        window: Sessions.
        decay: See `trailing`.
    """
    values = None if other is None else _by_date(other.transpose(*x.dims))
    results = trailing(statistic, _by_date(x), window, min_present(window), values, decay)
    return [_like(x, result) for result in results]


def _by_date(x: xr.DataArray) -> Array:
    """Return the values as (date, everything else)."""
    return np.moveaxis(x.values, x.get_axis_num("date"), 0).reshape(x.sizes["date"], -1)


def _like(x: xr.DataArray, values: Array) -> xr.DataArray:
    axis = x.get_axis_num("date")
    shape = np.moveaxis(x.values, axis, 0).shape
    return x.copy(deep=False, data=np.moveaxis(values.reshape(shape), 0, axis))
