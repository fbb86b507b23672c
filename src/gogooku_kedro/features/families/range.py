"""Where the close stands in the session's range and in the range of the last sessions."""

import xarray as xr

from gogooku_kedro.arrays import path
from gogooku_kedro.arrays.elementwise import log
from gogooku_kedro.arrays.rolling import rolling_max, rolling_mean, rolling_min
from gogooku_kedro.features.feature import Family, shared


def close_location(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of (C - L) / (H - L) over `window` sessions, in [0, 1].

    A session without range counts as absent.
    """
    low = panel["adj_low"]
    height = panel["adj_high"] - low
    return rolling_mean((panel["adj_close"] - low) / height.where(height > 0), window)


@shared
def high_low_range(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of log(H / L) over `window` sessions."""
    return rolling_mean(log(panel["adj_high"] / panel["adj_low"]), window)


def range_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the mean range over `short` sessions divided by that over `long` sessions."""
    base = high_low_range(panel, long)
    return high_low_range(panel, short) / base.where(base > 0)


@shared
def highest_high(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the highest high of the last `window` sessions (upper Donchian channel)."""
    return rolling_max(panel["adj_high"], window)


@shared
def lowest_low(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the lowest low of the last `window` sessions (lower Donchian channel)."""
    return rolling_min(panel["adj_low"], window)


@shared
def range_position(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (close - lowest low) / (highest high - lowest low) over `window`, in [0, 1]."""
    lowest = lowest_low(panel, window)
    height = highest_high(panel, window) - lowest
    return (panel["adj_close"] - lowest) / height.where(height > 0)


def donchian_width(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(highest high / lowest low) over `window` sessions."""
    return log(highest_high(panel, window) / lowest_low(panel, window))


def drawdown(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / highest close over `window` sessions - 1, a fraction <= 0."""
    close = panel["adj_close"]
    return close / rolling_max(close, window) - 1


def rise_from_low(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / lowest close over `window` sessions - 1, a fraction >= 0."""
    close = panel["adj_close"]
    return close / rolling_min(close, window) - 1


def _max_drawdown(panel: xr.Dataset, window: int) -> xr.DataArray:
    return path.max_drawdown(panel["adj_close"], window)


def _sessions_since_high(panel: xr.Dataset, window: int) -> xr.DataArray:
    return path.sessions_since_max(panel["adj_high"], window)


def _sessions_since_low(panel: xr.Dataset, window: int) -> xr.DataArray:
    return path.sessions_since_min(panel["adj_low"], window)


RANGE, CLOSE = ("adj_high", "adj_low"), ("adj_close",)
RANGE_AND_CLOSE = ("adj_high", "adj_low", "adj_close")
GEORGE_HWANG, DONCHIAN = "George, Hwang (2004)", "Donchian (1960)"

_family = Family("range")
_each = _family.each
FEATURES = (
    *_each("close_location_{n}d", (1, 20), RANGE_AND_CLOSE, "mean over {n} of (C - L) / (H - L)", close_location),
    *_each("high_low_range_{n}d", (5, 20), RANGE, "mean over {n} of log(H / L)", high_low_range),
    *_family.each_pair(
        "range_ratio_{short}_{long}", ((1, 20),), RANGE, "log(H / L) / high_low_range_{long}d", range_ratio
    ),
    *_each(
        "range_position_{n}d",
        (20, 60, 250),
        RANGE_AND_CLOSE,
        "(close - lowest low) / (highest high - lowest low) over {n}",
        range_position,
        DONCHIAN,
    ),
    *_each("donchian_width_{n}d", (20,), RANGE, "log(highest high / lowest low) over {n}", donchian_width, DONCHIAN),
    *_each("drawdown_{n}d", (60, 250), CLOSE, "close / highest close over {n} - 1", drawdown, GEORGE_HWANG),
    *_each("rise_from_low_{n}d", (250,), CLOSE, "close / lowest close over {n} - 1", rise_from_low, GEORGE_HWANG),
    *_each(
        "max_drawdown_{n}d",
        (120,),
        CLOSE,
        "deepest fall of the close from a high to a later low within {n}, a fraction",
        _max_drawdown,
        "Magdon-Ismail, Atiya (2004)",
    ),
    *_each(
        "sessions_since_high_{n}d",
        (250,),
        ("adj_high",),
        "sessions since the highest high of {n}",
        _sessions_since_high,
        GEORGE_HWANG,
    ),
    *_each(
        "sessions_since_low_{n}d",
        (250,),
        ("adj_low",),
        "sessions since the lowest low of {n}",
        _sessions_since_low,
        GEORGE_HWANG,
    ),
)
