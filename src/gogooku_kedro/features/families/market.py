"""A stock against the market index: beta, alpha, idiosyncratic volatility, residual returns."""

from functools import partial

import xarray as xr

from gogooku_kedro.arrays.rolling import (
    Regression,
    rolling_ewma,
    rolling_mean,
    rolling_regression,
    rolling_std,
    rolling_sum,
)
from gogooku_kedro.features.feature import Family, shared

BETA_WINDOW = 60  # sessions


@shared
def market_regression(panel: xr.Dataset, window: int) -> Regression:
    """Regress one-day returns on the index return over `window` sessions."""
    return rolling_regression(panel["ret_1d"], panel["index_return"], window)


@shared
def aligned_returns(panel: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the stock's and the index's one-day return on the sessions that have both."""
    returns, index = xr.broadcast(panel["ret_1d"], panel["index_return"])
    together = returns.notnull() & index.notnull()
    return returns.where(together), index.where(together)


def beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of the one-day return on the index return."""
    return market_regression(panel, window).beta


def beta_change(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the beta over `short` sessions minus that over `long` sessions."""
    return beta(panel, short) - beta(panel, long)


def alpha(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the intercept of the one-day return on the index return, per session (Jensen's alpha)."""
    returns, index = aligned_returns(panel)
    return rolling_mean(returns, window) - beta(panel, window) * rolling_mean(index, window)


def correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with the index return."""
    return market_regression(panel, window).correlation


def idiosyncratic_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of the residual on the index return, per session."""
    return market_regression(panel, window).residual_std


def downside_semibeta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return mean(min(r, 0) min(m, 0)) / mean(m^2): the part of beta earned falling together.

    r and m are the one-day returns of stock and index (Bollerslev, Li, Patton, Quaedvlieg, 2021).
    """
    returns, index = aligned_returns(panel)
    fallen = rolling_mean(returns.clip(max=0) * index.clip(max=0), window)
    squares = rolling_mean(index**2, window)
    return fallen / squares.where(squares > 0)


def coskewness(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return mean(r m^2) / (root mean square of r * mean square of m) over `window` sessions."""
    returns, index = aligned_returns(panel)
    scale = rolling_mean(returns**2, window) ** 0.5 * rolling_mean(index**2, window)
    return rolling_mean(returns * index**2, window) / scale.where(scale > 0)


def residual_return(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sum over `window` of (return - beta * index return) with today's 60-session beta.

    With one beta for the whole window the look-back stays 60 returns. A session on which the stock
    has no return drops out of both sums.
    """
    returns, index = aligned_returns(panel)
    return rolling_sum(returns, window) - beta(panel, BETA_WINDOW) * rolling_sum(index, window)


def residual_momentum(panel: xr.Dataset, window: int, skip: int) -> xr.DataArray:
    """Return the residual return from t - window to t - skip over the residual's deviation.

    Beta and deviation are those of the last `window` sessions (Blitz, Huij, Martens, 2011).
    """
    returns, index = aligned_returns(panel)
    own, common = (rolling_sum(x, window) - rolling_sum(x, skip) for x in (returns, index))
    spread = idiosyncratic_volatility(panel, window)
    return (own - beta(panel, window) * common) / spread.where(spread > 0)


def residual_ewma(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the exponentially weighted mean residual return, with today's 60-session beta.

    `window` is the half-life in sessions; the mean is cut off after 60 sessions.
    """
    returns, index = aligned_returns(panel)
    smooth = partial(rolling_ewma, window=BETA_WINDOW, half_life=window)
    return smooth(returns) - beta(panel, BETA_WINDOW) * smooth(index)


def relative_strength(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean of return minus index return over `window`, in standard deviations of it.

    The plain sum would rank the stocks of a date like their past return does.
    """
    active = panel["ret_1d"] - panel["index_return"]
    spread = rolling_std(active, window)
    return rolling_mean(active, window) / spread.where(spread > 0)


NEEDS = ("ret_1d", "index_return")
SHARPE, BLITZ = "Sharpe (1964)", "Blitz, Huij, Martens (2011)"

_family = Family("market")

_each = partial(_family.each, needs=NEEDS)
FEATURES = (
    *_each("beta_{n}d", (60, 250), formula="slope over {n} of return_1d on index return", function=beta, source=SHARPE),
    *_family.each_pair(
        "beta_change_{short}_{long}", ((60, 250),), NEEDS, "beta_{short}d - beta_{long}d", beta_change, SHARPE
    ),
    *_each(
        "alpha_{n}d",
        (120,),
        formula="intercept over {n} of return_1d on index return",
        function=alpha,
        source="Jensen (1968)",
    ),
    *_each(
        "market_correlation_{n}d",
        (60,),
        formula="correlation over {n} of return_1d and index return",
        function=correlation,
        source=SHARPE,
    ),
    *_each(
        "idiosyncratic_volatility_{n}d",
        (60,),
        formula="std over {n} of the residual of return_1d on index return",
        function=idiosyncratic_volatility,
        source="Ang, Hodrick, Xing, Zhang (2006)",
    ),
    *_each(
        "downside_semibeta_{n}d",
        (120,),
        formula="mean of min(r, 0) min(m, 0) / mean of m^2 over {n}",
        function=downside_semibeta,
        source="Bollerslev, Li, Patton, Quaedvlieg (2021)",
    ),
    *_each(
        "coskewness_{n}d",
        (120,),
        formula="mean of r m^2 / (root mean square of r * mean of m^2) over {n}",
        function=coskewness,
        source="Harvey, Siddique (2000)",
    ),
    *_each(
        "relative_strength_{n}d",
        (60,),
        formula="mean / std over {n} of return_1d - index return",
        function=relative_strength,
        source="Levy (1967)",
    ),
    *_each(
        "residual_return_{n}d",
        (1, 5, 20),
        formula="sum over {n} of return_1d - beta_60d * index return",
        function=residual_return,
        source=BLITZ,
        lookback=60,
    ),
    *_family.feature(
        "residual_momentum_120_20",
        NEEDS,
        120,
        "residual return from t-120 to t-20 / idiosyncratic volatility",
        partial(residual_momentum, window=120, skip=20),
        BLITZ,
    ),
    *_each(
        "residual_ewma_{n}d",
        (5, 20),
        formula="EWMA (half-life {n}) of return_1d - beta_60d * index return",
        function=residual_ewma,
        source=BLITZ,
        lookback=60,
    ),
)
