"""What the graph says of each stock on each date: its neighbours' returns, and its place among them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import csr_array

from gogooku_kedro.typing import Array

MEASURES = ("neighbour_count", "neighbour_strength", "neighbour_clustering", "neighbour_same_sector")
VARIABLES = ("neighbour_return", "neighbour_log_volume", *MEASURES)


class _Snapshot(NamedTuple):
    weights: csr_array  # (target, source)
    measures: dict[str, Array]


def neighbour_panel(panel: xr.Dataset, edges: pd.DataFrame) -> xr.Dataset:
    """Put the graph on the panel's grid; session t uses the last graph with an as-of date up to t.

    Args:
        panel: Market panel with `ret_1d` and `adj_volume`.
        edges: From `build_edges`; self loops are left out here.

    Returns:
        `(date, code)` float32, NaN before the first graph and where a stock is in none: `neighbour_return`,
        the mean of the neighbours' one-session returns weighted by |correlation| (with the sign of the
        correlation; absent neighbours leave the others' weights in proportion), `neighbour_log_volume`, the
        mean of the neighbours' log adjusted volume; `neighbour_count`, the incoming edges; `neighbour_strength`,
        their mean |correlation|; `neighbour_clustering`, the share of pairs of neighbours that have an edge
        themselves, whichever way the edges run (Watts, Strogatz, 1998; 0 with fewer than two
        neighbours); `neighbour_same_sector`, the share of neighbours of the stock's sector. The last two and
        `neighbour_strength` are NaN without neighbours.
    """
    dates, codes = panel["date"].values, pd.Index(panel["code"].values.astype(str))
    shape = (len(dates), len(codes))
    returns = panel["ret_1d"].transpose("date", "code").values.astype(np.float64)
    volume = panel["adj_volume"].transpose("date", "code").values.astype(np.float64)
    log_volume = np.log(np.where(volume > 0, volume, np.nan))
    grid = {name: np.full(shape, np.nan, np.float32) for name in VARIABLES}
    asofs = np.unique(edges["asof"].to_numpy().astype("datetime64[ns]"))
    starts = np.searchsorted(dates, asofs)
    stops = np.append(starts[1:], len(dates))
    for asof, start, stop in zip(asofs, starts, stops, strict=True):
        snapshot = _snapshot(edges[edges["asof"] == asof], codes)
        rows = slice(start, stop)
        grid["neighbour_return"][rows] = _neighbours_mean(snapshot.weights, returns[rows], signed=True)
        grid["neighbour_log_volume"][rows] = _neighbours_mean(snapshot.weights, log_volume[rows], signed=False)
        for name in MEASURES:
            grid[name][rows] = snapshot.measures[name]
    coords = {name: panel[name].reset_coords(drop=True) for name in ("date", "code")}
    return xr.Dataset({name: (("date", "code"), values) for name, values in grid.items()}, coords)


def _snapshot(edges: pd.DataFrame, codes: pd.Index) -> _Snapshot:
    source = codes.get_indexer(pd.Index(edges["source"].astype(str)))
    target = codes.get_indexer(pd.Index(edges["target"].astype(str)))
    between, n = source != target, len(codes)
    in_graph = np.zeros(n, dtype=bool)
    in_graph[target] = True
    source, target = source[between], target[between]
    correlation, same = (edges[c].to_numpy(np.float64)[between] for c in ("correlation", "same_sector"))
    weights = csr_array((correlation, (target, source)), shape=(n, n))
    weights.sort_indices()
    count = np.bincount(target, minlength=n).astype(np.float64)
    some = np.where(count > 0, count, np.nan)
    measures = {
        "neighbour_count": np.where(in_graph, count, np.nan),
        "neighbour_strength": np.bincount(target, np.abs(correlation), n) / some,
        "neighbour_clustering": np.where(count > 0, _clustering(target, source, n), np.nan),
        "neighbour_same_sector": np.bincount(target, same, n) / some,
    }
    return _Snapshot(weights, measures)


def _clustering(target: Array, source: Array, n: int) -> Array:
    """Share of the pairs of a stock's neighbours, whichever way the edge runs, that are neighbours."""
    links = csr_array((np.ones(len(target)), (target, source)), shape=(n, n))
    links = links + links.T
    links.data[:] = 1.0
    triangles = (links @ links).multiply(links).sum(axis=1) / 2
    degree = np.asarray(links.sum(axis=1)).ravel()
    pairs = degree * (degree - 1) / 2
    share: Array = np.asarray(triangles).ravel() / np.where(pairs > 0, pairs, np.inf)
    return share


def _neighbours_mean(weights: csr_array, values: Array, *, signed: bool) -> Array:
    """Weighted mean of the present neighbours, `(date, code)`."""
    present = np.isfinite(values)
    size = abs(weights)
    total = ((weights if signed else size) @ np.where(present, values, 0.0).T).T
    weight = (size @ present.T.astype(np.float64)).T
    mean: Array = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    return mean
