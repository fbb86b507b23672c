"""Trailing-window statistics along `date` that see the rows of their window and nothing else.

A running sum that adds the new value and subtracts the old one keeps the rounding error of every
value it has ever seen: one price of 1e9 spoils a variance for the rest of the history. Here a
window is assembled from blocks of 1, 2, 4, 8, … sessions instead, log2(window) vectorised passes
over the panel, so that a value depends on its window bit for bit: neither later nor older rows can
move it.

Rule for absent values, the same for every statistic: at least 80% of the window's sessions must be
present (`min_present`), otherwise the result is NaN; the present ones then count as the whole
window. All functions take and return float64 DataArrays with a `date` dimension.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from gogooku_kedro.features.elementwise import sqrt

MIN_PRESENT = 0.8

Array = npt.NDArray[Any]


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
    return _rolling(_one_where_present(x), window, np.add, 0.0)


def rolling_sum(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the sum of the present values among the last `window` sessions."""
    return _total(x, window).where(_enough(x, window).notnull())


def rolling_mean(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the mean of the present values among the last `window` sessions."""
    return _total(x, window) / _enough(x, window)


def rolling_max(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the maximum of the last `window` sessions."""
    highest = _rolling(x.fillna(-np.inf), window, np.maximum, -np.inf)
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


def rolling_ewma(x: xr.DataArray, window: int, half_life: float) -> xr.DataArray:
    """Return the exponentially weighted mean of the last `window` sessions.

    Weights 0.5^(age / half_life), cut off after `window` sessions and renormalised over the present
    values, so that the look-back is finite. NaN below 80% present.
    """
    decay = 0.5 ** (1.0 / half_life)
    weighted = _rolling(x.fillna(0.0), window, np.add, 0.0, decay)
    weights = _rolling(_one_where_present(x), window, np.add, 0.0, decay)
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
    """Number of present values, NaN below the required number."""
    count = rolling_count(x, window)
    return count.where(count >= min_present(window))


def _one_where_present(x: xr.DataArray) -> xr.DataArray:
    return x.notnull().astype(np.float64)


def _total(x: xr.DataArray, window: int) -> xr.DataArray:
    return _rolling(x.fillna(0.0), window, np.add, 0.0)


def _rolling(
    x: xr.DataArray, window: int, combine: Callable[..., Array], identity: float, decay: float = 1.0
) -> xr.DataArray:
    folded: xr.DataArray = xr.apply_ufunc(
        _fold,
        x.astype(np.float64, copy=False),
        input_core_dims=[["date"]],
        output_core_dims=[["date"]],
        kwargs={"window": window, "combine": combine, "identity": identity, "decay": decay},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return folded.transpose(*x.dims)


def _fold(
    values: Array, *, window: int, combine: Callable[..., Array], identity: float, decay: float
) -> Array:
    # block[t] combines the last `width` entries of the last axis up to t
    block, width = values, 1
    result, covered = np.full_like(values, identity), 0
    while covered < window:
        if window & width:
            result = _append(result, block, covered, combine, decay)
            covered += width
        if covered < window:
            block = _append(block, block, width, combine, decay)
            width *= 2
    return result


def _append(recent: Array, older: Array, lag: int, combine: Callable[..., Array], decay: float) -> Array:
    merged = recent.copy(order="K")
    length = recent.shape[-1]
    if lag < length:
        shifted = older[..., : length - lag]
        if decay != 1.0:
            shifted = shifted * decay**lag
        combine(recent[..., lag:], shifted, out=merged[..., lag:])
    return merged
