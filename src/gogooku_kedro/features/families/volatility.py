"""How much a stock moves: realised and range-based volatility, tails and asymmetry."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import log, log1p, sqrt
from gogooku_kedro.arrays.rolling import (
    rolling_kurtosis,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_skewness,
    rolling_std,
)
from gogooku_kedro.features.families.returns import intraday_return, overnight_return
from gogooku_kedro.features.feature import Family, shared


@shared
def realised_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of one-day log returns over `window` sessions, per session."""
    return rolling_std(log1p(panel["ret_1d"]), window)


@shared
def parkinson_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(log(H/L)^2) / (4 log 2)) (Parkinson, 1980)."""
    log_range = log(panel["adj_high"] / panel["adj_low"])
    return sqrt(rolling_mean(log_range**2, window) / (4 * np.log(2)))


def garman_klass_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(log(H/L)^2 / 2 - (2 log 2 - 1) log(C/O)^2)) (Garman, Klass, 1980)."""
    log_range = log(panel["adj_high"] / panel["adj_low"])
    variance = log_range**2 / 2 - (2 * np.log(2) - 1) * intraday_return(panel) ** 2
    return sqrt(rolling_mean(variance, window).clip(min=0))


@shared
def rogers_satchell_variance(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return mean(log(H/C) log(H/O) + log(L/C) log(L/O)) (Rogers, Satchell, 1991)."""
    o, h, l, c = (log(panel[f"adj_{name}"]) for name in ("open", "high", "low", "close"))  # noqa: E741
    return rolling_mean((h - c) * (h - o) + (l - c) * (l - o), window).clip(min=0)


def rogers_satchell_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the square root of the Rogers-Satchell variance."""
    return sqrt(rogers_satchell_variance(panel, window))


def yang_zhang_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(V_overnight + k V_intraday + (1 - k) V_RogersSatchell) (Yang, Zhang, 2000).

    k = 0.34 / (1.34 + (n + 1) / (n - 1)); overnight and intraday are sample variances.
    """
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    overnight, intraday = (rolling_std(r(panel), window) ** 2 for r in (overnight_return, intraday_return))
    return sqrt(overnight + k * intraday + (1 - k) * rogers_satchell_variance(panel, window))


@shared
def downside_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(min(return, 0)^2)) over `window` sessions."""
    return sqrt(rolling_mean(panel["ret_1d"].clip(max=0) ** 2, window))


def upside_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sqrt(mean(max(return, 0)^2)) over `window` sessions."""
    return sqrt(rolling_mean(panel["ret_1d"].clip(min=0) ** 2, window))


def downside_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of the squared returns that comes from falls, in [0, 1]."""
    squares = rolling_mean(panel["ret_1d"] ** 2, window)
    return downside_volatility(panel, window) ** 2 / squares.where(squares > 0)


def volatility_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return realised volatility over `short` sessions divided by that over `long` sessions."""
    base = realised_volatility(panel, long)
    return realised_volatility(panel, short) / base.where(base > 0)


def volatility_of_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return std / mean over `window` sessions of the 5-session realised volatility."""
    short = realised_volatility(panel, 5)
    mean = rolling_mean(short, window)
    return rolling_std(short, window) / mean.where(mean > 0)


def jump_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return 1 - bipower variation / realised variance: the share of variance that came in jumps.

    Bipower variation is pi/2 * mean(|r[t]| |r[t-1]|) (Barndorff-Nielsen, Shephard, 2004).
    """
    size = abs(panel["ret_1d"])
    squares = rolling_mean(size**2, window)
    return 1 - np.pi / 2 * rolling_mean(size * size.shift(date=1), window) / squares.where(squares > 0)


def range_to_close_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return Parkinson over realised volatility: low where prices move between the sessions."""
    base = realised_volatility(panel, window)
    return parkinson_volatility(panel, window) / base.where(base > 0)


def overnight_variance_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean squared overnight return over that plus the mean squared intraday return."""
    night, day = (rolling_mean(r(panel) ** 2, window) for r in (overnight_return, intraday_return))
    return night / (night + day).where(night + day > 0)


def _absolute_return(panel: xr.Dataset) -> xr.DataArray:
    return abs(panel["ret_1d"])


def _max_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_max(panel["ret_1d"], window)


def _min_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_min(panel["ret_1d"], window)


def _skewness(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_skewness(panel["ret_1d"], window)


def _kurtosis(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_kurtosis(panel["ret_1d"], window)


RETURN, RANGE = ("ret_1d",), ("adj_high", "adj_low")
BARS = ("adj_open", "adj_high", "adj_low", "adj_close")
NIGHT_AND_DAY = ("adj_open", "adj_close", "ret_1d")

_family = Family("volatility")
_each = _family.each
FEATURES = (
    *_each("volatility_{n}d", (5, 20, 60, 120), RETURN, "std over {n} of log return", realised_volatility),
    *_each(
        "parkinson_{n}d",
        (20,),
        RANGE,
        "sqrt(mean over {n} of log(H/L)^2 / (4 log 2))",
        parkinson_volatility,
        "Parkinson (1980)",
    ),
    *_each(
        "garman_klass_{n}d",
        (20,),
        BARS,
        "sqrt(mean over {n} of log(H/L)^2 / 2 - (2 log 2 - 1) log(C/O)^2)",
        garman_klass_volatility,
        "Garman, Klass (1980)",
    ),
    *_each(
        "rogers_satchell_{n}d",
        (20,),
        BARS,
        "sqrt(mean over {n} of log(H/C) log(H/O) + log(L/C) log(L/O))",
        rogers_satchell_volatility,
        "Rogers, Satchell (1991)",
    ),
    *_each(
        "yang_zhang_{n}d",
        (20,),
        (*BARS, "ret_1d"),
        "sqrt(V(overnight) + k V(intraday) + (1 - k) rogers_satchell^2) over {n}",
        yang_zhang_volatility,
        "Yang, Zhang (2000)",
    ),
    *_each(
        "downside_volatility_{n}d",
        (20,),
        RETURN,
        "sqrt(mean over {n} of min(return, 0)^2)",
        downside_volatility,
        "Sortino, Price (1994)",
    ),
    *_each(
        "upside_volatility_{n}d",
        (20,),
        RETURN,
        "sqrt(mean over {n} of max(return, 0)^2)",
        upside_volatility,
        "Barndorff-Nielsen, Kinnebrock, Shephard (2010)",
    ),
    *_each(
        "downside_share_{n}d",
        (60,),
        RETURN,
        "sum of min(return, 0)^2 / sum of return^2 over {n}",
        downside_share,
        "Barndorff-Nielsen, Kinnebrock, Shephard (2010)",
    ),
    *_family.each_pair(
        "volatility_ratio_{short}_{long}",
        ((5, 20), (20, 60)),
        RETURN,
        "volatility_{short}d / volatility_{long}d",
        volatility_ratio,
    ),
    *_each(
        "volatility_of_volatility_{n}d",
        (60,),
        RETURN,
        "std / mean over {n} of volatility_5d",
        volatility_of_volatility,
        "Baltussen, van Bekkum, van der Grient (2018)",
        lookback=64,
    ),
    *_each(
        "jump_share_{n}d",
        (60,),
        RETURN,
        "1 - pi/2 mean over {n} of |r[t] r[t-1]| / mean of r^2",
        jump_share,
        "Barndorff-Nielsen, Shephard (2004)",
        lookback=61,
    ),
    *_each(
        "range_to_close_volatility_{n}d",
        (20,),
        (*RANGE, "ret_1d"),
        "parkinson_{n}d / volatility_{n}d",
        range_to_close_volatility,
    ),
    *_each(
        "overnight_variance_share_{n}d",
        (60,),
        NIGHT_AND_DAY,
        "mean overnight^2 / (mean overnight^2 + mean intraday^2) over {n}",
        overnight_variance_share,
    ),
    *_family.feature("absolute_return_1d", RETURN, 1, "|return_1d|", _absolute_return),
    *_each("max_return_{n}d", (20,), RETURN, "max over {n} of return_1d", _max_return, "Bali, Cakici, Whitelaw (2011)"),
    *_each("min_return_{n}d", (20,), RETURN, "min over {n} of return_1d", _min_return),
    *_each(
        "skewness_{n}d",
        (60,),
        RETURN,
        "skewness over {n} of return_1d",
        _skewness,
        "Amaya, Christoffersen, Jacobs, Vasquez (2015)",
    ),
    *_each("kurtosis_{n}d", (60,), RETURN, "excess kurtosis over {n} of return_1d", _kurtosis),
)
