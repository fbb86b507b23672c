"""Scores without what a stock shares with its neighbours, with the market's factors, and with its sector."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import bottleneck as bn
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse

from gogooku_kedro.arrays.groups import group_ids, group_mean
from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.neighbour_means import adjacency_by_asof
from gogooku_kedro.columns import score_columns
from gogooku_kedro.labels.residual import pca_residual
from gogooku_kedro.metrics.align import Predictions, check_columns, frames_of
from gogooku_kedro.typing import FloatArray

logger = logging.getLogger(__name__)


def neutralise_neighbours(predictions: pd.DataFrame, graph_edges: pd.DataFrame) -> pd.DataFrame:
    """Return predictions whose scores are in excess of the stock's neighbours.

    neutral_i = score_i - sum_j |c_ij| * score_j / sum_j |c_ij| over the sources j of the edges
    into i that have a score on the date. A stock without such neighbours keeps its score minus
    the mean score of the date.

    Args:
        predictions: date, code, split, score_<h>d (quantile columns are not carried over).
        graph_edges: asof, source, target, correlation. Session t uses the last asof <= t, never a
            later graph; sessions before the first asof have no neighbours. Self loops are left out.

    Returns:
        date, code, split, score_<h>d in the row order of `predictions`. A missing score stays NaN.

    Raises:
        ValueError: A column is missing or predictions have no score column.
    """
    check_columns(predictions, ["date", "code", "split"], "predictions")
    columns = ["asof", "source", "target", "correlation"]
    check_columns(graph_edges, columns, "graph_edges")
    scores = score_columns(predictions)
    row, dates = pd.factorize(predictions["date"], sort=True)
    column, codes = pd.factorize(predictions["code"].astype(str), sort=True)
    wide = np.full((len(scores), len(dates), len(codes)), np.nan)
    wide[:, row, column] = predictions[scores].to_numpy(np.float64).T

    neutral = wide - bn.nanmean(wide, axis=2)[:, :, None]
    adjacency = adjacency_by_asof(graph_edges, pd.Index(codes))
    asofs = pd.DatetimeIndex(sorted(adjacency))
    last_asof = asofs.searchsorted(pd.DatetimeIndex(dates), side="right") - 1
    for position in np.unique(last_asof[last_asof >= 0]):
        days = last_asof == position
        block = wide[:, days]
        excess = block - _neighbour_mean(block, adjacency[asofs[position]])
        neutral[:, days] = np.where(np.isfinite(excess), excess, neutral[:, days])
    return _long(predictions, scores, neutral[:, row, column])


def neutralise_factors(
    predictions: pd.DataFrame,
    panel: xr.Dataset,
    factors: int,
    window: int,
    cadence: int,
    fitted: dict[int, FloatArray] | None = None,
) -> pd.DataFrame:
    """Return predictions whose scores are residuals of the market's principal components.

    On each date the scores are regressed over the stocks on a constant and the stocks' loadings on
    `factors` principal components of the past `window` one-session returns, refitted every `cadence` sessions;
    what is left is the neutral score. A stock without loadings keeps its score minus the mean score of
    the date. It is what a graph has to beat: taking out what stocks have in common needs no network.

    Args:
        predictions: date, code, split, score_<h>d, on sessions and stocks of the panel.
        panel: `ret_1d`.
        factors: Principal components.
        window: Sessions of past returns behind the loadings.
        cadence: Sessions between two refits.
        fitted: As for `pca_residual`.

    Returns:
        date, code, split, score_<h>d in the row order of `predictions`. A missing score stays NaN.

    Raises:
        ValueError: A column is missing, there is no score column, or a date or code is not the panel's.
    """
    scores = score_columns(predictions)
    row, column = _positions(predictions, panel)
    wide = np.full((panel.sizes["date"], panel.sizes["code"], len(scores)), np.nan)
    wide[row, column] = predictions[scores].to_numpy(np.float64)
    left = pca_residual(wide, panel, window, factors, cadence, fitted).astype(np.float64)
    centred = wide - bn.nanmean(wide, axis=1)[:, None]
    neutral = np.where(np.isfinite(left), left, centred)
    return _long(predictions, scores, neutral[row, column].T)


def neutralise_sectors(predictions: pd.DataFrame, panel: xr.Dataset) -> pd.DataFrame:
    """Return predictions whose scores are in excess of the mean score of the stock's sector on the date.

    A stock of unknown sector keeps its score minus the mean score of the date; one that is alone in its
    sector gets 0.

    Args:
        predictions: date, code, split, score_<h>d, on sessions and stocks of the panel.
        panel: The coordinate `sector` (code).

    Returns:
        date, code, split, score_<h>d in the row order of `predictions`. A missing score stays NaN.

    Raises:
        ValueError: A column is missing, there is no score column, or a date or code is not the panel's.
    """
    scores = score_columns(predictions)
    row, column = _positions(predictions, panel)
    ids = group_ids(panel["sector"].values)
    wide = np.full((len(scores), panel.sizes["date"], panel.sizes["code"]), np.nan)
    wide[:, row, column] = predictions[scores].to_numpy(np.float64).T
    of_sector = np.stack([group_mean(score, ids) for score in wide])
    of_date = bn.nanmean(wide, axis=2)[:, :, None]
    excess = wide - np.where(ids >= 0, of_sector, of_date)
    return _long(predictions, scores, excess[:, row, column])


def neutral_versions(predictions: Predictions, *args: Any, **settings: Any) -> pd.DataFrame:
    """Return all of `neutral_frames` as one table."""
    return pd.concat(neutral_frames(predictions, *args, **settings), ignore_index=True)


def neutral_frames(
    predictions: Predictions,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    *,
    factors: int,
    window: int,
    cadence: int,
) -> Iterator[pd.DataFrame]:
    """Yield the neutral versions of every model, as the table of models wants them, one after the other.

    `<model>_neutral` is without the neighbours (`neutralise_neighbours`), `<model>_pca_neutral`
    without the neighbours and then the factors (`neutralise_factors`), `<model>_sector_neutral` without the sector
    (`neutralise_sectors`); the last one is left out, with a line in the log, where no stock of the panel
    has a known sector. A model that is not in the table has all of them.

    Args:
        predictions: date, code, split, score_<h>d, model; whole or in frames of whole models.
        graph_edges: As for `neutralise_neighbours`.
        panel: `ret_1d` and the coordinate `sector`.
        factors: Principal components.
        window: Sessions of past returns behind the loadings.
        cadence: Sessions between two refits.

    Yields:
        date, code, split, score_<h>d, model.
    """
    sectors = bool((group_ids(panel["sector"].values) >= 0).any())
    if not sectors:
        logger.info("No stock has a known sector: there are no sector-neutral scores")
    fitted: dict[int, FloatArray] = {}
    for frame in frames_of(predictions):
        check_columns(frame, ["model"], "predictions")
        for model, rows in frame.groupby("model", sort=False):
            names = table.versions_of(str(model))
            if not names:
                continue
            distinct, scores = _distinct_scores(rows)
            excess = neutralise_neighbours(distinct, graph_edges)
            versions = {
                "neighbours": excess,
                "pca": neutralise_factors(excess, panel, factors, window, cadence, fitted),
            }
            if sectors:
                versions["sector"] = neutralise_sectors(distinct, panel)
            for version, name in names.items():
                if version in versions:
                    yield _all_scores(versions[version], scores).assign(model=name)


def _distinct_scores(predictions: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A rule has one score for all horizons: it is made neutral once. Also all score columns."""
    scores = score_columns(predictions)
    first = predictions[scores[0]].to_numpy()
    same = all(np.array_equal(first, predictions[name].to_numpy(), equal_nan=True) for name in scores[1:])
    return (predictions.drop(columns=scores[1:]) if same else predictions), scores


