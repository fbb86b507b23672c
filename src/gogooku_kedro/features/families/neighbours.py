"""A stock against its neighbours in the graph of correlated stocks, and its place in that graph.

Reads the `(date, code)` variables that `graph.neighbour_panel` makes with the graph known on each date.
"""

import xarray as xr

from gogooku_kedro.arrays.rolling import Regression, rolling_ewma, rolling_mean, rolling_regression
from gogooku_kedro.features.feature import Family, shared


def neighbour_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the neighbours' weighted one-day return."""
    return rolling_mean(panel["neighbour_return"], window)


def lagged_neighbour_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the neighbours' mean return over `window` sessions as it stood one session ago."""
    return neighbour_return(panel, window).shift(date=1)


@shared
def _gap(panel: xr.Dataset) -> xr.DataArray:
    return panel["ret_1d"] - panel["neighbour_return"]


def neighbour_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the one-day return minus the neighbours'."""
    return rolling_mean(_gap(panel), window)


def neighbour_gap_ewma(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the exponentially weighted mean (half-life `window`, cut off after 60) of the gap."""
    return rolling_ewma(_gap(panel), 60, window)


@shared
def _regression(panel: xr.Dataset, window: int, lag: int) -> Regression:
    return rolling_regression(panel["ret_1d"], panel["neighbour_return"].shift(date=lag), window)


def neighbour_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the neighbours' one-day return."""
    return _regression(panel, window, 0).beta


def neighbour_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with the neighbours' one-day return."""
    return _regression(panel, window, 0).correlation


def neighbour_lag_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the neighbours' return of the session before."""
    return _regression(panel, window, 1).beta


def neighbour_lead(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the return that today's neighbours' return announces: lag beta x neighbours' return."""
    return neighbour_lag_beta(panel, window) * panel["neighbour_return"]


def neighbour_volume_gap(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the neighbours' mean log volume over `short` sessions minus that over `long` sessions."""
    volume = panel["neighbour_log_volume"]
    return rolling_mean(volume, short) - rolling_mean(volume, long)


RETURN, BOTH = ("neighbour_return",), ("ret_1d", "neighbour_return")
COHEN_FRAZZINI, GAP = "Cohen, Frazzini (2008)", "Da, Liu, Schaumburg (2014)"

_family = Family("neighbours")
_each = _family.each
FEATURES = (
    *_each(
        "neighbour_return_{n}d",
        (1, 5, 20),
        RETURN,
        "mean over {n} of the neighbours' return",
        neighbour_return,
        COHEN_FRAZZINI,
    ),
    *_each(
        "lagged_neighbour_return_{n}d",
        (1,),
        RETURN,
        "neighbour_return_{n}d[t-1]",
        lagged_neighbour_return,
        COHEN_FRAZZINI,
        lookback=2,
    ),
    *_each(
        "neighbour_gap_{n}d", (1, 5, 20), BOTH, "mean over {n} of return_1d - neighbours' return", neighbour_gap, GAP
    ),
    *_each(
        "neighbour_gap_ewma_{n}d",
        (5,),
        BOTH,
        "EWMA (half-life {n}) of return_1d - neighbours' return",
        neighbour_gap_ewma,
        GAP,
        lookback=60,
    ),
    *_each("neighbour_beta_{n}d", (60,), BOTH, "slope over {n} of return_1d on the neighbours' return", neighbour_beta),
    *_each(
        "neighbour_correlation_{n}d",
        (60,),
        BOTH,
        "correlation over {n} of return_1d and the neighbours' return",
        neighbour_correlation,
    ),
    *_each(
        "neighbour_lag_beta_{n}d",
        (60,),
        BOTH,
        "slope over {n} of return_1d[t] on the neighbours' return at t-1",
        neighbour_lag_beta,
        COHEN_FRAZZINI,
        lookback=61,
    ),
    *_each(
        "neighbour_lead_{n}d",
        (60,),
        BOTH,
        "neighbour_lag_beta_{n}d * the neighbours' return",
        neighbour_lead,
        COHEN_FRAZZINI,
        lookback=61,
    ),
    *_family.each_pair(
        "neighbour_volume_gap_{short}_{long}",
        ((5, 60),),
        ("neighbour_log_volume",),
        "mean over {short} - mean over {long} of the neighbours' log volume",
        neighbour_volume_gap,
    ),
    *_family.variable(
        "neighbour_count", "neighbour_count", "stocks from which an edge comes in", "Barabasi (2016), degree"
    ),
    *_family.variable(
        "neighbour_strength", "neighbour_strength", "mean |correlation| of the incoming edges", "Barrat et al. (2004)"
    ),
    *_family.variable(
        "neighbour_clustering",
        "neighbour_clustering",
        "share of pairs of neighbours, whichever way the edge runs, that are neighbours",
        "Watts, Strogatz (1998)",
    ),
    *_family.variable(
        "neighbour_same_sector",
        "neighbour_same_sector",
        "share of the neighbours that are in the stock's sector",
        "Barabasi (2016), mixing",
    ),
)
