"""The families `market`, `sector`, `lead_lag`, `neighbours` and `regime` from their definitions."""

from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tests.features.oracles.frames import (
    Frames,
    correlation,
    half_life_mean,
    intercept,
    others_mean,
    over,
    over_dates,
    residual_deviation,
    rolling,
    slope,
)
from tests.features.oracles.prices import past_return
from tests.features.oracles.trading import turnover, volume_ratio
from tests.features.oracles.volatility import deviation


def regress(f: Frames, window: int, function, lag: int = 0):
    return over(window, function, f.ret_1d, f.index_return.shift(lag))


def total(f: Frames, window: int):
    """Sums of return and index return over the sessions that have both."""
    own = over(window, lambda r, m: r.sum(), f.ret_1d, f.index_return)
    return own, over(window, lambda r, m: m.sum(), f.ret_1d, f.index_return)


def residual_return(f: Frames, window: int):
    own, common = total(f, window)
    return own - regress(f, 60, slope) * common


def residual_momentum(f: Frames):
    own, common = (long - short for long, short in zip(total(f, 120), total(f, 20), strict=True))
    return (own - regress(f, 120, slope) * common) / regress(f, 120, residual_deviation)


def residual_ewma(f: Frames, half_life: int):
    """The exponential mean of the residuals with today's beta, session by session."""
    weights = 0.5 ** (np.arange(60)[::-1] / half_life)

    def mean(r: np.ndarray, m: np.ndarray) -> float:
        both = ~np.isnan(r) & ~np.isnan(m)
        beta = slope(r[both], m[both])
        return np.average((r - beta * m)[both], weights=weights[both])

    return over(60, mean, f.ret_1d, f.index_return, keep_absent=True)


def semibeta(r: np.ndarray, m: np.ndarray) -> float:
    both = (r < 0) & (m < 0)
    return np.sum(r[both] * m[both]) / np.sum(m**2)


def coskewness(r: np.ndarray, m: np.ndarray) -> float:
    return np.mean(r * m**2) / (np.sqrt(np.mean(r**2)) * np.mean(m**2))


MARKET = {
    "beta_60d": lambda f: regress(f, 60, slope),
    "beta_250d": lambda f: regress(f, 250, slope),
    "beta_change_60_250": lambda f: regress(f, 60, slope) - regress(f, 250, slope),
    "alpha_120d": lambda f: regress(f, 120, intercept),
    "market_correlation_60d": lambda f: regress(f, 60, correlation),
    "idiosyncratic_volatility_60d": lambda f: regress(f, 60, residual_deviation),
    "downside_semibeta_120d": lambda f: regress(f, 120, semibeta),
    "coskewness_120d": lambda f: regress(f, 120, coskewness),
    "relative_strength_60d": lambda f: regress(f, 60, lambda r, m: (r - m).mean() / (r - m).std(ddof=1)),
    **{f"residual_return_{n}d": partial(residual_return, window=n) for n in (1, 5, 20)},
    "residual_momentum_120_20": residual_momentum,
    **{f"residual_ewma_{n}d": partial(residual_ewma, half_life=n) for n in (5, 20)},
}


def sector_return(f: Frames, window: int, skip: int = 0):
    return others_mean(f, past_return(f, window, skip))


def within(f: Frames, table: pd.DataFrame, function) -> pd.DataFrame:
    """Apply `function` to the present stocks of a sector, where there are two or more."""
    result = pd.DataFrame(np.nan, table.index, table.columns)
    for sector in set(f.sectors) - {"n/a"}:
        members = [code for code, own in enumerate(f.sectors) if own == sector]
        for date in table.index[-60:]:
            row = table.loc[date, members].dropna()
            if len(row) > 1:
                result.loc[date, row.index] = function(row.to_numpy())
    return result


def dispersion(f: Frames):
    """A stock without a return still belongs to the sector that has one."""
    groups = within(f, f.ret_1d, np.std)
    for sector in set(f.sectors) - {"n/a"}:
        members = [code for code, own in enumerate(f.sectors) if own == sector]
        groups[members] = groups[members].ffill(axis=1).bfill(axis=1)
    return rolling(groups, 20).mean()


def turnover_share(f: Frames):
    mean = rolling(turnover(f), 20).mean()
    return np.log(mean) - np.log(others_mean(f, mean))


def against_sector(f: Frames, window: int, function, lag: int = 0):
    return over(window, function, f.ret_1d, others_mean(f, f.ret_1d).shift(lag))