def _all_scores(version: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    missing = {name: version[scores[0]] for name in scores if name not in version}
    return version.assign(**missing)


def _positions(predictions: pd.DataFrame, panel: xr.Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of every prediction on the panel's grid."""
    check_columns(predictions, ["date", "code", "split"], "predictions")
    row = panel.indexes["date"].get_indexer(pd.DatetimeIndex(predictions["date"]))
    column = panel.indexes["code"].get_indexer(pd.Index(predictions["code"].astype(str)))
    if (row < 0).any() or (column < 0).any():
        raise ValueError("predictions have dates or codes that the panel has not: rebuild both from one source")
    return row, column


def _long(predictions: pd.DataFrame, scores: Sequence[str], values: FloatArray) -> pd.DataFrame:
    out = predictions[["date", "code", "split"]].copy()
    for name, column in zip(scores, values, strict=True):
        out[name] = column.astype(np.float32)
    return out


def _neighbour_mean(block: FloatArray, adjacency: sparse.csr_array) -> FloatArray:
    """Weighted mean score of the neighbours, (score, date, code); NaN without a scored one."""
    flat = block.reshape(-1, block.shape[-1]).T
    present = np.isfinite(flat)
    total = adjacency @ np.where(present, flat, 0.0)
    weight = adjacency @ present.astype(np.float64)
    mean = np.full_like(total, np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    neighbours: FloatArray = mean.T.reshape(block.shape)
    return neighbours
