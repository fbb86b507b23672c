"""Returns over several horizons, split into their overnight and intraday parts."""

from functools import partial

import xarray as xr

from gogooku_kedro.features.elementwise import log
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import rolling_mean

HORIZONS = (1, 2, 3, 5, 10, 20, 60, 120)


def past_return(panel: xr.Dataset, sessions: int, skip: int = 0) -> xr.DataArray:
    """Return adj_close[t - skip] / adj_close[t - sessions] - 1, a fraction.

    NaN where the stock did not trade on either end.
    """
    close = panel["adj_close"]
    return close.shift(date=skip) / close.shift(date=sessions) - 1


def overnight_return(panel: xr.Dataset) -> xr.DataArray:
    """Return log(adj_open[t] / adj_close[t-1]); NaN where the one-day return is missing."""
    overnight = log(panel["adj_open"] / panel["adj_close"].shift(date=1))
    return overnight.where(panel["ret_1d"].notnull())


def intraday_return(panel: xr.Dataset) -> xr.DataArray:
    """Return log(adj_close[t] / adj_open[t])."""
    return log(panel["adj_close"] / panel["adj_open"])


def _mean_overnight(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(overnight_return(panel), window)


def _mean_intraday(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(intraday_return(panel), window)


def _overnight_minus_intraday(panel: xr.Dataset, window: int) -> xr.DataArray:
    return rolling_mean(overnight_return(panel) - intraday_return(panel), window)


OVERNIGHT_NEEDS = ("adj_open", "adj_close", "ret_1d")
INTRADAY_NEEDS = ("adj_open", "adj_close")


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "returns", needs, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"return_{n}d",
            ("adj_close",),
            n,
            f"close[t] / close[t-{n}] - 1",
            partial(past_return, sessions=n),
        )
        for n in HORIZONS
    ),
    _feature(
        "momentum_120_20",
        ("adj_close",),
        120,
        "close[t-20] / close[t-120] - 1",
        partial(past_return, sessions=120, skip=20),
    ),
    *(
        _feature(
            f"overnight_return_{window}d",
            OVERNIGHT_NEEDS,
            window,
            f"mean over {window} of log(open[t] / close[t-1])",
            partial(_mean_overnight, window=window),
        )
        for window in (1, 5, 20)
    ),
    *(
        _feature(
            f"intraday_return_{window}d",
            INTRADAY_NEEDS,
            window,
            f"mean over {window} of log(close[t] / open[t])",
            partial(_mean_intraday, window=window),
        )
        for window in (1, 5, 20)
    ),
    _feature(
        "overnight_minus_intraday_60d",
        OVERNIGHT_NEEDS,
        60,
        "mean over 60 of overnight - intraday log return",
        partial(_overnight_minus_intraday, window=60),
    ),
)
