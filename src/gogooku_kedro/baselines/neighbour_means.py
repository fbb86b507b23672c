"""Mean features of a stock's neighbours in the graph: what a model without messages can read of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse

from gogooku_kedro.baselines.rows import Features, read_features
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.typing import BoolArray, Float32Array

PREFIX = "peers_"


def read_with_peer_means(
    x: xr.DataArray, in_universe: xr.DataArray, graph_edges: pd.DataFrame, columns: Sequence[str]
) -> Features:
    """Return how the features and the mean of some of them over each stock's neighbours are read by dates.

    mean_i = sum_j |c_ij| * x_j / sum_j |c_ij| over the sources j of the edges into i that are in the universe
    on the date; self loops are left out. Session t uses the last graph with an as-of date up to t and features
    of t, so nothing later is seen. One sparse product a graph.

    Args:
        x: (date, code, feature) float32, normalised, missing already 0.
        in_universe: (date, code) bool.
        graph_edges: asof, source, target, correlation.
        columns: Features to average.

    Returns:
        Of dates to (date, code, feature) float32: the features of `x`, then the means in the order of `columns`.
        0, the middle of the cross-section, outside the universe, before the first graph, and without a neighbour
        in it.

    Raises:
        ValueError: A column is not among the features, or an edge table lacks one.
    """
    features = x.indexes["feature"]
    unknown = [name for name in columns if name not in features]
    if unknown:
        raise ValueError(f"columns {unknown} are not among the features; choose from {list(features)}")
    check_columns(graph_edges, ["asof", "source", "target", "correlation"], "graph_edges")
    read = read_features(x)
    inside = in_universe.transpose("date", "code").sel(date=x["date"], code=x["code"]).to_numpy()
    chosen = features.get_indexer(pd.Index(columns))
    adjacency = adjacency_by_asof(graph_edges, x.indexes["code"])
    asofs = pd.DatetimeIndex(sorted(adjacency))
    last_asof = asofs.searchsorted(x.indexes["date"], side="right") - 1

    def joined(dates: slice) -> Float32Array:
        own = read(dates)
        values = np.zeros((*own.shape[:2], len(features) + len(columns)), dtype=np.float32)
        values[..., : len(features)] = own
        for graph in np.unique(last_asof[dates][last_asof[dates] >= 0]):
            days = np.flatnonzero(last_asof[dates] == graph)
            here = inside[dates][days].T.astype(np.float64)  # (code, day)
            heard = own[days][..., chosen].transpose(1, 0, 2) * here[..., None]
            weights = adjacency[asofs[graph]]
            total = (weights @ heard.reshape(len(here), -1)).reshape(heard.shape)
            weight = (weights @ here)[..., None]
            mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
            values[days, :, len(features) :] = (mean * here[..., None]).transpose(1, 0, 2)
        return values

    return joined


def with_peer_means(
    x: xr.DataArray, in_universe: xr.DataArray, graph_edges: pd.DataFrame, columns: Sequence[str]
) -> xr.DataArray:
    """Return all dates of `read_with_peer_means`, (date, code, feature) with the names `peers_<column>`."""
    names = [*x.indexes["feature"], *(f"{PREFIX}{name}" for name in columns)]
    values = read_with_peer_means(x, in_universe, graph_edges, columns)(slice(None))
    return xr.DataArray(values, {"date": x["date"], "code": x["code"], "feature": names}, ("date", "code", "feature"))


def adjacency_by_asof(edges: pd.DataFrame, codes: pd.Index[str]) -> dict[pd.Timestamp, sparse.csr_array]:
    """Return |correlation| by (target, source) for each as-of date, without self loops.

    Edges with a stock outside `codes` are left out; an as-of date without edges has an empty matrix.

    Args:
        edges: asof, source, target, correlation.
        codes: Stocks, in the order of the matrices' rows and columns.
    """
    n = len(codes)
    source = codes.get_indexer(pd.Index(edges["source"].astype(str)))
    target = codes.get_indexer(pd.Index(edges["target"].astype(str)))
    between: BoolArray = (source >= 0) & (target >= 0) & (source != target)
    weight = edges["correlation"].abs().to_numpy(np.float64)
    matrices = {}
    number, asofs = pd.factorize(edges["asof"], sort=True)
    for position, asof in enumerate(pd.DatetimeIndex(asofs)):
        rows = np.flatnonzero(number == position)
        kept = rows[between[rows]]
        entries = (weight[kept], (target[kept], source[kept]))
        matrices[asof] = sparse.csr_array(entries, shape=(n, n))
    return matrices
