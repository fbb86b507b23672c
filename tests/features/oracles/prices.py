"""The families `returns` and `range` from their definitions."""

from functools import partial

import numpy as np

from tests.features.oracles.frames import Frames, correlation, over, rolling


def past_return(f: Frames, window: int, skip: int = 0):
    return f.adj_close.shift(skip) / f.adj_close.shift(window) - 1


def overnight(f: Frames):
    return np.log(f.adj_open / f.adj_close.shift(1)).where(f.ret_1d.notna())


def intraday(f: Frames):
    return np.log(f.adj_close / f.adj_open)


def discreteness(f: Frames):
    """Da, Gurun, Warachka (2014): sign(PRET) x (share of negative - share of positive days)."""
    shares = over(120, lambda r: np.mean(r < 0) - np.mean(r > 0), f.ret_1d)
    return np.sign(past_return(f, 120)) * shares


RETURNS = {
    **{f"return_{n}d": partial(past_return, window=n) for n in (1, 2, 5, 10, 20, 60, 120, 250)},
    "log_return_40d": lambda f: np.log(f.adj_close).diff(40),
    "momentum_120_20": partial(past_return, window=120, skip=20),
    "momentum_250_20": partial(past_return, window=250, skip=20),
    "overnight_return_1d": overnight,
    "overnight_return_20d": lambda f: rolling(overnight(f), 20).mean(),
    "intraday_return_1d": intraday,
    "intraday_return_20d": lambda f: rolling(intraday(f), 20).mean(),
    "overnight_minus_intraday_60d": lambda f: rolling(overnight(f) - intraday(f), 60).mean(),
    "return_acceleration_20d": lambda f: past_return(f, 20) - past_return(f, 20).shift(20),
    "return_autocorrelation_60d": lambda f: over(60, correlation, f.ret_1d, f.ret_1d.shift(1)),
    "rising_share_60d": lambda f: over(60, lambda r: np.mean(r > 0), f.ret_1d),
    "information_discreteness_120d": discreteness,
    "return_per_risk_20d": lambda f: over(20, lambda r: r.mean() / np.sqrt(np.mean(r**2)), f.ret_1d),
}


def location(f: Frames):
    """Where the close is between low (0) and high (1); absent without a range."""
    return (f.adj_close - f.adj_low) / (f.adj_high - f.adj_low).where(f.adj_high > f.adj_low)


def log_range(f: Frames):
    return np.log(f.adj_high) - np.log(f.adj_low)


def donchian(f: Frames, window: int):
    return rolling(f.adj_low, window).min(), rolling(f.adj_high, window).max()


def channel_position(f: Frames, window: int):
    lowest, highest = donchian(f, window)
    return (f.adj_close - lowest) / (highest - lowest)


def channel_width(f: Frames):
    lowest, highest = donchian(f, 20)
    return np.log(highest / lowest)


def latest_highest(values: np.ndarray) -> int:
    """Sessions back to the latest of the highest values."""
    return int(np.flatnonzero(values[::-1] == np.nanmax(values))[0])


RANGE = {
    "close_location_1d": location,
    "close_location_20d": lambda f: rolling(location(f), 20).mean(),
    "high_low_range_5d": lambda f: rolling(log_range(f), 5).mean(),
    "high_low_range_20d": lambda f: rolling(log_range(f), 20).mean(),
    "range_ratio_1_20": lambda f: log_range(f) / rolling(log_range(f), 20).mean(),
    **{f"range_position_{n}d": partial(channel_position, window=n) for n in (20, 60, 250)},
    "donchian_width_20d": channel_width,
    "drawdown_60d": lambda f: f.adj_close / rolling(f.adj_close, 60).max() - 1,
    "drawdown_250d": lambda f: f.adj_close / rolling(f.adj_close, 250).max() - 1,
    "rise_from_low_250d": lambda f: f.adj_close / rolling(f.adj_close, 250).min() - 1,
    "max_drawdown_120d": lambda f: over(120, lambda p: (p / np.maximum.accumulate(p) - 1).min(), f.adj_close),
    "sessions_since_high_250d": lambda f: over(250, latest_highest, f.adj_high, keep_absent=True),
    "sessions_since_low_250d": lambda f: over(250, latest_highest, -f.adj_low, keep_absent=True),
}
