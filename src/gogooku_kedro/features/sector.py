"""A stock against its sector: leave-one-out sector means, gaps to them and ranks inside."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.groups import group_ids, group_rank, leave_one_out_mean
from gogooku_kedro.features.returns import past_return
from gogooku_kedro.features.rolling import rolling_ewma
from gogooku_kedro.features.volume import volume_ratio

EWMA_WINDOW = 60  # sessions
WINDOWS = (1, 5, 20)


def sector_return(panel: xr.Dataset, sessions: int) -> xr.DataArray:
    """Return the mean past return of the other stocks of the sector (leave one out), a fraction."""
    return _others_mean(past_return(panel, sessions))


def sector_gap(panel: xr.Dataset, sessions: int) -> xr.DataArray:
    """Return the stock's past return minus that of the other stocks of its sector."""
    own = past_return(panel, sessions)
    return own - _others_mean(own)


def sector_gap_ewma(panel: xr.Dataset, half_life: float) -> xr.DataArray:
    """Return the exponentially weighted mean of the one-day return minus that of the sector."""
    own = panel["ret_1d"]
    return rolling_ewma(own - _others_mean(own), EWMA_WINDOW, half_life)


def sector_rank(panel: xr.Dataset, sessions: int) -> xr.DataArray:
    """Return the rank of the past return inside the sector, in (0, 1)."""
    return _within_codes(group_rank, past_return(panel, sessions))


def sector_volume_gap(panel: xr.Dataset, short: int, long: int) -> xr.DataArray:
    """Return the stock's log volume ratio minus that of the other stocks of its sector."""
    own = volume_ratio(panel, short, long)
    return own - _others_mean(own)


def _others_mean(values: xr.DataArray) -> xr.DataArray:
    return _within_codes(leave_one_out_mean, values)


def _within_codes(function: Any, values: xr.DataArray) -> xr.DataArray:
    ids: npt.NDArray[np.int64] = group_ids(values["sector"].values)
    result: xr.DataArray = xr.apply_ufunc(
        function,
        values.transpose("date", "code"),
        input_core_dims=[["code"]],
        output_core_dims=[["code"]],
        kwargs={"ids": ids},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return result


def _feature(
    name: str, needs: tuple[str, ...], lookback: int, formula: str, function: partial[xr.DataArray]
) -> Feature:
    return Feature(name, "sector", (*needs, "sector"), lookback, formula, function)


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"sector_return_{n}d",
            ("adj_close",),
            n,
            f"mean return_{n}d of the sector's other stocks",
            partial(sector_return, sessions=n),
        )
        for n in WINDOWS
    ),
    *(
        _feature(
            f"sector_gap_{n}d",
            ("adj_close",),
            n,
            f"return_{n}d - sector_return_{n}d",
            partial(sector_gap, sessions=n),
        )
        for n in WINDOWS
    ),
    *(
        _feature(
            f"sector_gap_ewma_{n}d",
            ("ret_1d",),
            60,
            f"EWMA (half-life {n}) of return_1d - mean of the sector's other stocks",
            partial(sector_gap_ewma, half_life=n),
        )
        for n in (5, 20)
    ),
    _feature(
        "sector_rank_20d",
        ("adj_close",),
        20,
        "rank of return_20d inside the sector",
        partial(sector_rank, sessions=20),
    ),
    _feature(
        "sector_volume_gap_5_60",
        ("adj_volume",),
        60,
        "volume_ratio_5_60 - mean of the sector's other stocks",
        partial(sector_volume_gap, short=5, long=60),
    ),
)
