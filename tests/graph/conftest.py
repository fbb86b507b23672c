"""Small panels of returns, as the graph reads them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.params import GraphParams

ReturnsPanel = Callable[..., xr.Dataset]


def graph_params(**changes) -> GraphParams:
    """Settings of a small graph: the three strongest raw correlations of 60 sessions, one way."""
    settings = {
        "window": 60,
        "min_observations": 40,
        "cadence": 20,
        "residual": "none",
        "pca_factors": 2,
        "correlation": "pearson",
        "half_life": 20,
        "threshold": 0.1,
        "k": 3,
        "join": "directed",
        "negative_edges": True,
        "max_degree": None,
        "sector_nearest": 0,
        "lead_lag": {"enabled": False, "fdr": 0.05, "k": 2},
        "checks": {"degree_min": 1, "degree_max": 10, "isolates_max": 0.1},
        "cache_dir": None,
    }
    return GraphParams(**(settings | changes))


def panel_of_returns(returns, sectors=None, index_return=None) -> xr.Dataset:
    """A panel with the given one-day returns `(date, code)`; NaN means no trade that day."""
    returns = np.asarray(returns, dtype=np.float32)
    n_dates, n_codes = returns.shape
    index = np.zeros(n_dates) if index_return is None else index_return
    return xr.Dataset(
        {
            "ret_1d": (("date", "code"), returns.copy()),
            "traded": (("date", "code"), np.isfinite(returns)),
            "index_return": ("date", np.asarray(index, dtype=np.float32)),
        },
        coords={
            "date": pd.bdate_range("2021-01-04", periods=n_dates).as_unit("ns"),
            "code": [f"{1301 + i}0" for i in range(n_codes)],
            "sector": ("code", sectors or ["n/a"] * n_codes),
        },
    )


def clustered_returns(n_dates=160, n_codes=12, missing=0.05, seed=0) -> xr.Dataset:
    """Three sectors with a common movement each, under one market."""
    rng = np.random.default_rng(seed)
    sector = np.arange(n_codes) % 3
    market = 0.01 * rng.standard_normal(n_dates)
    common = 0.01 * rng.standard_normal((n_dates, 3))
    returns = market[:, None] + common[:, sector] + 0.012 * rng.standard_normal((n_dates, n_codes))
    returns[rng.random(returns.shape) < missing] = np.nan
    returns[0] = np.nan
    market[0] = np.nan
    names = [("Banks", "Foods", "Retail")[s] for s in sector]
    return panel_of_returns(returns, names, market)


@pytest.fixture(scope="session")
def returns_panel() -> ReturnsPanel:
    return panel_of_returns


@pytest.fixture
def clustered() -> xr.Dataset:
    return clustered_returns()
