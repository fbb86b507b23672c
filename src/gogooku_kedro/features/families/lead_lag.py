"""What moved first: sector and index of the session before, the large stocks of the sector, and the delay."""

import xarray as xr

from gogooku_kedro.arrays.rolling import Regression, rolling_mean, rolling_regression
from gogooku_kedro.features.families.liquidity import traded_value
from gogooku_kedro.features.families.returns import past_return
from gogooku_kedro.features.families.sector import others_mean, sector_return, sector_session_return
from gogooku_kedro.features.feature import Family, shared

SIZE_WINDOW = 60  # sessions of turnover behind the weight of a leader


def lagged_sector_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the sector's mean past return as it stood one session ago."""
    return sector_return(panel, window).shift(date=1)


@shared
def sector_lag_regression(panel: xr.Dataset, window: int) -> Regression:
    """Regress the one-day return on the sector's one-day return of the session before."""
    return rolling_regression(panel["ret_1d"], sector_session_return(panel).shift(date=1), window)


def sector_lag_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the sector's return of the session before."""
    return sector_lag_regression(panel, window).beta


def sector_lead(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the return that today's sector return announces: lag beta x sector return."""
    return sector_lag_beta(panel, window) * sector_session_return(panel)


def leaders_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the past return of the sector's other stocks, weighted by their turnover value."""
    weights = rolling_mean(traded_value(panel), SIZE_WINDOW)
    return others_mean(past_return(panel, window), weights)


def leaders_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return how far the stock's past return is behind the turnover-weighted one of its sector."""
    return leaders_return(panel, window) - past_return(panel, window)


@shared
def index_lag_regression(panel: xr.Dataset, window: int) -> Regression:
    """Regress the one-day return on the index return of the session before."""
    return rolling_regression(panel["ret_1d"], panel["index_return"].shift(date=1), window)


def index_lag_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the index return of the session before."""
    return index_lag_regression(panel, window).beta


def index_delay(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return c_lag^2 / (c_lag^2 + c^2) of the correlations with the index of the session before and of the session.

    Near 0 for a stock that reacts at once (after Hou, Moskowitz, 2005).
    """
    late = index_lag_regression(panel, window).correlation ** 2
    prompt = rolling_regression(panel["ret_1d"], panel["index_return"], window).correlation ** 2
    return late / (late + prompt).where(late + prompt > 0)


SECTOR, INDEX = ("ret_1d", "sector"), ("ret_1d", "index_return")
LEADERS = ("adj_close", "turnover_value", "sector")
LO_MACKINLAY, HOU = "Lo, MacKinlay (1990)", "Hou (2007)"

_sector = Family("lead_lag", kind="cross_section")
_index = Family("lead_lag")
FEATURES = (
    *_sector.each(
        "lagged_sector_return_{n}d",
        (1,),
        ("adj_close", "sector"),
        "sector_return_{n}d[t-1]",
        lagged_sector_return,
        HOU,
        lookback=2,
    ),
    *_sector.each(
        "sector_lag_beta_{n}d",
        (120,),
        SECTOR,
        "slope over {n} of return_1d[t] on the sector's other stocks at t-1",
        sector_lag_beta,
        HOU,
        lookback=121,
    ),
    *_sector.each(
        "sector_lead_{n}d",
        (120,),
        SECTOR,
        "sector_lag_beta_{n}d * mean return_1d of the sector's other stocks",
        sector_lead,
        HOU,
        lookback=121,
    ),
    *_sector.each(
        "leaders_return_{n}d",
        (1, 5),
        LEADERS,
        "turnover-weighted return_{n}d of the sector's other stocks",
        leaders_return,
        LO_MACKINLAY,
        lookback=60,
    ),
    *_sector.each(
        "leaders_gap_{n}d", (5,), LEADERS, "leaders_return_{n}d - return_{n}d", leaders_gap, LO_MACKINLAY, lookback=60
    ),
    *_index.each(
        "index_lag_beta_{n}d",
        (120,),
        INDEX,
        "slope over {n} of return_1d[t] on index return at t-1",
        index_lag_beta,
        "Dimson (1979)",
        lookback=121,
    ),
    *_index.each(
        "index_delay_{n}d",
        (120,),
        INDEX,
        "c1^2 / (c1^2 + c0^2), c0 and c1 correlations over {n} with index return at t and t-1",
        index_delay,
        "Hou, Moskowitz (2005)",
        lookback=121,
    ),
)
