"""Graphs of 1,000 to 4,000 stocks: seconds of a whole snapshot, and the correlations against pandas."""

import time
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from benchmarks.measure import in_turn, write
from gogooku_kedro.graph import Window, find_edges, masked_correlation
from gogooku_kedro.params.graph import GraphParams

WINDOW, ENOUGH = 250, 200
OPTIONS: dict[str, dict[str, Any]] = {
    "as in base": {},
    "sector residual": {"residual": "sector"},
    "pca residual": {"residual": "pca"},
    "ewma": {"correlation": "ewma"},
    "spearman": {"correlation": "spearman"},
    "sector nearest, cap": {"sector_nearest": 5, "max_degree": 40},
    "lead-lag": {"lead_lag": {"enabled": True, "fdr": 0.05, "k": 4}},
}


def settings(**changes: Any) -> GraphParams:
    """`conf/base` with the window, k and threshold of `conf/gat_production`."""
    OmegaConf.register_new_resolver("runtime_params", lambda name, default: default, replace=True)
    written = OmegaConf.merge(
        OmegaConf.load("conf/base/parameters_graph.yml"),
        {"graph": OmegaConf.load("conf/gat_production/parameters.yml")["graph"]},
        {"graph": changes},
    )
    return GraphParams.model_validate(OmegaConf.to_container(written["graph"], resolve=True))


def market(stocks: int) -> Window:
    """Returns of one market and 33 sectors with noise; 2 % of the stock-days are missing."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 33, stocks)
    index = 0.01 * rng.standard_normal(WINDOW)
    common = 0.005 * rng.standard_normal((WINDOW, 33))
    returns = index[:, None] + common[:, ids] + 0.02 * rng.standard_normal((WINDOW, stocks))
    returns[rng.random(returns.shape) < 0.02] = np.nan
    codes = np.arange(10_000, 10_000 + stocks).astype(str)
    return Window(codes, ids, np.ascontiguousarray(returns), index)  # in the order that `build_edges` has them in


def snapshot_seconds(window: Window, params: GraphParams, repeats: int = 5) -> float:
    """Median seconds from returns to edges, after one warm-up."""
    find_edges(window, params)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        find_edges(window, params)
        seconds.append(time.perf_counter() - start)
    return round(median(seconds), 3)


def compare(stocks: int) -> dict[str, Any]:
    """A snapshot as in base, and its correlations alone beside `DataFrame.corr`."""
    window = market(stocks)
    frame = pd.DataFrame(window.returns)
    ours, pandas = (
        partial(masked_correlation, window.returns, ENOUGH),
        partial(frame.corr, min_periods=ENOUGH),
    )
    ratio = in_turn(ours, pandas, repeats=3 if stocks <= 1000 else 1)
    return {"stocks": stocks, "snapshot_seconds": snapshot_seconds(window, settings())} | {
        f"correlation_{name}": value for name, value in ratio.items()
    }


def main() -> None:
    """Measure three sizes, and what each option costs at the largest."""
    rows = [compare(stocks) for stocks in (1000, 2000, 4000)]
    largest = market(4000)
    for name, changes in OPTIONS.items():
        seconds = snapshot_seconds(largest, settings(**changes), repeats=3)
        rows.append({"stocks": 4000, "option": name, "snapshot_seconds": seconds})
    write("graph_snapshot", rows)


if __name__ == "__main__":
    main()
