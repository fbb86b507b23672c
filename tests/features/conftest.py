"""A small panel after the contract of the market stage, with halts, a listing and a thin date."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

PanelFactory = Callable[..., xr.Dataset]

DIMS = ("date", "code")
NEIGHBOURS = 3  # every stock's neighbours are the next three


def make_panel(
    n_dates: int = 180, n_codes: int = 12, seed: int = 0, gaps: bool = True, events: bool = False
) -> xr.Dataset:
    """A random market.

    Args:
        n_dates: Sessions.
        n_codes: Stocks, in three sectors.
        seed: Of every number.
        gaps: 3% of the sessions of a stock are without a trade, and the first stock is listed late.
        events: Prices in whole yen, sessions without a move and without a range, a split, touched price
            limits, turnover that is not close x volume, a stock alone in its sector and one whose
            sector is unknown.
    """
    rng, extra = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    shape = (n_dates, n_codes)
    market = 0.01 * rng.standard_normal(n_dates)
    beta = rng.uniform(0.5, 1.5, n_codes)
    log_return = market[:, None] * beta + 0.02 * rng.standard_normal(shape)
    if events:
        log_return[extra.random(shape) < 0.04] = 0.0
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
    if events:
        without_range = extra.random(shape) < 0.03
        bars |= {name: np.where(without_range, close, bars[name]) for name in ("open", "high", "low")}
        bars = {name: values.round() for name, values in bars.items()}
    panel = _assemble(bars, traded, listed)
    if events:
        _add_events(panel, extra)
    return panel.assign(_limits(panel) | _neighbours(panel, extra) | _calendar(panel))


def _assemble(bars: dict[str, np.ndarray], traded: np.ndarray, listed: np.ndarray) -> xr.Dataset:
    n_dates, n_codes = traded.shape
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
            **{name: (DIMS, values.astype(np.float32)) for name, values in floats.items()},
            **{name: (DIMS, values.copy()) for name, values in bools.items()},
            **{f"exact_{name}": (DIMS, bars[name].copy()) for name in ("open", "close")},
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


def _add_events(panel: xr.Dataset, rng: np.random.Generator) -> None:
    n_dates, n_codes = panel.sizes["date"], panel.sizes["code"]
    shape = (n_dates, n_codes)
    for name in ("open", "high", "low", "close"):
        panel[name].values[n_dates - 25 :, 1] /= 2  # two for one, one window before the end
    panel["volume"].values[n_dates - 25 :, 1] *= 2
    panel["turnover_value"].values[:] *= np.exp(0.003 * rng.standard_normal(shape))
    touched = rng.random(shape)
    panel["limit_up"].values[:] = (touched < 0.02) & panel["traded"].values
    panel["limit_down"].values[:] = (touched > 0.99) & panel["traded"].values
    sectors = panel["sector"].values.tolist()
    panel.coords["sector"] = ("code", [*sectors[:-2], "Mining", "n/a"])


def _limits(panel: xr.Dataset) -> dict[str, xr.DataArray]:
    """The band from the last close before the session, on the session's side of a split."""
    known, scale = panel["adj_close"].ffill("date"), (panel["close"] / panel["adj_close"]).ffill("date")
    base = known.shift(date=1) * scale
    return {
        "limit_base": base,
        "limit_width": _band(base),
        "next_limit_width": _band(panel["close"]),
    }


def _band(base: xr.DataArray) -> xr.DataArray:
    return xr.where(base < 1000, 150.0, xr.where(base < 1500, 300.0, 0.25 * base)).where(base > 0)


def _neighbours(panel: xr.Dataset, rng: np.random.Generator) -> dict[str, xr.DataArray]:
    """What the graph stage adds: the present ones of the next stocks, and measures that change monthly."""
    returns, volume = panel["ret_1d"], np.log(panel["adj_volume"].where(panel["adj_volume"] > 0))
    months = -(-panel.sizes["date"] // 20)
    drawn = rng.uniform(0.1, 0.9, (3, months, panel.sizes["code"])).repeat(20, axis=1)
    names = ("neighbour_strength", "neighbour_clustering", "neighbour_same_sector")
    measures = {
        name: returns.copy(data=values[: panel.sizes["date"]].astype(np.float32))
        for name, values in zip(names, drawn, strict=True)
    }
    measures["neighbour_count"] = xr.full_like(returns, NEIGHBOURS)
    return measures | {"neighbour_return": _mean_of_next(returns), "neighbour_log_volume": _mean_of_next(volume)}


def _mean_of_next(values: xr.DataArray) -> xr.DataArray:
    neighbours = [values.roll(code=-step, roll_coords=False) for step in range(1, NEIGHBOURS + 1)]
    present = sum(neighbour.notnull().astype(float) for neighbour in neighbours)
    total = sum(neighbour.fillna(0.0) for neighbour in neighbours)
    return (total / present.where(present > 0)).transpose(*DIMS).astype(np.float32)


def _calendar(panel: xr.Dataset) -> dict[str, xr.DataArray]:
    n_dates = panel.sizes["date"]
    dates = pd.bdate_range(panel["date"].values[0], periods=n_dates + 1).to_numpy()
    days = (np.diff(dates) / np.timedelta64(1, "D")).astype(np.float32)
    return {"days_to_next_session": xr.DataArray(days, {"date": panel["date"]}, ("date",))}


@pytest.fixture(scope="session")
def panel_factory() -> PanelFactory:
    return make_panel


@pytest.fixture(scope="session")
def panel() -> xr.Dataset:
    return make_panel()
