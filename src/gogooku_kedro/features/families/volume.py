"""How much a stock trades, and on which sessions: abnormal volume, money flow, price against VWAP."""

import xarray as xr

from gogooku_kedro.arrays.elementwise import log, sign
from gogooku_kedro.arrays.path import rolling_trend
from gogooku_kedro.arrays.rolling import rolling_max, rolling_mean, rolling_regression, rolling_std, rolling_sum
from gogooku_kedro.features.feature import Family, shared


@shared
def traded_volume(panel: xr.Dataset) -> xr.DataArray:
    """Return the adjusted volume where it is above 0."""
    return panel["adj_volume"].where(panel["adj_volume"] > 0)


@shared
def log_volume(panel: xr.Dataset) -> xr.DataArray:
    """Return the logarithm of the adjusted volume."""
    return log(traded_volume(panel))


@shared
def mean_volume(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean adjusted volume over `window` sessions."""
    return rolling_mean(traded_volume(panel), window)


def volume_ratio(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return log(mean volume over `short` sessions / mean volume over `long` sessions)."""
    return log(mean_volume(panel, short) / mean_volume(panel, long))


def volume_z(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return log volume minus its `window`-session mean, in standard deviations of that window."""
    volume = log_volume(panel)
    spread = volume_volatility(panel, window)
    return (volume - rolling_mean(volume, window)) / spread.where(spread > 0)


@shared
def volume_volatility(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the standard deviation of log volume over `window` sessions."""
    return rolling_std(log_volume(panel), window)


def volume_trend(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the slope of log volume on time over `window` sessions, per session."""
    return rolling_trend(log_volume(panel), window).slope


def volume_peak(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the largest volume of `window` sessions as a multiple of their mean."""
    return rolling_max(traded_volume(panel), window) / mean_volume(panel, window)


def volume_return_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the one-day return with log volume over `window` sessions."""
    return rolling_regression(panel["ret_1d"], log_volume(panel), window).correlation


def volume_move_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of the absolute one-day return with log volume."""
    return rolling_regression(abs(panel["ret_1d"]), log_volume(panel), window).correlation


def volume_price_correlation(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the correlation of log close with log volume over `window` sessions."""
    return rolling_regression(log(panel["adj_close"]), log_volume(panel), window).correlation


def on_balance_slope(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the change of on-balance volume over `window` sessions as a share of all volume.

    On-balance volume adds the volume of a rising session and subtracts that of a falling one.
    """
    returns = panel["ret_1d"]
    volume = traded_volume(panel).where(returns.notnull())
    signed = volume * sign(returns)
    return rolling_sum(signed, window) / rolling_sum(volume, window)


def chaikin_money_flow(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sum of (2C - H - L) / (H - L) x volume / sum of volume, in [-1, 1].

    A session without range counts as absent.
    """
    high, low, close = (panel[f"adj_{name}"] for name in ("high", "low", "close"))
    height = (high - low).where(high > low)
    volume = traded_volume(panel).where(height.notnull())
    return rolling_sum((2 * close - high - low) / height * volume, window) / rolling_sum(volume, window)


def vwap_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return close / volume-weighted average price of `window` sessions - 1.

    A session's average price is its turnover over its volume, on the scale of the adjusted close.
    """
    volume = traded_volume(panel)
    average = panel["turnover_value"] / panel["volume"] / panel["close"] * panel["adj_close"]
    volume = volume.where(average.notnull())
    vwap = rolling_sum(average * volume, window) / rolling_sum(volume, window)
    return panel["adj_close"] / vwap - 1


VOLUME, RETURN_AND_VOLUME = ("adj_volume",), ("ret_1d", "adj_volume")
BARS = ("adj_high", "adj_low", "adj_close", "adj_volume")
VWAP = ("close", "volume", "turnover_value", "adj_close", "adj_volume")
GERVAIS, GRANVILLE = "Gervais, Kaniel, Mingelgrin (2001)", "Granville (1963)"

_family = Family("volume")
_each = _family.each
FEATURES = (
    *_family.each_pair(
        "volume_ratio_{short}_{long}",
        ((1, 5), (5, 20), (5, 60), (20, 120)),
        VOLUME,
        "log(mean volume over {short} / mean volume over {long})",
        volume_ratio,
        GERVAIS,
    ),
    *_each("volume_z_{n}d", (20,), VOLUME, "(log volume - mean over {n}) / std over {n}", volume_z, GERVAIS),
    *_each("volume_volatility_{n}d", (20,), VOLUME, "std over {n} of log volume", volume_volatility),
    *_each("volume_trend_{n}d", (60,), VOLUME, "slope over {n} of log volume on time", volume_trend),
    *_each("volume_peak_{n}d", (20,), VOLUME, "max / mean over {n} of volume", volume_peak),
    *_each(
        "volume_return_correlation_{n}d",
        (60,),
        RETURN_AND_VOLUME,
        "correlation over {n} of return_1d and log volume",
        volume_return_correlation,
        "Llorente, Michaely, Saar, Wang (2002)",
    ),
    *_each(
        "volume_move_correlation_{n}d",
        (60,),
        RETURN_AND_VOLUME,
        "correlation over {n} of |return_1d| and log volume",
        volume_move_correlation,
        "Karpoff (1987)",
    ),
    *_each(
        "volume_price_correlation_{n}d",
        (20,),
        ("adj_close", "adj_volume"),
        "correlation over {n} of log close and log volume",
        volume_price_correlation,
    ),
    *_each(
        "on_balance_slope_{n}d",
        (20,),
        RETURN_AND_VOLUME,
        "(OBV[t] - OBV[t-{n}]) / sum over {n} of volume",
        on_balance_slope,
        GRANVILLE,
    ),
    *_each(
        "chaikin_money_flow_{n}d",
        (20,),
        BARS,
        "sum over {n} of (2C - H - L) / (H - L) volume / sum of volume",
        chaikin_money_flow,
        "Chaikin (1982)",
    ),
    *_each(
        "vwap_gap_{n}d",
        (20, 60),
        VWAP,
        "close / (sum of turnover / sum of volume over {n}) - 1",
        vwap_gap,
        "Berkowitz, Logue, Noser (1988)",
    ),
)
