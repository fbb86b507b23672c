"""Twenty features and their ranks per date: the panel against pandas groupby-rolling and polars.

The three compute the same numbers (checked before anything is timed), from the long table for pandas
and polars and from the panel for us. Pandas uses one thread, polars and we use two.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import numpy as np
import pandas as pd
import polars as pl
import xarray as xr

from benchmarks.market import bare_panel
from benchmarks.measure import in_turn, write
from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.arrays.rolling import min_present
from gogooku_kedro.features import FEATURES, Execution, stream_selected
from gogooku_kedro.market.blocks import assemble

NAMES = (
    *(f"return_{n}d" for n in (1, 5, 20, 60)),
    *(f"sma_gap_{n}d" for n in (5, 20, 60)),
    *(f"volatility_{n}d" for n in (5, 20, 60)),
    *(f"drawdown_{n}d" for n in (60, 250)),
    *(f"volume_ratio_{short}_{long}" for short, long in ((1, 5), (5, 20), (5, 60))),
    "max_return_20d",
    "min_return_20d",
    "log_turnover_20d",
    "amihud_20d",
    "high_low_range_20d",
)
EXECUTION = Execution(workers=2, memory_mb=4_096)
COLUMNS = ["adj_close", "adj_high", "adj_low", "adj_volume", "turnover_value", "ret_1d"]


def on_panel(panel: xr.Dataset) -> dict[str, np.ndarray]:
    """Features and Gaussian ranks `(date, code)`."""
    raw = assemble(stream_selected(panel, [FEATURES[name] for name in NAMES], EXECUTION))
    with ThreadPoolExecutor(EXECUTION.workers) as pool:  # as features.normalise does
        return dict(zip(NAMES, pool.map(gaussian_rank, (raw[name].values for name in NAMES)), strict=True))


def in_pandas(long: pd.DataFrame) -> pd.DataFrame:
    """Features by groupby-rolling over code, ranks by groupby over date."""
    grouped = long.groupby("code", sort=False)

    def rolling(values: pd.Series, window: int, statistic: str) -> pd.Series:
        roll = values.groupby(long["code"], sort=False).rolling(window, min_periods=min_present(window))
        return getattr(roll, statistic)().reset_index(level=0, drop=True)

    close, returns, volume = long["adj_close"], long["ret_1d"], long["adj_volume"]
    log_return, value = np.log1p(returns), long["turnover_value"]
    found = {f"return_{n}d": close / grouped["adj_close"].shift(n) - 1 for n in (1, 5, 20, 60)}
    found |= {f"sma_gap_{n}d": close / rolling(close, n, "mean") - 1 for n in (5, 20, 60)}
    found |= {f"volatility_{n}d": rolling(log_return, n, "std") for n in (5, 20, 60)}
    found |= {f"drawdown_{n}d": close / rolling(close, n, "max") - 1 for n in (60, 250)}
    for short, long_ in ((1, 5), (5, 20), (5, 60)):
        found[f"volume_ratio_{short}_{long_}"] = np.log(rolling(volume, short, "mean") / rolling(volume, long_, "mean"))
    found["max_return_20d"] = rolling(returns, 20, "max")
    found["min_return_20d"] = rolling(returns, 20, "min")
    found["log_turnover_20d"] = rolling(np.log(value), 20, "mean")
    found["amihud_20d"] = np.log(rolling(returns.abs() / value, 20, "mean"))
    found["high_low_range_20d"] = rolling(np.log(long["adj_high"] / long["adj_low"]), 20, "mean")
    frame = pd.DataFrame(found)
    return frame.groupby(long["date"], sort=False).rank(pct=True)


def in_polars(long: pl.DataFrame) -> pl.DataFrame:
    """The same as expressions over code and date."""

    def rolling(values: pl.Expr, window: int, statistic: str) -> pl.Expr:
        return getattr(values, f"rolling_{statistic}")(window, min_samples=min_present(window)).over("code")

    close, returns, volume = pl.col("adj_close"), pl.col("ret_1d"), pl.col("adj_volume")
    log_return, value = (1 + returns).log(), pl.col("turnover_value")
    found = {f"return_{n}d": close / close.shift(n).over("code") - 1 for n in (1, 5, 20, 60)}
    found |= {f"sma_gap_{n}d": close / rolling(close, n, "mean") - 1 for n in (5, 20, 60)}
    found |= {f"volatility_{n}d": rolling(log_return, n, "std") for n in (5, 20, 60)}
    found |= {f"drawdown_{n}d": close / rolling(close, n, "max") - 1 for n in (60, 250)}
    for short, long_ in ((1, 5), (5, 20), (5, 60)):
        found[f"volume_ratio_{short}_{long_}"] = (rolling(volume, short, "mean") / rolling(volume, long_, "mean")).log()
    found["max_return_20d"] = rolling(returns, 20, "max")
    found["min_return_20d"] = rolling(returns, 20, "min")
    found["log_turnover_20d"] = rolling(value.log(), 20, "mean")
    found["amihud_20d"] = rolling(returns.abs() / value, 20, "mean").log()
    found["high_low_range_20d"] = rolling((pl.col("adj_high") / pl.col("adj_low")).log(), 20, "mean")
    frame = long.with_columns(**found)
    ranked = {name: pl.col(name).rank() / pl.col(name).count() for name in NAMES}
    return frame.select("date", "code", **{name: rank.over("date") for name, rank in ranked.items()})


def long_tables(panel: xr.Dataset) -> tuple[pd.DataFrame, pl.DataFrame]:
    """The panel as one row per stock and session, sorted by code and date, absent as NaN and as null."""
    n_dates, n_codes = panel["close"].shape
    columns = {name: panel[name].values.astype(np.float64).T.ravel() for name in COLUMNS}
    keys = {"date": np.tile(np.arange(n_dates), n_codes), "code": np.repeat(np.arange(n_codes), n_dates)}
    return pd.DataFrame(keys | columns), pl.DataFrame(keys | columns).fill_nan(None)


def check_equal(ours: dict[str, np.ndarray], theirs: np.ndarray, name: str) -> None:
    """Refuse to time things that differ: ranks must agree but for ties in float32."""
    place = pd.DataFrame(ours[name]).rank(axis=1, pct=True).to_numpy()
    other = theirs.reshape(place.shape[::-1]).T
    known = np.isfinite(place) & np.isfinite(other)
    late = np.arange(len(place)) >= 260  # before, rolling means of pandas need no whole window
    share = known[late].mean()
    gap = np.abs(place - other)[known & late[:, None]].mean()
    if share < 0.5 or gap > 1e-3:
        raise AssertionError(f"{name}: {share:.0%} comparable, ranks differ by {gap:.2e} on average")


def compare(stocks: int, sessions: int, repeats: int) -> list[dict[str, Any]]:
    """Ratios of both references to the panel."""
    panel = bare_panel(stocks, sessions)
    frame, table = long_tables(panel)
    ours, theirs, other = on_panel(panel), in_pandas(frame), in_polars(table)
    for name in NAMES:
        check_equal(ours, theirs[name].to_numpy(), name)
        check_equal(ours, other[name].to_numpy(), name)
    references: dict[str, Callable[[], object]] = {
        "pandas": lambda: in_pandas(frame),
        "polars": lambda: in_polars(table),
    }
    return [
        {"reference": name, "stocks": stocks, "sessions": sessions, "features": len(NAMES)}
        | in_turn(lambda: on_panel(panel), reference, repeats)
        for name, reference in references.items()
    ]


def main() -> None:
    """Measure two sizes."""
    write("features_ratio", [*compare(1_000, 1_000, repeats=3), *compare(2_000, 2_000, repeats=3)])


if __name__ == "__main__":
    main()
