"""A small market with a split, halts and late listings, and a score of some of its stocks."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro import market
from gogooku_kedro.columns import SCORES
from gogooku_kedro.labels.returns import forward_returns
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market


@pytest.fixture(scope="session")
def panel() -> xr.Dataset:
    settings = SampleMarketSettings(n_codes=24, start="2019-01-04", end="2019-12-30", seed=3)
    bars, _ = market.standardise_bars(generate_sample_market(settings)["bars"])
    return market.build_panel(bars)


@pytest.fixture(scope="session")
def labels(panel: xr.Dataset) -> xr.Dataset:
    return forward_returns(panel, [1, 5], "next_open")


@pytest.fixture(scope="session")
def predictions(panel: xr.Dataset) -> pd.DataFrame:
    """Scores of the last 60 sessions, of the stocks that traded."""
    traded = panel["traded"][-60:].to_series()
    rows = traded[traded].index.to_frame(index=False)
    scores = np.random.default_rng(0).normal(size=(len(rows), len(SCORES)))
    return rows.assign(split="test", **dict(zip(SCORES, scores.T, strict=True)))
