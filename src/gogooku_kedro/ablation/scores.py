"""What the models of a variant score on a test part, as it is and neutralised, measured session by session."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.neutral import neutralise_factors, neutralise_neighbours
from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.params import EvaluationParams

KINDS = ("raw", "peer_neutral", "pca_neutral")
"""Scores as they come, less those of the neighbours on the graph, and without the principal components."""

ENSEMBLE = "ensemble"
"""Stands in the place of a seed for the scores of all seeds together."""


def measure_variant(
    predictions: pd.DataFrame,
    seed_predictions: pd.DataFrame,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    params: EvaluationParams,
) -> pd.DataFrame:
    """Return the daily metrics of every seed and of the ensemble, for each of the `KINDS` of scores.

    Args:
        predictions: Of the ensemble: date, code, split, score_<h>d.
        seed_predictions: The same of its seed models, with seed.
        labels: `ret` (date, code, horizon).
        graph_edges: The graph as it is, also for a variant with another one: all variants are neutralised alike.
        panel: `ret_1d`, behind the principal components.
        params: Section `evaluation`.

    Returns:
        scores (one of `KINDS`), seed (as text, or `ENSEMBLE`), and the columns of `daily_metrics` without
        model and split.
    """
    frames = {str(seed): rows for seed, rows in seed_predictions.groupby("seed", sort=True)}
    frames[ENSEMBLE] = predictions
    tables = []
    for seed, scored in frames.items():
        for kind in KINDS:
            neutral = _neutralised(kind, scored, graph_edges, panel, params)
            daily = daily_metrics(neutral, labels, params.cost_bps).drop(columns=["model", "split"])
            daily.insert(0, "seed", seed)
            daily.insert(0, "scores", kind)
            tables.append(daily)
    return pd.concat(tables, ignore_index=True)


def _neutralised(
    kind: str, scored: pd.DataFrame, edges: pd.DataFrame, panel: xr.Dataset, params: EvaluationParams
) -> pd.DataFrame:
    if kind == "peer_neutral":
        return neutralise_neighbours(scored, edges)
    if kind == "pca_neutral":
        factors = params.factors
        return neutralise_factors(scored, panel, factors.number, factors.window, factors.cadence)
    return scored
