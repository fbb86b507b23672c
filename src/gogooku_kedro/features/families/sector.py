"""A stock against its sector: leave-one-out sector means, gaps to them and ranks inside."""

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import log
from gogooku_kedro.arrays.groups import group_ids, group_rank, group_std, leave_one_out_mean
from gogooku_kedro.arrays.rolling import Regression, rolling_ewma, rolling_mean, rolling_regression
from gogooku_kedro.features.families.liquidity import traded_value
from gogooku_kedro.features.families.returns import past_return
from gogooku_kedro.features.families.volatility import realised_volatility
from gogooku_kedro.features.families.volume import volume_ratio
from gogooku_kedro.features.feature import Family, shared
from gogooku_kedro.typing import Array

EWMA_WINDOW = 60  # sessions


@shared
def sector_return(panel: xr.Dataset, window: int, skip: int = 0) -> xr.DataArray:
    """Return the mean past return of the other stocks of the sector (leave one out), a fraction."""
    return others_mean(past_return(panel, window, skip))


@shared
def sector_session_return(panel: xr.Dataset) -> xr.DataArray:
    """Return the mean one-day return of the other stocks of the sector."""
    return others_mean(panel["ret_1d"])


def sector_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the stock's past return minus that of the other stocks of its sector."""
    return past_return(panel, window) - sector_return(panel, window)


def sector_gap_ewma(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the exponentially weighted mean of the one-day return minus that of the sector.

    `window` is the half-life in sessions; the mean is cut off after 60 sessions.
    """
    return rolling_ewma(panel["ret_1d"] - sector_session_return(panel), EWMA_WINDOW, window)


def sector_rank(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the rank of the past return inside the sector, in (0, 1)."""
    return within_groups(group_rank, past_return(panel, window))


def sector_volume_gap(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the stock's log volume ratio minus that of the other stocks of its sector."""
    own = volume_ratio(panel, short, long)
    return own - others_mean(own)


def sector_volatility_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(volatility / mean volatility of the other stocks of the sector)."""
    own = realised_volatility(panel, window)
    return log(own / others_mean(own))


def sector_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean volatility of the other stocks of the sector."""
    return others_mean(realised_volatility(panel, window))


def sector_dispersion(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the deviation of returns inside the sector."""
    return rolling_mean(within_groups(group_std, panel["ret_1d"]), window)


def sector_turnover_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(mean turnover value / mean of that of the other stocks of the sector)."""
    own = rolling_mean(traded_value(panel), window)
    return log(own / others_mean(own))


@shared
def sector_regression(panel: xr.Dataset, window: int) -> Regression:
    """Regress the one-day return on that of the other stocks of the sector."""
    return rolling_regression(panel["ret_1d"], sector_session_return(panel), window)


def sector_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on that of the other stocks of the sector."""
    return sector_regression(panel, window).beta


def sector_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with that of the other stocks of the sector."""
    return sector_regression(panel, window).correlation


def others_mean(values: xr.DataArray, weights: xr.DataArray | None = None) -> xr.DataArray:
    """Return the (weighted) mean of the other present stocks of the sector, `(date, code)`."""
    given = None if weights is None else weights.transpose("date", "code").values
    return within_groups(partial(leave_one_out_mean, weights=given), values)


def within_groups(function: Callable[..., Array], values: xr.DataArray) -> xr.DataArray:
    """Apply `function(values, ids=…)` of `arrays.groups` over the sectors of a `(date, code)` array."""
    ordered = values.transpose("date", "code")
    ids = group_ids(values["sector"].values)
    return ordered.copy(data=np.asarray(function(ordered.values, ids=ids), dtype=np.float64))


CLOSE, RETURN = ("adj_close", "sector"), ("ret_1d", "sector")
MOSKOWITZ_GRINBLATT = "Moskowitz, Grinblatt (1999)"

_family = Family("sector", kind="cross_section")
_each = _family.each
FEATURES = (
    *_each(
        "sector_return_{n}d",
        (1, 5, 20),
        CLOSE,
        "mean return_{n}d of the sector's other stocks",
        sector_return,
        MOSKOWITZ_GRINBLATT,
    ),
    *_family.feature(
        "sector_momentum_250_20",
        CLOSE,
        250,
        "mean momentum_250_20 of the sector's other stocks",
        partial(sector_return, window=250, skip=20),
        MOSKOWITZ_GRINBLATT,
    ),
    *_each(
        "sector_gap_{n}d",
        (1, 5, 20),
        CLOSE,
        "return_{n}d - sector_return_{n}d",
        sector_gap,
        "Da, Liu, Schaumburg (2014)",
    ),
    *_each(
        "sector_gap_ewma_{n}d",
        (20,),
        RETURN,
        "EWMA (half-life {n}) of return_1d - mean of the sector's other stocks",
        sector_gap_ewma,
        "Da, Liu, Schaumburg (2014)",
        lookback=60,
    ),
    *_each("sector_rank_{n}d", (120,), CLOSE, "rank of return_{n}d inside the sector", sector_rank),
    *_family.each_pair(
        "sector_volume_gap_{short}_{long}",
        ((5, 60),),
        ("adj_volume", "sector"),
        "volume_ratio_{short}_{long} - mean of the sector's other stocks",
        sector_volume_gap,
    ),
    *_each(
        "sector_volatility_{n}d", (20,), RETURN, "mean volatility_{n}d of the sector's other stocks", sector_volatility
    ),
    *_each(
        "sector_volatility_gap_{n}d",
        (20,),
        RETURN,
        "log(volatility_{n}d / sector_volatility_{n}d)",
        sector_volatility_gap,
    ),
    *_each(
        "sector_dispersion_{n}d",
        (20,),
        RETURN,
        "mean over {n} of the std of return_1d inside the sector",
        sector_dispersion,
        "Stivers, Sun (2010)",
    ),
    *_each(
        "sector_turnover_share_{n}d",
        (20,),
        ("turnover_value", "sector"),
        "log(mean turnover over {n} / mean of the sector's other stocks)",
        sector_turnover_share,
    ),
    *_each("sector_beta_{n}d", (60,), RETURN, "slope over {n} of return_1d on the sector's other stocks", sector_beta),
    *_each(
        "sector_correlation_{n}d",
        (60,),
        RETURN,
        "correlation over {n} of return_1d and the sector's other stocks",
        sector_correlation,
    ),
)
