"""How complete a stock's recent history is."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.path import sessions_since_max
from gogooku_kedro.arrays.rolling import rolling_count
from gogooku_kedro.features.feature import Family


def valid_return_share(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the share of the last `window` sessions with a valid one-day return, in [0, 1].

    NaN where the stock is not listed.
    """
    return (rolling_count(panel["ret_1d"], window) / window).where(panel["listed"])


def sessions_since_gap(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the sessions since the last one without a valid return, at most `window` - 1.

    NaN where the stock is not listed.
    """
    gap = panel["ret_1d"].isnull().astype(np.float64)
    since = sessions_since_max(gap, window)
    none = rolling_count(gap.where(gap > 0), window) == 0
    return since.where(~none, window - 1.0).where(panel["listed"])


NEEDS = ("ret_1d", "listed")

_family = Family("validity")
FEATURES = (
    *_family.each(
        "valid_return_share_{n}d", (120,), NEEDS, "share of {n} sessions with a valid return_1d", valid_return_share
    ),
    *_family.each(
        "sessions_since_gap_{n}d",
        (250,),
        NEEDS,
        "sessions since the last one without a valid return_1d, at most {n} - 1",
        sessions_since_gap,
    ),
)
