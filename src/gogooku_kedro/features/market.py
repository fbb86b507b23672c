"""A stock against the market index: beta, idiosyncratic volatility and residual returns."""

from functools import partial

import xarray as xr

from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.rolling import (
    Regression,
    rolling_ewma,
    rolling_mean,
    rolling_regression,
    rolling_std,
    rolling_sum,
)

BETA_WINDOW = 60  # sessions
HALF_LIVES = (5, 10, 20)  # sessions


def market_regression(panel: xr.Dataset) -> Regression:
    """Regress one-day returns on the index return over 60 sessions."""
    return rolling_regression(panel["ret_1d"], panel["index_return"], BETA_WINDOW)


def residual_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sum over `window` of (return - beta * index return) with today's 60-session beta.

    With one beta for the whole window the look-back stays 60 returns. A session on which the stock
    has no return drops out of both sums.
    """
    returns, index = _aligned(panel)
    beta = market_regression(panel).beta
    return rolling_sum(returns, window) - beta * rolling_sum(index, window)


def residual_ewma(panel: xr.Dataset, half_life: float) -> xr.DataArray:
    """Return the exponentially weighted mean residual return, with today's 60-session beta."""
    returns, index = _aligned(panel)
    beta = market_regression(panel).beta
    smooth = partial(rolling_ewma, window=BETA_WINDOW, half_life=half_life)
    return smooth(returns) - beta * smooth(index)


def relative_strength(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of return minus index return over `window`, in standard deviations of it.

    The plain sum would rank the stocks of a date like their past return does.
    """
    active = panel["ret_1d"] - panel["index_return"]
    spread = rolling_std(active, window)
    return rolling_mean(active, window) / spread.where(spread > 0)


def _aligned(panel: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    returns, index = xr.broadcast(panel["ret_1d"], panel["index_return"])
    together = returns.notnull() & index.notnull()
    return returns.where(together), index.where(together)


def _beta(panel: xr.Dataset) -> xr.DataArray:
    return market_regression(panel).beta


def _correlation(panel: xr.Dataset) -> xr.DataArray:
    return market_regression(panel).correlation


def _idiosyncratic_volatility(panel: xr.Dataset) -> xr.DataArray:
    return market_regression(panel).residual_std


NEEDS = ("ret_1d", "index_return")


def _feature(name: str, lookback: int, formula: str, function: partial[xr.DataArray]) -> Feature:
    return Feature(name, "market", NEEDS, lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    _feature("beta_60d", 60, "slope over 60 of return_1d on index return", partial(_beta)),
    _feature(
        "market_correlation_60d",
        60,
        "correlation over 60 of return_1d and index return",
        partial(_correlation),
    ),
    _feature(
        "idiosyncratic_volatility_60d",
        60,
        "std over 60 of the residual of return_1d on index return",
        partial(_idiosyncratic_volatility),
    ),
    _feature(
        "relative_strength_20d",
        20,
        "mean / std over 20 of return_1d - index return",
        partial(relative_strength, window=20),
    ),
    *(
        _feature(
            f"residual_return_{n}d",
            60,
            f"sum over {n} of return_1d - beta_60d * index return",
            partial(residual_return, window=n),
        )
        for n in (1, 5, 20)
    ),
    *(
        _feature(
            f"residual_ewma_{n}d",
            60,
            f"EWMA (half-life {n}) of return_1d - beta_60d * index return",
            partial(residual_ewma, half_life=n),
        )
        for n in HALF_LIVES
    ),
)
