"""The state of the market as a whole, one value per session: index, breadth, dispersion."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import log, log1p, sqrt
from gogooku_kedro.arrays.fold import Parts, fold_panel
from gogooku_kedro.arrays.rolling import rolling_mean, rolling_std, rolling_sum
from gogooku_kedro.features.families.trend import simple_mean
from gogooku_kedro.features.feature import Family, shared
from gogooku_kedro.market.panel import mean_over_codes


def index_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the log return of the index over `window` sessions."""
    return rolling_sum(log1p(panel["index_return"]), window)


def index_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of the index's one-day log return, per session."""
    return rolling_std(log1p(panel["index_return"]), window)


def index_drawdown(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(index / its highest close of the last `window` + 1 sessions), <= 0.

    A session without an index return counts as unchanged; NaN below 80% present.
    """
    returns = log1p(panel["index_return"])
    enough = rolling_sum(returns, window).notnull()
    filled = returns.fillna(0.0)
    _, deepest = fold_panel([filled, filled.clip(max=0)], window, _fall_to_the_end)
    return deepest.where(enough)


def rising_breadth(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the share of stocks with a return above 0."""
    returns = panel["ret_1d"]
    rising = (returns > 0).astype(float).where(returns.notnull())
    return rolling_mean(mean_over_stocks(rising), window)


def trend_breadth(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of stocks whose close is above its mean of `window` sessions."""
    gap = panel["adj_close"] - simple_mean(panel, window)
    return mean_over_stocks((gap > 0).astype(float).where(gap.notnull()))


@shared
def _spread_of_returns(panel: xr.Dataset) -> xr.DataArray:
    returns = panel["ret_1d"]
    variance = mean_over_stocks(returns**2) - mean_over_stocks(returns) ** 2
    return sqrt(variance.clip(min=0))  # rounding, where all stocks move alike


def dispersion(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of the cross-sectional deviation of returns."""
    return rolling_mean(_spread_of_returns(panel), window)


def average_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return mean squared equal-weighted return / mean of the stocks' mean squared return.

    For many stocks of like volatility this is the average correlation of two of them.
    """
    returns = panel["ret_1d"]
    common = rolling_mean(mean_over_stocks(returns) ** 2, window)
    own = rolling_mean(mean_over_stocks(returns**2), window)
    return common / own.where(own > 0)


def market_turnover(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(mean turnover per stock over 5 sessions / that over `window` sessions)."""
    value = mean_over_stocks(panel["turnover_value"].where(panel["turnover_value"] > 0))
    return log(rolling_mean(value, 5) / rolling_mean(value, window))


def mean_over_stocks(x: xr.DataArray) -> xr.DataArray:
    """Return the mean of the present stocks of each date, `(date,)`; NaN where there is none.

    Added in code order, so that a stock that is absent changes no bit.
    """
    mean = mean_over_codes(x.transpose("date", "code").values)
    return xr.DataArray(mean, {"date": x["date"]}, ("date",))


def _fall_to_the_end(recent: Parts, older: Parts, out: Parts, lag: int) -> None:
    """Sum of log returns, and the lowest sum of any stretch that ends with the window."""
    np.add(recent[0], older[0], out=out[0])
    out[1][...] = np.minimum(recent[1], recent[0] + older[1])


INDEX, RETURN = ("index_return",), ("ret_1d",)
MOREIRA_MUIR, POLLET_WILSON = "Moreira, Muir (2017)", "Pollet, Wilson (2010)"

_family = Family("regime", kind="market")
_each = _family.each
FEATURES = (
    *_each("index_return_{n}d", (1, 5, 20, 60), INDEX, "log return of the index over {n}", index_return),
    *_each(
        "index_volatility_{n}d", (20,), INDEX, "std over {n} of the index's log return", index_volatility, MOREIRA_MUIR
    ),
    *_each("index_drawdown_{n}d", (250,), INDEX, "log(index / its highest close of the last {n} + 1)", index_drawdown),
    *_each(
        "rising_breadth_{n}d",
        (1, 20),
        RETURN,
        "mean over {n} of the share of stocks with return_1d > 0",
        rising_breadth,
    ),
    *_each(
        "trend_breadth_{n}d", (60,), ("adj_close",), "share of stocks above their mean close over {n}", trend_breadth
    ),
    *_each(
        "dispersion_{n}d",
        (20,),
        RETURN,
        "mean over {n} of the std of return_1d across stocks",
        dispersion,
        "Stivers (2003)",
    ),
    *_each(
        "average_correlation_{n}d",
        (60,),
        RETURN,
        "mean squared equal-weighted return / mean of the stocks' mean squares, over {n}",
        average_correlation,
        POLLET_WILSON,
    ),
    *_each(
        "market_turnover_5_{n}",
        (60,),
        ("turnover_value",),
        "log(mean turnover per stock over 5 / over {n})",
        market_turnover,
    ),
)