SECTOR = {
    **{f"sector_return_{n}d": partial(sector_return, window=n) for n in (1, 5, 20)},
    "sector_momentum_250_20": partial(sector_return, window=250, skip=20),
    **{f"sector_gap_{n}d": (lambda f, n=n: past_return(f, n) - sector_return(f, n)) for n in (1, 5, 20)},
    "sector_gap_ewma_20d": lambda f: half_life_mean(f.ret_1d - others_mean(f, f.ret_1d), 20),
    "sector_rank_120d": lambda f: within(f, past_return(f, 120), lambda x: (rankdata(x) - 0.5) / len(x)),
    "sector_volume_gap_5_60": lambda f: volume_ratio(f, 5, 60) - others_mean(f, volume_ratio(f, 5, 60)),
    "sector_volatility_20d": lambda f: others_mean(f, deviation(f, 20)),
    "sector_volatility_gap_20d": lambda f: np.log(deviation(f, 20) / others_mean(f, deviation(f, 20))),
    "sector_dispersion_20d": dispersion,
    "sector_turnover_share_20d": turnover_share,
    "sector_beta_60d": lambda f: against_sector(f, 60, slope),
    "sector_correlation_60d": lambda f: against_sector(f, 60, correlation),
}


def leaders(f: Frames, window: int):
    return others_mean(f, past_return(f, window), rolling(turnover(f), 60).mean())


def delay(f: Frames):
    late, prompt = regress(f, 120, correlation, lag=1) ** 2, regress(f, 120, correlation) ** 2
    return late / (late + prompt)


LEAD_LAG = {
    "lagged_sector_return_1d": lambda f: others_mean(f, past_return(f, 1)).shift(1),
    "sector_lag_beta_120d": lambda f: against_sector(f, 120, slope, lag=1),
    "sector_lead_120d": lambda f: against_sector(f, 120, slope, lag=1) * others_mean(f, f.ret_1d),
    "leaders_return_1d": lambda f: leaders(f, 1),
    "leaders_return_5d": lambda f: leaders(f, 5),
    "leaders_gap_5d": lambda f: leaders(f, 5) - past_return(f, 5),
    "index_lag_beta_120d": lambda f: regress(f, 120, slope, lag=1),
    "index_delay_120d": delay,
}


def against_neighbours(f: Frames, function, lag: int = 0):
    return over(60, function, f.ret_1d, f.neighbour_return.shift(lag))


NEIGHBOURS = {
    **{f"neighbour_return_{n}d": (lambda f, n=n: rolling(f.neighbour_return, n).mean()) for n in (1, 5, 20)},
    "lagged_neighbour_return_1d": lambda f: f.neighbour_return.shift(1),
    **{f"neighbour_gap_{n}d": (lambda f, n=n: rolling(f.ret_1d - f.neighbour_return, n).mean()) for n in (1, 5, 20)},
    "neighbour_gap_ewma_5d": lambda f: half_life_mean(f.ret_1d - f.neighbour_return, 5),
    "neighbour_beta_60d": lambda f: against_neighbours(f, slope),
    "neighbour_correlation_60d": lambda f: against_neighbours(f, correlation),
    "neighbour_lag_beta_60d": lambda f: against_neighbours(f, slope, lag=1),
    "neighbour_lead_60d": lambda f: against_neighbours(f, slope, lag=1) * f.neighbour_return,
    "neighbour_volume_gap_5_60": lambda f: (
        rolling(f.neighbour_log_volume, 5).mean() - rolling(f.neighbour_log_volume, 60).mean()
    ),
    "neighbour_count": lambda f: f.neighbour_count,
    "neighbour_strength": lambda f: f.neighbour_strength,
    "neighbour_clustering": lambda f: f.neighbour_clustering,
    "neighbour_same_sector": lambda f: f.neighbour_same_sector,
}


def rising(f: Frames):
    return (f.ret_1d > 0).sum(axis=1) / f.ret_1d.notna().sum(axis=1)


def above_mean(f: Frames):
    mean = rolling(f.adj_close, 60).mean()
    known = f.adj_close.notna() & mean.notna()
    return (f.adj_close > mean).sum(axis=1) / known.sum(axis=1)


def index_drawdown(f: Frames):
    """The index as levels: 1 before the first of the 250 returns."""

    def fall(returns: np.ndarray) -> float:
        levels = np.cumprod(np.append(1.0, 1 + np.nan_to_num(returns)))
        return np.log(levels[-1] / levels.max())

    return over_dates(250, fall, f.index_return)


def average_correlation(f: Frames):
    common, own = f.ret_1d.mean(axis=1) ** 2, (f.ret_1d**2).mean(axis=1)
    return rolling(common, 60).mean() / rolling(own, 60).mean()


def market_turnover(f: Frames):
    value = turnover(f).mean(axis=1)
    return np.log(rolling(value, 5).mean() / rolling(value, 60).mean())


REGIME = {
    **{f"index_return_{n}d": (lambda f, n=n: rolling(np.log1p(f.index_return), n).sum()) for n in (1, 5, 20, 60)},
    "index_volatility_20d": lambda f: rolling(np.log1p(f.index_return), 20).std(),
    "index_drawdown_250d": index_drawdown,
    "rising_breadth_1d": rising,
    "rising_breadth_20d": lambda f: rolling(rising(f), 20).mean(),
    "trend_breadth_60d": above_mean,
    "dispersion_20d": lambda f: rolling(f.ret_1d.std(axis=1, ddof=0), 20).mean(),
    "average_correlation_60d": average_correlation,
    "market_turnover_5_60": market_turnover,
}
