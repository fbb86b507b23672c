"""A made-up panel of any size: prices, volumes, an index, sectors, a graph; halts and missing days."""

import numpy as np
import pandas as pd
import xarray as xr

SECTORS = 33


def bare_panel(stocks: int, sessions: int, seed: int = 0) -> xr.Dataset:
    """The variables that `build_panel` makes of a bare file of bars with sectors, float32."""
    rng = np.random.default_rng(seed)
    shape = (sessions, stocks)
    index = 0.01 * rng.standard_normal(sessions)
    move = index[:, None] + 0.02 * rng.standard_normal(shape)
    close = 1_000 * np.exp(np.cumsum(move, axis=0))
    opening = close * np.exp(-0.7 * move)
    high = np.maximum(opening, close) * np.exp(0.006 * rng.random(shape))
    low = np.minimum(opening, close) * np.exp(-0.006 * rng.random(shape))
    volume = np.exp(11 + 0.5 * rng.standard_normal(shape)).round()
    traded = rng.random(shape) > 0.01
    bars = {"open": opening, "high": high, "low": low, "close": close, "volume": volume}
    bars["turnover_value"] = close * volume
    fields = {name: np.where(traded, values, np.nan).astype(np.float32) for name, values in bars.items()}
    fields |= {f"adj_{name}": fields[name] for name in ("open", "high", "low", "close", "volume")}
    returns = np.full(shape, np.nan, np.float32)
    returns[1:] = fields["close"][1:] / fields["close"][:-1] - 1
    flags = {"traded": traded, "listed": np.ones(shape, bool), "invalid_jump": np.zeros(shape, bool)}
    flags |= dict.fromkeys(("limit_up", "limit_down"), np.zeros(shape, bool))
    grid = {name: (("date", "code"), values) for name, values in (fields | flags | {"ret_1d": returns}).items()}
    return xr.Dataset(
        {
            **grid,
            "index_return": ("date", index.astype(np.float32)),
            "thin_date": ("date", np.zeros(sessions, bool)),
        },
        coords={
            "date": pd.bdate_range("2012-01-04", periods=sessions).as_unit("ns"),
            "code": [f"{i:05d}" for i in range(stocks)],
            "sector": ("code", [f"sector {i % SECTORS:02d}" for i in range(stocks)]),
        },
    )


def with_peers(panel: xr.Dataset, seed: int = 0) -> xr.Dataset:
    """Add the variables of the graph of correlated stocks, drawn instead of built."""
    rng = np.random.default_rng(seed)
    shape = panel["close"].shape
    drawn = {
        "neighbour_return": 0.01 * rng.standard_normal(shape, dtype=np.float32),
        "neighbour_log_volume": 11 + rng.standard_normal(shape, dtype=np.float32),
        "neighbour_count": np.repeat(rng.integers(5, 20, (1, shape[1])), shape[0], axis=0).astype(np.float32),
        "neighbour_strength": rng.random(shape, dtype=np.float32),
        "neighbour_clustering": rng.random(shape, dtype=np.float32),
        "neighbour_same_sector": rng.random(shape, dtype=np.float32),
    }
    return panel.assign({name: (("date", "code"), values) for name, values in drawn.items()})
