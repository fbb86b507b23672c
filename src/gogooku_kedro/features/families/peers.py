"""A stock against its neighbours in the graph of correlated stocks, and its place in that graph.

Reads the `(date, code)` variables that `graph.peer_panel` makes with the graph known on each date.
"""

from functools import partial

import xarray as xr

from gogooku_kedro.arrays.rolling import Regression, rolling_ewma, rolling_mean, rolling_regression
from gogooku_kedro.features.feature import Family
from gogooku_kedro.features.shared import shared


def peer_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the peers' weighted one-day return."""
    return rolling_mean(panel["peer_return"], window)


def lagged_peer_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the peers' mean return over `window` sessions as it stood one session ago."""
    return peer_return(panel, window).shift(date=1)


@shared
def _gap(panel: xr.Dataset) -> xr.DataArray:
    return panel["ret_1d"] - panel["peer_return"]


def peer_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the one-day return minus the peers'."""
    return rolling_mean(_gap(panel), window)


def peer_gap_ewma(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the exponentially weighted mean (half-life `window`, cut off after 60) of the gap."""
    return rolling_ewma(_gap(panel), 60, window)


@shared
def _regression(panel: xr.Dataset, window: int, lag: int) -> Regression:
    return rolling_regression(panel["ret_1d"], panel["peer_return"].shift(date=lag), window)


def peer_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the peers' one-day return."""
    return _regression(panel, window, 0).beta


def peer_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with the peers' one-day return."""
    return _regression(panel, window, 0).correlation


def peer_lag_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the peers' return of the session before."""
    return _regression(panel, window, 1).beta


def peer_lead(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the return that today's peers' return announces: lag beta x peers' return."""
    return peer_lag_beta(panel, window) * panel["peer_return"]


def peer_volume_gap(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the peers' mean log volume over `short` sessions minus that over `long` sessions."""
    volume = panel["peer_log_volume"]
    return rolling_mean(volume, short) - rolling_mean(volume, long)


def _as_it_is(panel: xr.Dataset, name: str) -> xr.DataArray:
    return panel[name]


RETURN, BOTH = ("peer_return",), ("ret_1d", "peer_return")
COHEN_FRAZZINI, GAP = "Cohen, Frazzini (2008)", "Da, Liu, Schaumburg (2014)"

_family = Family("peers")
_each = _family.each
FEATURES = (
    *_each(
        "peer_return_{n}d",
        (1, 5, 20),
        RETURN,
        "mean over {n} of the peers' return",
        peer_return,
        COHEN_FRAZZINI,
    ),
    *_each(
        "lagged_peer_return_{n}d",
        (1,),
        RETURN,
        "peer_return_{n}d[t-1]",
        lagged_peer_return,
        COHEN_FRAZZINI,
        lookback=2,
    ),
    *_each("peer_gap_{n}d", (1, 5, 20), BOTH, "mean over {n} of return_1d - peers' return", peer_gap, GAP),
    *_each(
        "peer_gap_ewma_{n}d",
        (5,),
        BOTH,
        "EWMA (half-life {n}) of return_1d - peers' return",
        peer_gap_ewma,
        GAP,
        lookback=60,
    ),
    *_each("peer_beta_{n}d", (60,), BOTH, "slope over {n} of return_1d on the peers' return", peer_beta),
    *_each(
        "peer_correlation_{n}d",
        (60,),
        BOTH,
        "correlation over {n} of return_1d and the peers' return",
        peer_correlation,
    ),
    *_each(
        "peer_lag_beta_{n}d",
        (60,),
        BOTH,
        "slope over {n} of return_1d[t] on the peers' return at t-1",
        peer_lag_beta,
        COHEN_FRAZZINI,
        lookback=61,
    ),
    *_each(
        "peer_lead_{n}d",
        (60,),
        BOTH,
        "peer_lag_beta_{n}d * the peers' return",
        peer_lead,
        COHEN_FRAZZINI,
        lookback=61,
    ),
    *_family.feature(
        "peer_volume_gap_5_60",
        ("peer_log_volume",),
        60,
        "mean over 5 - mean over 60 of the peers' log volume",
        partial(peer_volume_gap, short=5, long=60),
    ),
    *(
        feature
        for name, formula, source in (
            ("peer_count", "stocks from which an edge comes in", "Barabasi (2016), degree"),
            ("peer_strength", "mean |correlation| of the incoming edges", "Barrat et al. (2004)"),
            (
                "peer_clustering",
                "share of pairs of neighbours, whichever way the edge runs, that are neighbours",
                "Watts, Strogatz (1998)",
            ),
            (
                "peer_same_sector",
                "share of the peers that are in the stock's sector",
                "Barabasi (2016), mixing",
            ),
        )
        for feature in _family.feature(name, (name,), 0, formula, partial(_as_it_is, name=name), source)
    ),
)
