"""Direction and persistence of the price: moving averages, MACD, trend lines, efficiency."""

from functools import partial

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import log, log1p
from gogooku_kedro.arrays.path import Trend, adaptive_mean, rolling_trend
from gogooku_kedro.arrays.rolling import rolling_ewma, rolling_mean, rolling_sum
from gogooku_kedro.features.feature import Family, shared

MACD_WINDOW = 90  # sessions; the 26-session EMA has 99.9% of its weight inside
KAMA_WINDOW = 60  # sessions over which the adaptive mean runs
KAMA_FAST, KAMA_SLOW = 2 / (2 + 1), 2 / (30 + 1)  # Kaufman's smoothing constants


def half_life_of_span(span: int) -> float:
    """Return the half-life in sessions of an EMA with decay 1 - 2 / (span + 1)."""
    return float(np.log(0.5) / np.log(1 - 2 / (span + 1)))


@shared
def simple_mean(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean adjusted close over `window` sessions."""
    return rolling_mean(panel["adj_close"], window)


@shared
def exponential_mean(panel: xr.Dataset, span: int, window: int) -> xr.DataArray:
    """Return the EMA of the adjusted close with decay 1 - 2 / (span + 1), cut off after `window`."""
    return rolling_ewma(panel["adj_close"], window, half_life_of_span(span))


def sma_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / simple moving average over `window` sessions - 1."""
    return panel["adj_close"] / simple_mean(panel, window) - 1


def sma_slope(panel: xr.Dataset, window: int, sessions: int) -> xr.DataArray:
    """Return SMA[t] / SMA[t - sessions] - 1 of the `window`-session moving average."""
    average = simple_mean(panel, window)
    return average / average.shift(date=sessions) - 1


def sma_cross(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return SMA over `short` / SMA over `long` sessions - 1."""
    return simple_mean(panel, short) / simple_mean(panel, long) - 1


def ema_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / EMA of span `window` - 1; the EMA is cut off after 4 spans (0.03% of its weight)."""
    return panel["adj_close"] / exponential_mean(panel, window, 4 * window) - 1


@shared
def macd(panel: xr.Dataset) -> xr.DataArray:
    """Return (EMA 12 - EMA 26) / close (Appel, 1979)."""
    fast, slow = (exponential_mean(panel, span, MACD_WINDOW) for span in (12, 26))
    return (fast - slow) / panel["adj_close"]


def macd_histogram(panel: xr.Dataset) -> xr.DataArray:
    """Return the MACD minus its 9-session EMA (cut off after 36 sessions), as a share of the close."""
    line = macd(panel)
    return line - rolling_ewma(line, 36, half_life_of_span(9))


def kaufman_mean(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return Kaufman's adaptive moving average, started at the first close of the last 60 sessions.

    KAMA[t] = KAMA[t-1] + c (close[t] - KAMA[t-1]), c = (ER (2/3 - 2/31) + 2/31)^2 with the
    efficiency ratio ER over `window` sessions, |close[t] - close[t - window]| / sum of |moves|, at
    most 1 where moves are absent.
    """
    close = panel["adj_close"]
    path = rolling_sum(abs(close - close.shift(date=1)), window)
    efficiency = abs(close - close.shift(date=window)) / path.where(path > 0)
    weight = (efficiency.clip(max=1) * (KAMA_FAST - KAMA_SLOW) + KAMA_SLOW) ** 2
    return adaptive_mean(close, weight, KAMA_WINDOW)


def kama_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / KAMA - 1."""
    return panel["adj_close"] / kaufman_mean(panel, window) - 1


@shared
def trend_line(panel: xr.Dataset, window: int) -> Trend:
    """Regress the log close on time over `window` sessions."""
    return rolling_trend(log(panel["adj_close"]), window)


def trend_slope(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of log close on time, per session."""
    return trend_line(panel, window).slope


def trend_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of log close with time: how straight the trend is, in [-1, 1]."""
    return trend_line(panel, window).correlation


def efficiency_ratio(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return net move / sum of absolute moves over `window`, in [-1, 1] (Kaufman, 1995)."""
    log_returns = log1p(panel["ret_1d"])
    path = rolling_sum(abs(log_returns), window)
    return rolling_sum(log_returns, window) / path.where(path > 0)


CLOSE, RETURN = ("adj_close",), ("ret_1d",)
KAUFMAN, APPEL = "Kaufman (1995)", "Appel (1979)"

_family = Family("trend")
_each = _family.each
FEATURES = (
    *_each(
        "sma_gap_{n}d",
        (5, 20, 60, 250),
        CLOSE,
        "close / mean close over {n} - 1",
        sma_gap,
        "Brock, Lakonishok, LeBaron (1992)",
    ),
    *(
        feature
        for window in (20, 60)
        for feature in _family.feature(
            f"sma_slope_{window}d",
            CLOSE,
            window + 4,
            f"SMA{window}[t] / SMA{window}[t-5] - 1",
            partial(sma_slope, window=window, sessions=5),
        )
    ),
    *_family.each_pair(
        "sma_cross_{short}_{long}",
        ((20, 60), (60, 250)),
        CLOSE,
        "SMA{short} / SMA{long} - 1",
        sma_cross,
        "Brock, Lakonishok, LeBaron (1992)",
    ),
    *_each("ema_gap_{n}d", (12,), CLOSE, "close / EMA{n} - 1", ema_gap, lookback=48),
    *_family.feature("macd", CLOSE, MACD_WINDOW, "(EMA12 - EMA26) / close", macd, APPEL),
    *_family.feature("macd_histogram", CLOSE, MACD_WINDOW + 35, "macd - EMA9 of macd", macd_histogram, APPEL),
    *_each("kama_gap_{n}d", (10,), CLOSE, "close / KAMA{n} - 1", kama_gap, KAUFMAN, lookback=KAMA_WINDOW + 9),
    *_each("trend_slope_{n}d", (60,), CLOSE, "slope over {n} of log close on time", trend_slope),
    *_each("trend_correlation_{n}d", (120,), CLOSE, "correlation over {n} of log close with time", trend_correlation),
    *_each(
        "efficiency_ratio_{n}d",
        (20,),
        RETURN,
        "sum over {n} of log return / sum over {n} of |log return|",
        efficiency_ratio,
        KAUFMAN,
    ),
)
