"""How much a stock trades: abnormal volume, turnover, illiquidity and absence of trade."""

from functools import partial

import numpy as np
import xarray as xr

from gogooku_kedro.features.elementwise import log
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import (
    min_present,
    rolling_count,
    rolling_mean,
    rolling_regression,
    rolling_std,
)


def volume_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return log(mean volume over `short` sessions / mean volume over `long` sessions)."""
    volume = _traded_volume(panel)
    return log(rolling_mean(volume, short) / rolling_mean(volume, long))


def volume_z(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log volume minus its `window`-session mean, in standard deviations of that window."""
    log_volume = log(_traded_volume(panel))
    spread = rolling_std(log_volume, window)
    return (log_volume - rolling_mean(log_volume, window)) / spread.where(spread > 0)


def mean_log_turnover(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean log turnover value (yen) of the last `window` sessions."""
    return rolling_mean(log(_traded_value(panel)), window)


def amihud_illiquidity(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(mean(|return| / turnover value)), per yen (Amihud, 2002)."""
    impact = rolling_mean(abs(panel["ret_1d"]) / _traded_value(panel), window)
    return log(impact)


def volume_return_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with log volume over `window` sessions."""
    return rolling_regression(panel["ret_1d"], log(_traded_volume(panel)), window).correlation


def zero_trade_count(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return how many of the last `window` sessions the stock was listed and did not trade.

    NaN where it was listed on less than 80% of them.
    """
    listed = panel["listed"]
    idle = rolling_count(xr.ones_like(listed, dtype=np.float64).where(listed & ~panel["traded"]), window)
    seen = rolling_count(xr.ones_like(listed, dtype=np.float64).where(listed), window)
    return idle.where(seen >= min_present(window))


def _volume_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_std(log(_traded_volume(panel)), window)


def _traded_volume(panel: xr.Dataset) -> xr.DataArray:
    return panel["adj_volume"].where(panel["adj_volume"] > 0)


def _traded_value(panel: xr.Dataset) -> xr.DataArray:
    return panel["turnover_value"].where(panel["turnover_value"] > 0)


VOLUME = ("adj_volume",)


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "volume", needs, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"volume_ratio_{short}_{long}",
            VOLUME,
            long,
            f"log(mean volume over {short} / mean volume over {long})",
            partial(volume_ratio, short=short, long=long),
        )
        for short, long in ((1, 5), (5, 20), (5, 60), (20, 120))
    ),
    *(
        _feature(
            f"volume_z_{n}d",
            VOLUME,
            n,
            f"(log volume - mean over {n}) / std over {n}",
            partial(volume_z, window=n),
        )
        for n in (20, 60)
    ),
    _feature(
        "volume_volatility_20d",
        VOLUME,
        20,
        "std over 20 of log volume",
        partial(_volume_volatility, window=20),
    ),
    _feature(
        "log_turnover_20d",
        ("turnover_value",),
        20,
        "mean over 20 of log turnover value",
        partial(mean_log_turnover, window=20),
    ),
    _feature(
        "amihud_20d",
        ("ret_1d", "turnover_value"),
        20,
        "log(mean over 20 of |return_1d| / turnover value)",
        partial(amihud_illiquidity, window=20),
    ),
    _feature(
        "volume_return_correlation_20d",
        ("ret_1d", "adj_volume"),
        20,
        "correlation over 20 of return_1d and log volume",
        partial(volume_return_correlation, window=20),
    ),
    _feature(
        "zero_trade_count_20d",
        ("listed", "traded"),
        20,
        "sessions of the last 20 listed without a trade",
        partial(zero_trade_count, window=20),
    ),
)
