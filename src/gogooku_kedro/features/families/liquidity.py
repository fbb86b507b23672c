"""What trading a stock costs: turnover value, price impact, spread estimators, absence of trade."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import larger, log, sign, smaller, sqrt
from gogooku_kedro.arrays.rolling import min_present, rolling_count, rolling_mean, rolling_std
from gogooku_kedro.features.feature import Family, shared


@shared
def traded_value(panel: xr.Dataset) -> xr.DataArray:
    """Return the turnover value in yen where it is above 0."""
    return panel["turnover_value"].where(panel["turnover_value"] > 0)


def mean_log_turnover(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean log turnover value (yen) of the last `window` sessions."""
    return rolling_mean(log(traded_value(panel)), window)


def turnover_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of log turnover value over `window` sessions."""
    return rolling_std(log(traded_value(panel)), window)


@shared
def mean_impact(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return mean(|return| / turnover value) over `window` sessions, per yen."""
    return rolling_mean(abs(panel["ret_1d"]) / traded_value(panel), window)


def amihud_illiquidity(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log(mean(|return| / turnover value)), per yen (Amihud, 2002)."""
    return log(mean_impact(panel, window))


def amihud_change(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return log(illiquidity over `short` / illiquidity over `long` sessions)."""
    return log(mean_impact(panel, short) / mean_impact(panel, long))


def roll_spread(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return 2 sign(-c) sqrt(|c|) with c = mean(r[t] r[t-1]): Roll's spread, kept signed.

    Roll sets the spread to 0 where c > 0; the sign keeps those stocks apart.
    """
    returns = panel["ret_1d"]
    covariance = rolling_mean(returns * returns.shift(date=1), window)
    return -2 * sign(covariance) * sqrt(abs(covariance))


def corwin_schultz_spread(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean spread implied by one- and two-day ranges, a fraction (negative sessions count as 0).

    a = (sqrt(2b) - sqrt(b)) / (3 - 2 sqrt 2) - sqrt(g / (3 - 2 sqrt 2)), spread = 2 (e^a - 1) / (1 + e^a)
    with b the sum of two squared log ranges and g the squared log range of both sessions together. Without
    the paper's correction for overnight gaps.
    """
    high, low = panel["adj_high"], panel["adj_low"]
    squared = log(high / low) ** 2
    b = squared + squared.shift(date=1)
    both_high, both_low = larger(high, high.shift(date=1)), smaller(low, low.shift(date=1))
    g = (log(both_high / both_low) ** 2).where(b.notnull())
    scale = 3 - 2 * np.sqrt(2)
    a = (sqrt(2 * b) - sqrt(b)) / scale - sqrt(g / scale)
    spread = 2 * (np.exp(a) - 1) / (1 + np.exp(a))
    return rolling_mean(spread.clip(min=0), window)


def zero_return_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of sessions with a return of exactly 0 (Lesmond, Ogden, Trzcinka, 1999)."""
    returns = panel["ret_1d"]
    return rolling_mean((returns == 0).astype(float).where(returns.notnull()), window)


def zero_trade_count(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return how many of the last `window` sessions the stock was listed and did not trade.

    NaN where it was listed on less than 80% of them.
    """
    listed = panel["listed"]
    idle = rolling_count(xr.ones_like(listed, dtype=np.float64).where(listed & ~panel["traded"]), window)
    seen = rolling_count(xr.ones_like(listed, dtype=np.float64).where(listed), window)
    return idle.where(seen >= min_present(window))


VALUE, IMPACT = ("turnover_value",), ("ret_1d", "turnover_value")
AMIHUD = "Amihud (2002)"

_family = Family("liquidity")
_each = _family.each
FEATURES = (
    *_each("log_turnover_{n}d", (20,), VALUE, "mean over {n} of log turnover value", mean_log_turnover),
    *_each(
        "turnover_volatility_{n}d",
        (60,),
        VALUE,
        "std over {n} of log turnover value",
        turnover_volatility,
        "Chordia, Subrahmanyam, Anshuman (2001)",
    ),
    *_each(
        "amihud_{n}d",
        (20, 60),
        IMPACT,
        "log(mean over {n} of |return_1d| / turnover value)",
        amihud_illiquidity,
        AMIHUD,
    ),
    *_family.each_pair(
        "amihud_change_{short}_{long}", ((20, 120),), IMPACT, "amihud_{short}d - amihud_{long}d", amihud_change, AMIHUD
    ),
    *_each(
        "roll_spread_{n}d",
        (60,),
        ("ret_1d",),
        "2 sign(-c) sqrt(|c|), c = mean over {n} of return_1d[t] return_1d[t-1]",
        roll_spread,
        "Roll (1984)",
        lookback=61,
    ),
    *_each(
        "corwin_schultz_{n}d",
        (20,),
        ("adj_high", "adj_low"),
        "mean over {n} of the spread from one- and two-day ranges",
        corwin_schultz_spread,
        "Corwin, Schultz (2012)",
    ),
    *_each(
        "zero_return_share_{n}d",
        (60,),
        ("ret_1d",),
        "share over {n} of sessions with return_1d = 0",
        zero_return_share,
        "Lesmond, Ogden, Trzcinka (1999)",
    ),
    *_each(
        "zero_trade_count_{n}d",
        (60,),
        ("listed", "traded"),
        "sessions of the last {n} listed without a trade",
        zero_trade_count,
        "Liu (2006)",
    ),
)
