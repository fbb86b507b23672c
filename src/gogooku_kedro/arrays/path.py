"""Statistics of a trailing window that depend on the order of its sessions."""

from typing import NamedTuple

import xarray as xr

from gogooku_kedro.arrays.rolling import over_window
from gogooku_kedro.arrays.trailing import Statistic


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
    return Trend(*over_window(Statistic.TREND, y, window=window))


def sessions_since_max(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return how many sessions ago x was highest within the last `window`; the latest counts in a tie.

    NaN below 80% present.
    """
    return over_window(Statistic.AGE_OF_MAX, x, window=window)[0]


def sessions_since_min(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return how many sessions ago x was lowest within the last `window`; the latest counts in a tie."""
    return sessions_since_max(-x, window)


def max_drawdown(price: xr.DataArray, window: int) -> xr.DataArray:
    """Return the deepest fall from a high to a later low within the last `window`, a fraction <= 0.

    NaN below 80% present.
    """
    return over_window(Statistic.DRAWDOWN, price, window=window)[0]


def adaptive_mean(price: xr.DataArray, weight: xr.DataArray, window: int) -> xr.DataArray:
    """Return m[t] = m[t-1] + weight[t] * (price[t] - m[t-1]), started `window` sessions ago.

    The start is the first present price of the window; a session whose price or weight is absent
    changes nothing. NaN below 80% present.
    """
    return over_window(Statistic.ADAPTIVE_MEAN, *xr.broadcast(price, weight), window=window)[0]
