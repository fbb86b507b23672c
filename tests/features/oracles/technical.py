"""The families `trend` and `oscillators` from their books; the recursive ones as loops over a window."""

from functools import partial

import numpy as np
import pandas as pd

from tests.features.oracles.frames import TAIL, Frames, correlation, ema, faded_mean, over, rolling, slope
from tests.features.oracles.prices import channel_position, latest_highest


def simple(f: Frames, window: int):
    return rolling(f.adj_close, window).mean()


def macd(f: Frames, tail: int = TAIL):
    """Appel (1979), as a share of the close."""
    return (ema(f.adj_close, 12, 90, tail) - ema(f.adj_close, 26, 90, tail)) / f.adj_close


def macd_histogram(f: Frames):
    line = macd(f, tail=TAIL + 35)
    return line - ema(line, 9, 36)


def kama_gap(f: Frames):
    """Kaufman (1995): the smoothing constant moves between those of 30 and of 2 sessions.

    Where moves are absent the path is too short, but a price is at most straight.
    """
    net, path = f.adj_close.diff(10).abs(), rolling(f.adj_close.diff().abs(), 10).sum()
    constant = ((net / path).clip(upper=1) * (2 / 3 - 2 / 31) + 2 / 31) ** 2

    def mean(prices: np.ndarray, constants: np.ndarray) -> float:
        level = np.nan
        for price, c in zip(prices, constants, strict=True):
            if np.isnan(level):
                level = price
            elif not np.isnan(price) and not np.isnan(c):
                level += c * (price - level)
        return prices[-1] / level - 1

    return over(60, mean, f.adj_close, constant, keep_absent=True)


def on_time(f: Frames, window: int, function):
    clock = pd.Series(np.arange(len(f.adj_close), dtype=float))
    return over(window, function, np.log(f.adj_close), clock)


TREND = {
    **{f"sma_gap_{n}d": (lambda f, n=n: f.adj_close / simple(f, n) - 1) for n in (5, 20, 60, 250)},
    **{f"sma_slope_{n}d": (lambda f, n=n: simple(f, n).pct_change(5, fill_method=None)) for n in (20, 60)},
    "sma_cross_20_60": lambda f: simple(f, 20) / simple(f, 60) - 1,
    "sma_cross_60_250": lambda f: simple(f, 60) / simple(f, 250) - 1,
    "ema_gap_12d": lambda f: f.adj_close / ema(f.adj_close, 12, 48) - 1,
    "macd": macd,
    "macd_histogram": macd_histogram,
    "kama_gap_10d": kama_gap,
    "trend_slope_60d": partial(on_time, window=60, function=slope),
    "trend_correlation_120d": partial(on_time, window=120, function=correlation),
    "efficiency_ratio_20d": lambda f: over(20, lambda r: r.sum() / np.abs(r).sum(), np.log1p(f.ret_1d)),
}


def typical(f: Frames):
    return (f.adj_high + f.adj_low + f.adj_close) / 3


def gain_share(r: np.ndarray) -> float:
    return r[r > 0].sum() / (r[r > 0].sum() - r[r < 0].sum())


def bollinger(f: Frames):
    band = rolling(np.log(f.adj_close), 20)
    lower, upper = band.mean() - 2 * band.std(), band.mean() + 2 * band.std()
    return (np.log(f.adj_close) - lower) / (upper - lower), upper - lower


def wilder(table: pd.DataFrame, window: int, tail: int = TAIL):
    """Wilder's smoothing: each session takes 1 / window of the new value; six windows of it."""
    return over(6 * window, faded_mean(1 - 1 / window), table, tail=tail, keep_absent=True)


def true_range(f: Frames):
    before = f.adj_close.shift(1)
    spans = [f.adj_high - f.adj_low, (f.adj_high - before).abs(), (f.adj_low - before).abs()]
    largest = pd.concat(spans).groupby(level=0).max()
    return largest.where(f.adj_high.notna())


def directional(f: Frames, tail: int = TAIL):
    """(+DI - -DI) / (+DI + -DI) over 14; the true range of both cancels."""
    up, down = f.adj_high.diff(), -f.adj_low.diff()
    known = up.notna() & down.notna()
    plus = wilder(up.mask((up <= down) | (up <= 0), 0.0).where(known), 14, tail)
    minus = wilder(down.mask((down <= up) | (down <= 0), 0.0).where(known), 14, tail)
    return (plus - minus) / (plus + minus)


def adx(f: Frames):
    return wilder(directional(f, tail=TAIL + 83).abs(), 14)


def cci(values: np.ndarray) -> float:
    mean = np.nanmean(values)
    return (values[-1] - mean) / (0.015 * np.nanmean(np.abs(values - mean)))


def aroon(f: Frames):
    high = over(26, latest_highest, f.adj_high, keep_absent=True)
    low = over(26, latest_highest, -f.adj_low, keep_absent=True)
    return ((25 - high) - (25 - low)) / 25


def money_flow(flow: np.ndarray, move: np.ndarray) -> float:
    return flow[move > 0].sum() / flow[move != 0].sum()


OSCILLATORS = {
    "rsi_5d": lambda f: over(5, gain_share, f.ret_1d),
    "rsi_14d": lambda f: over(14, gain_share, f.ret_1d),
    "bollinger_20d": lambda f: bollinger(f)[0],
    "bollinger_width_20d": lambda f: bollinger(f)[1],
    "stochastic_k_14d": partial(channel_position, window=14),
    "stochastic_d_14d": lambda f: rolling(channel_position(f, 14), 3).mean(),
    "atr_14d": lambda f: wilder(true_range(f), 14) / f.adj_close,
    "directional_difference_14d": directional,
    "adx_14d": adx,
    "cci_20d": lambda f: over(20, cci, typical(f), keep_absent=True),
    "aroon_25d": aroon,
    "money_flow_index_14d": lambda f: over(14, money_flow, typical(f) * f.adj_volume, typical(f).diff()),
    "keltner_position_20d": lambda f: (f.adj_close - ema(f.adj_close, 20, 80)) / wilder(true_range(f), 20),
}
