"""Rank the latest session's cross-section with a stored model."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.params import TrainingParams

Bundle = Any
"""A ``training.ModelBundle``: naming the class here would import torch, and a hint that cannot be resolved
would make Kedro pass the parameters unvalidated."""


def rank_latest(
    model_bundle: Bundle,
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    feature_manifest: dict[str, Any],
    training: TrainingParams,
) -> pd.DataFrame:
    """Score the last session that has a cross-section, the best stock of the longest horizon first."""
    from gogooku_kedro.training import market_tensors, predictions_frame, resolve_device

    params = model_bundle.params
    market = market_tensors(features, labels, graph_edges, params.gat.edge_attributes)
    latest = int(np.flatnonzero(features["member"].any("code").to_numpy())[-1])
    ranking = predictions_frame(
        model_bundle.build(feature_manifest["hash"]),
        params,
        market,
        {"latest": [latest]},
        pd.DatetimeIndex(features.indexes["date"]),
        features.indexes["code"],
        resolve_device(training.device),
    )
    return ranking.sort_values("score_20d", ascending=False, ignore_index=True)
