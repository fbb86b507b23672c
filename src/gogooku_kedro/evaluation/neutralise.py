"""Scores without what a stock shares with its peers on the graph, and with the market's factors."""

from __future__ import annotations

from collections.abc import Sequence

import bottleneck as bn
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse

from gogooku_kedro.evaluation.wide import check_columns
from gogooku_kedro.features.label_residual import pca_residual

FloatArray = NDArray[np.float64]


def neutralise_peers(predictions: pd.DataFrame, graph_edges: pd.DataFrame) -> pd.DataFrame:
    """Return predictions whose scores are in excess of the stock's peers.

    neutral_i = score_i - sum_j |c_ij| * score_j / sum_j |c_ij| over the sources j of the edges
    into i that have a score on the date. A stock without such peers keeps its score minus the
    mean score of the date.

    Args:
        predictions: date, code, split, score_<h>d (quantile columns are not carried over).
        graph_edges: asof, source, target, correlation. Day t uses the last asof <= t, never a
            later graph; days before the first asof have no peers. Self loops are left out.

    Returns:
        date, code, split, score_<h>d in the row order of `predictions`. A missing score stays NaN.

    Raises:
        ValueError: A column is missing or predictions have no score column.
    """
    check_columns(predictions, ["date", "code", "split"], "predictions")
    columns = ["asof", "source", "target", "correlation"]
    check_columns(graph_edges, columns, "graph_edges")
    scores = _score_columns(predictions)
    row, dates = pd.factorize(predictions["date"], sort=True)
    column, codes = pd.factorize(predictions["code"].astype(str), sort=True)
    wide = np.full((len(scores), len(dates), len(codes)), np.nan)
    wide[:, row, column] = predictions[scores].to_numpy(np.float64).T

    neutral = wide - bn.nanmean(wide, axis=2)[:, :, None]
    adjacency = _adjacency(graph_edges, pd.Index(codes))
    asofs = pd.DatetimeIndex(sorted(adjacency))
    last_asof = asofs.searchsorted(pd.DatetimeIndex(dates), side="right") - 1
    for position in np.unique(last_asof[last_asof >= 0]):
        days = last_asof == position
        block = wide[:, days]
        excess = block - _peer_mean(block, adjacency[asofs[position]])
        neutral[:, days] = np.where(np.isfinite(excess), excess, neutral[:, days])
    return _long(predictions, scores, neutral[:, row, column])


def neutralise_factors(
    predictions: pd.DataFrame, panel: xr.Dataset, factors: int, window: int, cadence: int
) -> pd.DataFrame:
    """Return predictions whose scores are residuals of the market's principal components.

    On each date the scores are regressed over the stocks on a constant and the stocks' loadings on
    `factors` principal components of the past `window` one-day returns, refitted every `cadence` sessions;
    what is left is the neutral score. A stock without loadings keeps its score minus the mean score of
    the date. It is what a graph has to beat: taking out what stocks have in common needs no network.

    Args:
        predictions: date, code, split, score_<h>d, on sessions and stocks of the panel.
        panel: `ret_1d`.
        factors: Principal components.
        window: Sessions of past returns behind the loadings.
        cadence: Sessions between two refits.

    Returns:
        date, code, split, score_<h>d in the row order of `predictions`. A missing score stays NaN.

    Raises:
        ValueError: A column is missing, there is no score column, or a date or code is not the panel's.
    """
    check_columns(predictions, ["date", "code", "split"], "predictions")
    scores = _score_columns(predictions)
    row = panel.indexes["date"].get_indexer(pd.DatetimeIndex(predictions["date"]))
    column = panel.indexes["code"].get_indexer(pd.Index(predictions["code"].astype(str)))
    if (row < 0).any() or (column < 0).any():
        raise ValueError(
            "predictions have dates or codes that the panel has not: rebuild both from one source"
        )
    wide = np.full((panel.sizes["date"], panel.sizes["code"], len(scores)), np.nan)
    wide[row, column] = predictions[scores].to_numpy(np.float64)
    left = pca_residual(wide, panel, window, factors, cadence).astype(np.float64)
    centred = wide - bn.nanmean(wide, axis=1)[:, None]
    neutral = np.where(np.isfinite(left), left, centred)
    return _long(predictions, scores, neutral[row, column].T)


def _score_columns(predictions: pd.DataFrame) -> list[str]:
    scores = [name for name in predictions.columns if name.startswith("score_")]
    if not scores:
        raise ValueError(f"predictions have no score_<h>d column: {list(predictions.columns)}")
    return scores


def _long(predictions: pd.DataFrame, scores: Sequence[str], values: NDArray[np.float64]) -> pd.DataFrame:
    out = predictions[["date", "code", "split"]].copy()
    for name, column in zip(scores, values, strict=True):
        out[name] = column.astype(np.float32)
    return out


def _adjacency(edges: pd.DataFrame, codes: pd.Index[str]) -> dict[pd.Timestamp, sparse.csr_array]:
    """|correlation| by (target, source) for each as-of date; an as-of without edges is empty."""
    n = len(codes)
    source = codes.get_indexer(pd.Index(edges["source"].astype(str)))
    target = codes.get_indexer(pd.Index(edges["target"].astype(str)))
    between = (source >= 0) & (target >= 0) & (source != target)
    weight = edges["correlation"].abs().to_numpy(np.float64)
    matrices = {}
    number, asofs = pd.factorize(edges["asof"], sort=True)
    for position, asof in enumerate(pd.DatetimeIndex(asofs)):
        rows = np.flatnonzero(number == position)
        kept = rows[between[rows]]
        entries = (weight[kept], (target[kept], source[kept]))
        matrices[asof] = sparse.csr_array(entries, shape=(n, n))
    return matrices


def _peer_mean(block: FloatArray, adjacency: sparse.csr_array) -> FloatArray:
    """Weighted mean score of the peers, (score, date, code); NaN without a scored peer."""
    flat = block.reshape(-1, block.shape[-1]).T
    present = np.isfinite(flat)
    total = adjacency @ np.where(present, flat, 0.0)
    weight = adjacency @ present.astype(np.float64)
    mean = np.full_like(total, np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    peers: FloatArray = mean.T.reshape(block.shape)
    return peers
