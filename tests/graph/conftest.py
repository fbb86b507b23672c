"""Small panels of returns, as the graph reads them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

ReturnsPanel = Callable[..., xr.Dataset]


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
