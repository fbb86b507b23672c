"""Returns over several horizons, their overnight and intraday parts, and how they came about."""

import xarray as xr

from gogooku_kedro.arrays.elementwise import log, sign
from gogooku_kedro.arrays.rolling import rolling_mean, rolling_regression
from gogooku_kedro.features.feature import Family, shared


def past_return(panel: xr.Dataset, window: int, skip: int = 0) -> xr.DataArray:
    """Return adj_close[t - skip] / adj_close[t - window] - 1, a fraction.

    NaN where the stock did not trade on either end.
    """
    close = panel["adj_close"]
    return close.shift(date=skip) / close.shift(date=window) - 1


def log_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(adj_close[t] / adj_close[t - window])."""
    close = panel["adj_close"]
    return log(close / close.shift(date=window))


@shared
def overnight_return(panel: xr.Dataset) -> xr.DataArray:
    """Return log(adj_open[t] / adj_close[t-1]); NaN where the one-day return is missing."""
    overnight = log(panel["adj_open"] / panel["adj_close"].shift(date=1))
    return overnight.where(panel["ret_1d"].notnull())


@shared
def intraday_return(panel: xr.Dataset) -> xr.DataArray:
    """Return log(adj_close[t] / adj_open[t])."""
    return log(panel["adj_close"] / panel["adj_open"])


def acceleration(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the return of the last `window` sessions minus that of the `window` sessions before."""
    return past_return(panel, window) - past_return(panel, 2 * window, skip=window)


def autocorrelation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with the one before, over `window` pairs."""
    returns = panel["ret_1d"]
    return rolling_regression(returns, returns.shift(date=1), window).correlation


def rising_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of the sessions with a return above 0, in [0, 1]."""
    returns = panel["ret_1d"]
    return rolling_mean((returns > 0).astype(float).where(returns.notnull()), window)


def information_discreteness(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sign(past return) * (share falling - share rising); low: the move came in many steps."""
    signs = rolling_mean(sign(panel["ret_1d"]), window)
    return -sign(past_return(panel, window)) * signs


def return_per_risk(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of the one-day returns over their root mean square, over `window` sessions."""
    mean_square = rolling_mean(panel["ret_1d"] ** 2, window)
    return rolling_mean(panel["ret_1d"], window) / mean_square.where(mean_square > 0) ** 0.5


def _momentum(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    return past_return(panel, long, skip=short)


def _mean_overnight(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(overnight_return(panel), window)


def _mean_intraday(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(intraday_return(panel), window)


def _overnight_minus_intraday(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(overnight_return(panel) - intraday_return(panel), window)


CLOSE, RETURN = ("adj_close",), ("ret_1d",)
OVERNIGHT, INTRADAY = ("adj_open", "adj_close", "ret_1d"), ("adj_open", "adj_close")
JEGADEESH_TITMAN, LOU_POLK_SKOURAS = "Jegadeesh, Titman (1993)", "Lou, Polk, Skouras (2019)"

_family = Family("returns")
FEATURES = (
    *_family.each(
        "return_{n}d",
        (1, 2, 5, 10, 20, 60, 120, 250),
        CLOSE,
        "close[t] / close[t-{n}] - 1",
        past_return,
        JEGADEESH_TITMAN,
    ),
    *_family.each("log_return_{n}d", (40,), CLOSE, "log(close[t] / close[t-{n}])", log_return),
    *_family.each_pair(
        "momentum_{long}_{short}",
        ((20, 120), (20, 250)),
        CLOSE,
        "close[t-{short}] / close[t-{long}] - 1",
        _momentum,
        JEGADEESH_TITMAN,
    ),
    *_family.each(
        "overnight_return_{n}d",
        (1, 20),
        OVERNIGHT,
        "mean over {n} of log(open[t] / close[t-1])",
        _mean_overnight,
        LOU_POLK_SKOURAS,
    ),
    *_family.each(
        "intraday_return_{n}d",
        (1, 20),
        INTRADAY,
        "mean over {n} of log(close[t] / open[t])",
        _mean_intraday,
        LOU_POLK_SKOURAS,
    ),
    *_family.each(
        "overnight_minus_intraday_{n}d",
        (60,),
        OVERNIGHT,
        "mean over {n} of overnight - intraday log return",
        _overnight_minus_intraday,
        LOU_POLK_SKOURAS,
    ),
    *_family.each(
        "return_acceleration_{n}d",
        (20,),
        CLOSE,
        "return_{n}d - close[t-20] / close[t-40] + 1",
        acceleration,
        "Gettleman, Marks (2006)",
        lookback=40,
    ),
    *_family.each(
        "return_autocorrelation_{n}d",
        (60,),
        RETURN,
        "correlation over {n} of return_1d[t] and return_1d[t-1]",
        autocorrelation,
        "Lo, MacKinlay (1988)",
        lookback=61,
    ),
    *_family.each("rising_share_{n}d", (60,), RETURN, "share over {n} of sessions with return_1d > 0", rising_share),
    *_family.each(
        "information_discreteness_{n}d",
        (120,),
        ("ret_1d", "adj_close"),
        "sign(return_{n}d) * (share falling - share rising over {n})",
        information_discreteness,
        "Da, Gurun, Warachka (2014)",
    ),
    *_family.each(
        "return_per_risk_{n}d", (20,), RETURN, "mean / root mean square over {n} of return_1d", return_per_risk
    ),
)
