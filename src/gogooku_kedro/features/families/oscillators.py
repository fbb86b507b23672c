"""Oscillators of technical analysis: RSI, Bollinger, stochastic, ADX, ATR, CCI, Aroon, money flow."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import larger, log
from gogooku_kedro.arrays.path import sessions_since_max, sessions_since_min
from gogooku_kedro.arrays.rolling import (
    rolling_ewma,
    rolling_mean,
    rolling_mean_deviation,
    rolling_std,
    rolling_sum,
)
from gogooku_kedro.features.families.range import range_position
from gogooku_kedro.features.families.trend import exponential_mean
from gogooku_kedro.features.feature import Family, shared


def rsi(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return gains / (gains + losses) over `window` sessions, in [0, 1] (Cutler's RSI)."""
    returns = panel["ret_1d"]
    moves = rolling_sum(abs(returns), window)
    return rolling_sum(returns.clip(min=0), window) / moves.where(moves > 0)


@shared
def _bands(panel: xr.Dataset, window: int) -> tuple[xr.DataArray, xr.DataArray]:
    log_close = log(panel["adj_close"])
    return rolling_mean(log_close, window), rolling_std(log_close, window)


def bollinger_position(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return %b of the log price: 0 on the lower band, 1 on the upper (mean -+ 2 std)."""
    mean, spread = _bands(panel, window)
    return 0.5 + (log(panel["adj_close"]) - mean) / (4 * spread.where(spread > 0))


def bollinger_width(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the distance of the bands of the log price, 4 std."""
    return 4 * _bands(panel, window)[1]


def stochastic_d(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return %D, the mean over 3 sessions of %K over `window` sessions, in [0, 1]."""
    return rolling_mean(range_position(panel, window), 3)


@shared
def true_range(panel: xr.Dataset) -> xr.DataArray:
    """Return max(H - L, |H - C[t-1]|, |L - C[t-1]|) in adjusted yen; H - L without a close before."""
    high, low, before = panel["adj_high"], panel["adj_low"], panel["adj_close"].shift(date=1)
    gap = larger(abs(high - before), abs(low - before))
    return larger(high - low, gap).where(high.notnull() & low.notnull())


@shared
def wilder_range(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return Wilder's average true range in adjusted yen; see `wilder_mean`."""
    return wilder_mean(true_range(panel), window)


def wilder_mean(x: xr.DataArray, window: int) -> xr.DataArray:
    """Return the mean with decay 1 - 1 / window, cut off after 6 windows (0.2% of its weight)."""
    return rolling_ewma(x, 6 * window, float(np.log(0.5) / np.log(1 - 1 / window)))


def average_true_range(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return Wilder's average true range as a share of the close."""
    return wilder_range(panel, window) / panel["adj_close"]


@shared
def directional_difference(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (+DI - -DI) / (+DI + -DI) of Wilder's directional movement, in [-1, 1]."""
    up = panel["adj_high"] - panel["adj_high"].shift(date=1)
    down = panel["adj_low"].shift(date=1) - panel["adj_low"]
    known = up.notnull() & down.notnull()
    plus = wilder_mean(up.where((up > down) & (up > 0), 0.0).where(known), window)
    minus = wilder_mean(down.where((down > up) & (down > 0), 0.0).where(known), window)
    return (plus - minus) / (plus + minus).where(plus + minus > 0)


def average_directional_index(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return Wilder's ADX, the smoothed |+DI - -DI| / (+DI + -DI), in [0, 1]."""
    return wilder_mean(abs(directional_difference(panel, window)), window)


def commodity_channel_index(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (typical price - mean) / (0.015 * mean absolute deviation) over `window` sessions."""
    typical = _typical_price(panel)
    mean = rolling_mean(typical, window)
    spread = rolling_mean_deviation(typical, mean, window)
    return (typical - mean) / (0.015 * spread.where(spread > 0))


def aroon(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (sessions since the low - sessions since the high) / window, in [-1, 1].

    High and low are those of the last `window` + 1 sessions.
    """
    since_high = sessions_since_max(panel["adj_high"], window + 1)
    return (sessions_since_min(panel["adj_low"], window + 1) - since_high) / window


def money_flow_index(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of typical price x volume on sessions of rising typical price, in [0, 1]."""
    typical = _typical_price(panel)
    move = typical - typical.shift(date=1)
    flow = (typical * panel["adj_volume"]).where(move.notnull())
    rising, falling = (
        rolling_sum(flow.where(side, 0.0).where(flow.notnull()), window) for side in (move > 0, move < 0)
    )
    return rising / (rising + falling).where(rising + falling > 0)


def keltner_position(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return (close - EMA) / average true range, both over `window` sessions."""
    centre = exponential_mean(panel, window, 4 * window)
    return (panel["adj_close"] - centre) / wilder_range(panel, window)


def _typical_price(panel: xr.Dataset) -> xr.DataArray:
    return (panel["adj_high"] + panel["adj_low"] + panel["adj_close"]) / 3


CLOSE, RETURN = ("adj_close",), ("ret_1d",)
RANGE, BARS = ("adj_high", "adj_low"), ("adj_high", "adj_low", "adj_close")
WILDER, BOLLINGER, LANE = "Wilder (1978)", "Bollinger (1992)", "Lane (1984)"

_family = Family("oscillators")
_each = _family.each
FEATURES = (
    *_each("rsi_{n}d", (5, 14), RETURN, "gains / (gains + losses) over {n}", rsi, "Cutler, after Wilder (1978)"),
    *_each(
        "bollinger_{n}d",
        (20,),
        CLOSE,
        "1/2 + (log close - mean over {n}) / (4 std over {n})",
        bollinger_position,
        BOLLINGER,
    ),
    *_each("bollinger_width_{n}d", (20,), CLOSE, "4 std over {n} of log close", bollinger_width, BOLLINGER),
    *_each(
        "stochastic_k_{n}d",
        (14,),
        BARS,
        "(close - lowest low) / (highest high - lowest low) over {n}",
        range_position,
        LANE,
    ),
    *_each("stochastic_d_{n}d", (14,), BARS, "mean over 3 of stochastic_k_{n}d", stochastic_d, LANE, lookback=16),
    *_each(
        "atr_{n}d",
        (14,),
        BARS,
        "Wilder mean over {n} of the true range / close",
        average_true_range,
        WILDER,
        lookback=84,
    ),
    *_each(
        "directional_difference_{n}d",
        (14,),
        RANGE,
        "(+DI - -DI) / (+DI + -DI) over {n}",
        directional_difference,
        WILDER,
        lookback=84,
    ),
    *_each(
        "adx_{n}d",
        (14,),
        RANGE,
        "Wilder mean over {n} of |directional_difference_{n}d|",
        average_directional_index,
        WILDER,
        lookback=167,
    ),
    *_each(
        "cci_{n}d",
        (20,),
        BARS,
        "(typical price - mean) / (0.015 mean absolute deviation) over {n}",
        commodity_channel_index,
        "Lambert (1980)",
    ),
    *_each(
        "aroon_{n}d",
        (25,),
        RANGE,
        "(sessions since low - sessions since high of {n} + 1) / {n}",
        aroon,
        "Chande (1995)",
        lookback=26,
    ),
    *_each(
        "money_flow_index_{n}d",
        (14,),
        (*BARS, "adj_volume"),
        "typical price x volume on rising sessions / on rising and falling ones, over {n}",
        money_flow_index,
        "Quong, Soudack (1989)",
    ),
    *_each(
        "keltner_position_{n}d",
        (20,),
        BARS,
        "(close - EMA{n}) / Wilder mean over {n} of the true range",
        keltner_position,
        "Keltner (1960)",
        lookback=120,
    ),
)
