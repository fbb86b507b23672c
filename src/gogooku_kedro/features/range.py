"""Where the close stands in the day's range and in the range of the last sessions."""

from functools import partial

import xarray as xr

from gogooku_kedro.features.elementwise import log
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import rolling_max, rolling_mean, rolling_min


def close_location(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of (C - L) / (H - L) over `window` sessions, in [0, 1].

    A session without range counts as absent.
    """
    low = panel["adj_low"]
    height = panel["adj_high"] - low
    return rolling_mean((panel["adj_close"] - low) / height.where(height > 0), window)


def high_low_range(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of log(H / L) over `window` sessions."""
    return rolling_mean(log(panel["adj_high"] / panel["adj_low"]), window)


def range_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the mean range over `short` sessions divided by that over `long` sessions."""
    base = high_low_range(panel, long)
    return high_low_range(panel, short) / base.where(base > 0)


def range_position(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (close - lowest low) / (highest high - lowest low) over `window`, in [0, 1]."""
    lowest = rolling_min(panel["adj_low"], window)
    height = rolling_max(panel["adj_high"], window) - lowest
    return (panel["adj_close"] - lowest) / height.where(height > 0)


def drawdown(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / highest close over `window` sessions - 1, a fraction <= 0."""
    close = panel["adj_close"]
    return close / rolling_max(close, window) - 1


RANGE = ("adj_high", "adj_low")
RANGE_AND_CLOSE = ("adj_high", "adj_low", "adj_close")


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "range", needs, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"close_location_{n}d",
            RANGE_AND_CLOSE,
            n,
            f"mean over {n} of (C - L) / (H - L)",
            partial(close_location, window=n),
        )
        for n in (1, 5)
    ),
    *(
        _feature(
            f"high_low_range_{n}d",
            RANGE,
            n,
            f"mean over {n} of log(H / L)",
            partial(high_low_range, window=n),
        )
        for n in (5, 20)
    ),
    _feature(
        "range_ratio_1_20",
        RANGE,
        20,
        "log(H / L) / high_low_range_20d",
        partial(range_ratio, short=1, long=20),
    ),
    *(
        _feature(
            f"range_position_{n}d",
            RANGE_AND_CLOSE,
            n,
            f"(close - lowest low) / (highest high - lowest low) over {n}",
            partial(range_position, window=n),
        )
        for n in (20, 60, 120)
    ),
    _feature(
        "drawdown_60d",
        ("adj_close",),
        60,
        "close / highest close over 60 - 1",
        partial(drawdown, window=60),
    ),
)
