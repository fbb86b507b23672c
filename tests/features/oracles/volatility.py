"""The family `volatility` from its papers."""

import numpy as np
from scipy import stats

from tests.features.oracles.frames import Frames, over, rolling
from tests.features.oracles.prices import intraday, log_range, overnight


def deviation(f: Frames, window: int):
    return rolling(np.log1p(f.ret_1d), window).std()


def parkinson(f: Frames):
    return np.sqrt(rolling(log_range(f) ** 2, 20).mean() / (4 * np.log(2)))


def garman_klass(f: Frames):
    """Garman, Klass (1980), eq. 20 without the cross term: u, d, c are measured from the open."""
    u, d, c = (np.log(x / f.adj_open) for x in (f.adj_high, f.adj_low, f.adj_close))
    return np.sqrt(rolling(0.5 * (u - d) ** 2 - (2 * np.log(2) - 1) * c**2, 20).mean())


def rogers_satchell_variance(f: Frames):
    u, d, c = (np.log(x / f.adj_open) for x in (f.adj_high, f.adj_low, f.adj_close))
    return rolling(u * (u - c) + d * (d - c), 20).mean()


def yang_zhang(f: Frames, n: int = 20):
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    night, day = rolling(overnight(f), n).var(), rolling(intraday(f), n).var()
    return np.sqrt(night + k * day + (1 - k) * rogers_satchell_variance(f))


def semideviation(f: Frames, sign: int):
    return over(20, lambda r: np.sqrt(np.sum(r[sign * r > 0] ** 2) / len(r)), f.ret_1d)


def falling_share(r: np.ndarray) -> float:
    return np.sum(r[r < 0] ** 2) / np.sum(r**2)


def volatility_of_volatility(f: Frames):
    short = rolling(deviation(f, 5), 60)
    return short.std() / short.mean()


def jump_share(f: Frames):
    """Barndorff-Nielsen, Shephard (2004): what of the realised variance is not bipower variation."""
    size = f.ret_1d.abs()
    bipower = rolling(size * size.shift(1), 60).mean() / (2 / np.pi)
    return 1 - bipower / rolling(size**2, 60).mean()


def overnight_share(f: Frames):
    night, day = rolling(overnight(f) ** 2, 60).mean(), rolling(intraday(f) ** 2, 60).mean()
    return night / (night + day)


VOLATILITY = {
    "volatility_5d": lambda f: deviation(f, 5),
    "volatility_20d": lambda f: deviation(f, 20),
    "volatility_60d": lambda f: deviation(f, 60),
    "volatility_120d": lambda f: deviation(f, 120),
    "parkinson_20d": parkinson,
    "garman_klass_20d": garman_klass,
    "rogers_satchell_20d": lambda f: np.sqrt(rogers_satchell_variance(f)),
    "yang_zhang_20d": yang_zhang,
    "downside_volatility_20d": lambda f: semideviation(f, -1),
    "upside_volatility_20d": lambda f: semideviation(f, 1),
    "downside_share_60d": lambda f: over(60, falling_share, f.ret_1d),
    "volatility_ratio_5_20": lambda f: deviation(f, 5) / deviation(f, 20),
    "volatility_ratio_20_60": lambda f: deviation(f, 20) / deviation(f, 60),
    "volatility_of_volatility_60d": volatility_of_volatility,
    "jump_share_60d": jump_share,
    "range_to_close_volatility_20d": lambda f: parkinson(f) / deviation(f, 20),
    "overnight_variance_share_60d": overnight_share,
    "absolute_return_1d": lambda f: f.ret_1d.abs(),
    "max_return_20d": lambda f: rolling(f.ret_1d, 20).max(),
    "min_return_20d": lambda f: rolling(f.ret_1d, 20).min(),
    "skewness_60d": lambda f: over(60, stats.skew, f.ret_1d),
    "kurtosis_60d": lambda f: over(60, stats.kurtosis, f.ret_1d),
}
