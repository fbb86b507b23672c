"""Rank the latest session's cross-section with a stored model."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.params import ModelParams, TrainingParams

Models = Any
"""A `training.Ensemble`: naming the class here would import torch, and a hint that cannot be resolved
would make Kedro pass the parameters unvalidated."""


def rank_latest(
    ensemble: Models,
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    feature_manifest: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
) -> pd.DataFrame:
    """Score the last session that has a cross-section, the best stock of the longest horizon first."""
    from gogooku_kedro.training import model_market, predict_parts, resolve_device

    market = model_market(features, labels, graph_edges, feature_manifest, model)
    latest = int(np.flatnonzero(features["in_universe"].any("code").to_numpy())[-1])
    ranking, _ = predict_parts(
        ensemble,
        feature_manifest["hash"],
        model,
        market,
        {"latest": [latest]},
        pd.DatetimeIndex(features.indexes["date"]),
        features.indexes["code"],
        resolve_device(training.device),
    )
    return ranking.sort_values("score_20d", ascending=False, ignore_index=True)
