"""Direction and persistence of the price: moving averages, MACD, RSI, Bollinger bands."""

from functools import partial

import numpy as np
import xarray as xr

from gogooku_kedro.features.elementwise import log, log1p
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import (
    rolling_ewma,
    rolling_mean,
    rolling_std,
    rolling_sum,
)

MACD_WINDOW = 90  # sessions; the 26-session EMA has 99.9% of its weight inside


def sma_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / simple moving average over `window` sessions - 1."""
    close = panel["adj_close"]
    return close / rolling_mean(close, window) - 1


def sma_slope(panel: xr.Dataset, window: int, sessions: int) -> xr.DataArray:
    """Return SMA[t] / SMA[t - sessions] - 1 of the `window`-session moving average."""
    average = rolling_mean(panel["adj_close"], window)
    return average / average.shift(date=sessions) - 1


def macd(panel: xr.Dataset) -> xr.DataArray:
    """Return (EMA 12 - EMA 26) / close; a span s has decay 1 - 2 / (s + 1) (Appel, 1979)."""
    close = panel["adj_close"]
    fast = rolling_ewma(close, MACD_WINDOW, _half_life_of_span(12))
    slow = rolling_ewma(close, MACD_WINDOW, _half_life_of_span(26))
    return (fast - slow) / close


def rsi(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return gains / (gains + losses) over `window` sessions, in [0, 1] (Cutler's RSI)."""
    returns = panel["ret_1d"]
    moves = rolling_sum(abs(returns), window)
    return rolling_sum(returns.clip(min=0), window) / moves.where(moves > 0)


def bollinger_position(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return %b of the log price: 0 on the lower band, 1 on the upper (mean -+ 2 std)."""
    log_close = log(panel["adj_close"])
    spread = rolling_std(log_close, window)
    return 0.5 + (log_close - rolling_mean(log_close, window)) / (4 * spread.where(spread > 0))


def efficiency_ratio(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return net move / sum of absolute moves over `window`, in [-1, 1] (Kaufman, 1995)."""
    log_returns = log1p(panel["ret_1d"])
    path = rolling_sum(abs(log_returns), window)
    return rolling_sum(log_returns, window) / path.where(path > 0)


def _half_life_of_span(span: int) -> float:
    return float(np.log(0.5) / np.log(1 - 2 / (span + 1)))


CLOSE = ("adj_close",)
RETURN = ("ret_1d",)


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "trend", needs, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"sma_gap_{n}d",
            CLOSE,
            n,
            f"close / mean close over {n} - 1",
            partial(sma_gap, window=n),
        )
        for n in (5, 20, 60)
    ),
    _feature(
        "sma_slope_20d",
        CLOSE,
        24,
        "SMA20[t] / SMA20[t-5] - 1",
        partial(sma_slope, window=20, sessions=5),
    ),
    _feature("macd", CLOSE, MACD_WINDOW, "(EMA12 - EMA26) / close", partial(macd)),
    _feature("rsi_14d", RETURN, 14, "gains / (gains + losses) over 14", partial(rsi, window=14)),
    _feature(
        "bollinger_20d",
        CLOSE,
        20,
        "1/2 + (log close - mean over 20) / (4 std over 20)",
        partial(bollinger_position, window=20),
    ),
    _feature(
        "efficiency_ratio_20d",
        RETURN,
        20,
        "sum over 20 of log return / sum over 20 of |log return|",
        partial(efficiency_ratio, window=20),
    ),
)
