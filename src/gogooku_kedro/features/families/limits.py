"""Daily price limits: how much of the permitted band a stock used, and how wide it is."""

import xarray as xr

from gogooku_kedro.arrays.rolling import rolling_max, rolling_mean, rolling_sum
from gogooku_kedro.features.feature import Family, shared


@shared
def limit_position(panel: xr.Dataset) -> xr.DataArray:
    """Return (close - base price) / limit width: -1 at the lower limit, 1 at the upper one."""
    return (panel["close"] - panel["limit_base"]) / panel["limit_width"]


def limit_use(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the mean over `window` sessions of |close - base price| / limit width."""
    return rolling_mean(abs(limit_position(panel)), window)


def nearest_limit(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the largest share of the band that a close of the last `window` sessions used."""
    return rolling_max(abs(limit_position(panel)), window)


def limit_width(panel: xr.Dataset) -> xr.DataArray:
    """Return the limit width of the next session as a share of the close."""
    return panel["next_limit_width"] / panel["close"]


def limit_balance(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return sessions that touched the upper limit minus those that touched the lower one."""
    touched = panel["limit_up"].astype(float) - panel["limit_down"].astype(float)
    return rolling_sum(touched.where(panel["traded"]), window)


BAND = ("close", "limit_base", "limit_width")
FLAGS = ("limit_up", "limit_down", "traded")
SOURCE, KIM = "TSE rules of daily price limits", "Kim, Rhee (1997)"

_family = Family("limits")
FEATURES = (
    *_family.feature("limit_position_1d", BAND, 1, "(close - base price) / limit width", limit_position, SOURCE),
    *_family.each(
        "limit_use_{n}d", (20,), BAND, "mean over {n} of |close - base price| / limit width", limit_use, SOURCE
    ),
    *_family.each(
        "nearest_limit_{n}d", (60,), BAND, "max over {n} of |close - base price| / limit width", nearest_limit, KIM
    ),
    *_family.feature(
        "limit_width", ("next_limit_width", "close"), 0, "limit width of the next session / close", limit_width, SOURCE
    ),
    *_family.each("limit_balance_{n}d", (250,), FLAGS, "upper - lower limit touches over {n}", limit_balance, KIM),
)
