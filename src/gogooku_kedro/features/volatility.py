"""How much a stock moves: realised and range-based volatility, tails and asymmetry."""

from functools import partial

import numpy as np
import xarray as xr

from gogooku_kedro.features.elementwise import log, log1p, sqrt
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import (
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_skewness,
    rolling_std,
)


def realised_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of one-day log returns over `window` sessions, per session."""
    return rolling_std(log1p(panel["ret_1d"]), window)


def parkinson_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(log(H/L)^2) / (4 log 2)) (Parkinson, 1980)."""
    log_range = log(panel["adj_high"] / panel["adj_low"])
    return sqrt(rolling_mean(log_range**2, window) / (4 * np.log(2)))


def garman_klass_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(log(H/L)^2 / 2 - (2 log 2 - 1) log(C/O)^2)) (Garman, Klass, 1980)."""
    log_range = log(panel["adj_high"] / panel["adj_low"])
    log_body = log(panel["adj_close"] / panel["adj_open"])
    variance = log_range**2 / 2 - (2 * np.log(2) - 1) * log_body**2
    return sqrt(rolling_mean(variance, window).clip(min=0))


def downside_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(min(return, 0)^2)) over `window` sessions."""
    return sqrt(rolling_mean(panel["ret_1d"].clip(max=0) ** 2, window))


def volatility_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return realised volatility over `short` sessions divided by that over `long` sessions."""
    base = realised_volatility(panel, long)
    return realised_volatility(panel, short) / base.where(base > 0)


def _absolute_return(panel: xr.Dataset) -> xr.DataArray:
    return abs(panel["ret_1d"])


def _max_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_max(panel["ret_1d"], window)


def _min_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_min(panel["ret_1d"], window)


def _skewness(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_skewness(panel["ret_1d"], window)


RETURN = ("ret_1d",)
RANGE = ("adj_high", "adj_low")
BARS = ("adj_open", "adj_high", "adj_low", "adj_close")


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "volatility", needs, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"volatility_{n}d",
            RETURN,
            n,
            f"std over {n} of log return",
            partial(realised_volatility, window=n),
        )
        for n in (5, 20, 60)
    ),
    _feature(
        "parkinson_20d",
        RANGE,
        20,
        "sqrt(mean over 20 of log(H/L)^2 / (4 log 2))",
        partial(parkinson_volatility, window=20),
    ),
    _feature(
        "garman_klass_20d",
        BARS,
        20,
        "sqrt(mean over 20 of log(H/L)^2 / 2 - (2 log 2 - 1) log(C/O)^2)",
        partial(garman_klass_volatility, window=20),
    ),
    _feature(
        "downside_volatility_20d",
        RETURN,
        20,
        "sqrt(mean over 20 of min(return, 0)^2)",
        partial(downside_volatility, window=20),
    ),
    _feature(
        "volatility_ratio_5_20",
        RETURN,
        20,
        "volatility_5d / volatility_20d",
        partial(volatility_ratio, short=5, long=20),
    ),
    _feature(
        "volatility_ratio_20_60",
        RETURN,
        60,
        "volatility_20d / volatility_60d",
        partial(volatility_ratio, short=20, long=60),
    ),
    _feature("absolute_return_1d", RETURN, 1, "|return_1d|", partial(_absolute_return)),
    _feature("max_return_20d", RETURN, 20, "max over 20 of return_1d", partial(_max_return, window=20)),
    _feature("min_return_20d", RETURN, 20, "min over 20 of return_1d", partial(_min_return, window=20)),
    _feature("skewness_60d", RETURN, 60, "skewness over 60 of return_1d", partial(_skewness, window=60)),
)
