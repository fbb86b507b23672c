"""Statistics of a trailing window that depend on the order of its sessions."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import sqrt
from gogooku_kedro.arrays.fold import Parts, fold_panel
from gogooku_kedro.arrays.rolling import min_present, rolling_count


class Trend(NamedTuple):
    """Rolling least squares on time: slope per session, correlation with time, t-value of the slope."""

    slope: xr.DataArray
    correlation: xr.DataArray
    t_value: xr.DataArray


def rolling_trend(y: xr.DataArray, window: int) -> Trend:
    """Regress y on time with an intercept over the present ones of the last `window` sessions.

    Time is counted back from today, so that the result does not depend on where the panel begins.
    NaN below 80% present; correlation and t-value also where y does not vary.
    """
    present = y.notnull().astype(float)
    y0 = y.fillna(0.0)
    zero = xr.zeros_like(present)
    parts = [present, zero, zero.copy(), y0, zero.copy(), y0**2]
    n, age, age2, sum_y, age_y, yy = fold_panel(parts, window, _count_ages)
    n = n.where(n >= min_present(window))
    ss_age, ss_y = age2 - age**2 / n, (yy - sum_y**2 / n).where(lambda s: s > 1e-13 * yy)
    together = sum_y * age / n - age_y  # minus the covariance with age: time runs the other way
    correlation = (together / sqrt(ss_age * ss_y)).clip(-1, 1)
    unexplained = (1 - correlation**2).where(lambda u: u > 1e-12)
    return Trend(together / ss_age, correlation, correlation * sqrt((n - 2) / unexplained))


def sessions_since_max(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return how many sessions ago x was highest within the last `window`; the latest counts in a tie.

    NaN below 80% present.
    """
    zero = xr.zeros_like(x, dtype=float)
    _, age = fold_panel([x.fillna(-np.inf), zero], window, _later_of_the_highest)
    return age.where(rolling_count(x, window) >= min_present(window))


def sessions_since_min(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return how many sessions ago x was lowest within the last `window`; the latest counts in a tie."""
    return sessions_since_max(-x, window)


def max_drawdown(price: xr.DataArray, window: int) -> xr.DataArray:
    """Return the deepest fall from a high to a later low within the last `window`, a fraction <= 0.

    NaN below 80% present.
    """
    zero = xr.zeros_like(price, dtype=float)
    parts = [price.fillna(-np.inf), price.fillna(np.inf), zero]
    _, _, deepest = fold_panel(parts, window, _deepest_fall)
    return deepest.where(rolling_count(price, window) >= min_present(window))


def adaptive_mean(price: xr.DataArray, weight: xr.DataArray, window: int) -> xr.DataArray:
    """Return m[t] = m[t-1] + weight[t] * (price[t] - m[t-1]), started `window` sessions ago.

    The start is the first present price of the window; a session whose price or weight is absent
    changes nothing. NaN below 80% present.
    """
    present = price.notnull() & weight.notnull()
    keep = (1 - weight).where(present, 1.0)
    gain = (weight * price).where(present, 0.0)
    start, unset = price.fillna(0.0), price.isnull().astype(float)
    parts = [keep, gain, start, unset]
    kept, gained, first, _ = fold_panel(parts, window, _then)
    enough = rolling_count(price, window) >= min_present(window)
    return (kept * first + gained).where(enough & price.notnull())


def _count_ages(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    n, age, age2, y, age_y, yy = older
    shifted = (n, age + lag * n, age2 + 2 * lag * age + lag**2 * n, y, age_y + lag * y, yy)
    for now, before, merged in zip(recent, shifted, out, strict=True):
        np.add(now, before, out=merged)


def _later_of_the_highest(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    higher = older[0] > recent[0]
    np.maximum(recent[0], older[0], out=out[0])
    out[1][...] = np.where(higher, older[1] + lag, recent[1])


def _deepest_fall(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    (high, low, deepest), (high_before, low_before, deepest_before) = recent, older
    np.maximum(high, high_before, out=out[0])
    np.minimum(low, low_before, out=out[1])
    known = np.isfinite(low) & np.isfinite(high_before)
    across = np.divide(low, high_before, out=np.ones_like(low), where=known) - 1
    out[2][...] = np.minimum(np.minimum(deepest, deepest_before), across)


def _then(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    (keep, gain, start, unset), (keep_before, gain_before, start_before, unset_before) = recent, older
    np.multiply(keep, keep_before, out=out[0])
    out[1][...] = gain + keep * gain_before
    out[2][...] = np.where(unset_before > 0, start, start_before)
    np.multiply(unset, unset_before, out=out[3])
