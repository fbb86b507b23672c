"""The families `volume`, `liquidity`, `limits`, `validity` and `calendar` from their definitions."""

import calendar
import math

import numpy as np
import pandas as pd

from tests.features.oracles.frames import Frames, correlation, need, over, rolling, slope


def volume(f: Frames):
    return f.adj_volume.where(f.adj_volume > 0)


def log_volume(f: Frames):
    return np.log(volume(f))


def volume_ratio(f: Frames, short: int, long: int):
    return np.log(rolling(volume(f), short).mean()) - np.log(rolling(volume(f), long).mean())


def z(f: Frames):
    window = rolling(log_volume(f), 20)
    return (log_volume(f) - window.mean()) / window.std()


def money_flow(high, low, close, traded) -> float:
    """Chaikin: the close location value is 1 at the high, -1 at the low."""
    location = ((close - low) - (high - close)) / (high - low)
    return np.sum(location * traded) / np.sum(traded)


def chaikin(f: Frames):
    ranged = f.adj_high.where(f.adj_high > f.adj_low)
    return over(20, money_flow, ranged, f.adj_low, f.adj_close, volume(f))


def vwap_gap(f: Frames, window: int):
    """On the scale of the adjusted close: a split changes price and volume, not the turnover in yen."""
    price = f.turnover_value / f.volume * (f.adj_close / f.close)
    return f.adj_close / over(window, lambda p, v: np.average(p, weights=v), price, volume(f)) - 1


VOLUME = {
    "volume_ratio_1_5": lambda f: volume_ratio(f, 1, 5),
    "volume_ratio_5_20": lambda f: volume_ratio(f, 5, 20),
    "volume_ratio_5_60": lambda f: volume_ratio(f, 5, 60),
    "volume_ratio_20_120": lambda f: volume_ratio(f, 20, 120),
    "volume_z_20d": z,
    "volume_volatility_20d": lambda f: rolling(log_volume(f), 20).std(),
    "volume_trend_60d": lambda f: over(60, slope, log_volume(f), pd.Series(np.arange(len(f.dates)) * 1.0)),
    "volume_peak_20d": lambda f: rolling(volume(f), 20).max() / rolling(volume(f), 20).mean(),
    "volume_return_correlation_60d": lambda f: over(60, correlation, f.ret_1d, log_volume(f)),
    "volume_move_correlation_60d": lambda f: over(60, correlation, f.ret_1d.abs(), log_volume(f)),
    "volume_price_correlation_20d": lambda f: over(20, correlation, np.log(f.adj_close), log_volume(f)),
    "on_balance_slope_20d": lambda f: over(
        20, lambda v, r: (v[r > 0].sum() - v[r < 0].sum()) / v.sum(), volume(f), f.ret_1d
    ),
    "chaikin_money_flow_20d": chaikin,
    "vwap_gap_20d": lambda f: vwap_gap(f, 20),
    "vwap_gap_60d": lambda f: vwap_gap(f, 60),
}


def turnover(f: Frames):
    return f.turnover_value.where(f.turnover_value > 0)


def impact(f: Frames, window: int):
    """Amihud (2002): the mean of |return| per yen traded."""
    return over(window, lambda r, v: np.mean(np.abs(r) / v), f.ret_1d, turnover(f))


def roll(f: Frames):
    """Roll (1984): 2 sqrt(-cov) of successive returns; the root of a positive one is kept with a minus."""
    mean = over(60, lambda now, before: np.mean(now * before), f.ret_1d, f.ret_1d.shift(1))
    return (2 * np.sqrt(-mean.where(mean < 0))).fillna(-2 * np.sqrt(mean.where(mean >= 0)))


def corwin_schultz(f: Frames):
    """Corwin, Schultz (2012), eq. 14 and 18, without the correction for overnight gaps."""
    high, low = f.adj_high, f.adj_low
    beta = np.log(high / low) ** 2 + np.log(high.shift(1) / low.shift(1)) ** 2
    both = high.rolling(2).max(), low.rolling(2).min()
    gamma = np.log(both[0] / both[1]) ** 2
    k = 3 - 2 * math.sqrt(2)
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
    spread = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    return rolling(spread.mask(spread < 0, 0.0), 20).mean()


def idle(f: Frames):
    seen = f.listed.rolling(60, min_periods=1).sum()
    untraded = (f.listed * (1 - f.traded)).rolling(60, min_periods=1).sum()
    return untraded.where(seen >= need(60))


LIQUIDITY = {
    "log_turnover_20d": lambda f: rolling(np.log(turnover(f)), 20).mean(),
    "turnover_volatility_60d": lambda f: rolling(np.log(turnover(f)), 60).std(),
    "amihud_20d": lambda f: np.log(impact(f, 20)),
    "amihud_60d": lambda f: np.log(impact(f, 60)),
    "amihud_change_20_120": lambda f: np.log(impact(f, 20)) - np.log(impact(f, 120)),
    "roll_spread_60d": roll,
    "corwin_schultz_20d": corwin_schultz,
    "zero_return_share_60d": lambda f: over(60, lambda r: np.mean(r == 0), f.ret_1d),
    "zero_trade_count_60d": idle,
}


def band_position(f: Frames):
    return (f.close - f.limit_base) / f.limit_width


def touches(up: np.ndarray, down: np.ndarray, traded: np.ndarray) -> float:
    days = ~np.isnan(traded)
    return np.sum(up[days]) - np.sum(down[days])


LIMITS = {
    "limit_position_1d": band_position,
    "limit_use_20d": lambda f: rolling(band_position(f).abs(), 20).mean(),
    "nearest_limit_60d": lambda f: rolling(band_position(f).abs(), 60).max(),
    "limit_width": lambda f: f.next_limit_width / f.close,
    "limit_balance_250d": lambda f: over(250, touches, f.limit_up, f.limit_down, f.traded.where(f.traded > 0)),
}


def since_gap(f: Frames):
    """Walk through the sessions: 0 without a return, else one more than yesterday, at most 249."""
    ages, age = [], pd.Series(0.0, index=f.ret_1d.columns)
    for _, today in f.ret_1d.iterrows():
        age = (age + 1).clip(upper=249).where(today.notna(), 0.0)
        ages.append(age)
    return pd.DataFrame(ages, index=f.ret_1d.index).where(f.listed > 0)


VALIDITY = {
    "valid_return_share_120d": lambda f: f.ret_1d.notna().rolling(120, min_periods=1).mean().where(f.listed > 0),
    "sessions_since_gap_250d": since_gap,
}


def weekday(f: Frames, function):
    return pd.Series([function(2 * math.pi * day.weekday() / 5) for day in f.dates])


CALENDAR = {
    "sessions_listed_250d": lambda f: f.listed.rolling(250, min_periods=1).sum().where(f.listed > 0),
    "weekday_sine": lambda f: weekday(f, math.sin),
    "weekday_cosine": lambda f: weekday(f, math.cos),
    "days_to_month_end": lambda f: pd.Series(
        [calendar.monthrange(day.year, day.month)[1] - day.day for day in f.dates], dtype=float
    ),
    "days_since_session": lambda f: pd.Series(f.dates).diff().dt.days,
    "days_to_session": lambda f: pd.Series(f.dates).diff().dt.days.shift(-1),
}
