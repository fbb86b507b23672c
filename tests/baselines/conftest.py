"""A small market with a signal that a learner can find, and fixtures shared with the tests of the metrics."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines.rows import FitContext, FitSettings
from tests.metrics.conftest import daily, labels, predict

__all__ = ["daily", "labels", "predict"]

DATES = pd.bdate_range("2024-01-04", periods=120)
CODES = [str(1301 + i) for i in range(40)]
COORDS = {"date": DATES, "code": CODES}
HORIZONS = [1, 5]
NO_EDGES = pd.DataFrame({"asof": pd.DatetimeIndex([]), "source": [], "target": [], "correlation": []})


def iso(position: int) -> str:
    return f"{DATES[position]:%Y-%m-%d}"


SPLIT = {
    "train": [iso(0), iso(59)],
    "valid": [iso(66), iso(89)],
    "test": [iso(96), iso(119)],
    "purge_sessions": 6,
}


@pytest.fixture
def market() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Features, members and labels; feature 0 drives horizon 1, feature 1 drives horizon 5."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 40, 5)).astype(np.float32)
    noise = rng.normal(size=(120, 40, 2))
    ret = (0.01 * (0.5 * x[..., :2] + noise)).astype(np.float32)
    ret[-2:] = np.nan
    ret[rng.random(ret.shape) < 0.02] = np.nan
    in_universe = rng.random((120, 40)) < 0.95
    return (
        xr.DataArray(x, dims=("date", "code", "feature"), coords=COORDS),
        xr.DataArray(in_universe, dims=("date", "code"), coords=COORDS),
        xr.DataArray(ret, dims=("date", "code", "horizon"), coords={**COORDS, "horizon": HORIZONS}),
    )


def context_of(
    features: xr.Dataset, labels: xr.Dataset, panel: xr.Dataset, split: dict[str, Any] = SPLIT, **settings: Any
) -> FitContext:
    """All that a baseline may read, of a market without a graph."""
    own = FitSettings(**{"seed": 0, "window": 6, "device": "cpu"} | settings)
    return FitContext(features, labels, panel, NO_EDGES, split, {"features": []}, own)
