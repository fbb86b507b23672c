"""A small panel after the contract of the market stage, with halts, a listing and a thin date."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

PanelFactory = Callable[..., xr.Dataset]


def make_panel(n_dates: int = 180, n_codes: int = 12, seed: int = 0, gaps: bool = True) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    shape = (n_dates, n_codes)
    market = 0.01 * rng.standard_normal(n_dates)
    beta = rng.uniform(0.5, 1.5, n_codes)
    log_return = market[:, None] * beta + 0.02 * rng.standard_normal(shape)
    close = 1000 * np.exp(np.cumsum(log_return, axis=0))
    opening = close * np.exp(0.004 * rng.standard_normal(shape))
    high = np.maximum(opening, close) * np.exp(0.006 * rng.random(shape))
    low = np.minimum(opening, close) * np.exp(-0.006 * rng.random(shape))
    volume = np.exp(11 + 0.5 * rng.standard_normal(shape)).round()
    traded = np.ones(shape, dtype=bool)
    listed = np.ones(shape, dtype=bool)
    if gaps:
        traded &= rng.random(shape) > 0.03
        traded[: n_dates // 3, 0] = listed[: n_dates // 3, 0] = False
    bars = {"open": opening, "high": high, "low": low, "close": close, "volume": volume}
    return _assemble(bars, traded, listed)


def _assemble(bars: dict[str, np.ndarray], traded: np.ndarray, listed: np.ndarray) -> xr.Dataset:
    n_dates, n_codes = traded.shape
    dims = ("date", "code")
    bars = {"turnover_value": bars["close"] * bars["volume"]} | bars
    bars = {name: np.where(traded, values, np.nan) for name, values in bars.items()}
    adjusted = {f"adj_{n}": bars[n] for n in ("open", "high", "low", "close", "volume")}
    ret = np.full(traded.shape, np.nan)
    ret[1:] = bars["close"][1:] / bars["close"][:-1] - 1
    floats = {**bars, **adjusted, "ret_1d": ret}
    bools = dict.fromkeys(("limit_up", "limit_down", "invalid_jump"), np.zeros(traded.shape, bool))
    bools |= {"traded": traded, "listed": listed}
    index = np.nan_to_num(np.nanmean(np.where(np.isfinite(ret), ret, 0.0), axis=1))
    index[0] = np.nan
    return xr.Dataset(
        {
            **{name: (dims, values.astype(np.float32)) for name, values in floats.items()},
            **{name: (dims, values.copy()) for name, values in bools.items()},
            "index_return": ("date", index.astype(np.float32)),
            "thin_date": ("date", np.zeros(n_dates, bool)),
        },
        coords={
            "date": pd.bdate_range("2021-01-04", periods=n_dates).as_unit("ns"),
            "code": [f"{1301 + i}0" for i in range(n_codes)],
            "sector": ("code", [("Foods", "Banks", "Retail")[i % 3] for i in range(n_codes)]),
            "market": ("code", ["Prime"] * n_codes),
        },
    )


@pytest.fixture(scope="session")
def panel_factory() -> PanelFactory:
    return make_panel


@pytest.fixture(scope="session")
def panel() -> xr.Dataset:
    return make_panel()
