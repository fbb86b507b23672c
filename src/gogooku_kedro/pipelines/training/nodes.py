"""Features, labels and graph become tensors, a trained model and its predictions.

torch is imported inside the functions, so that commands which do not train start in seconds.
"""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.params import DebugParams, ModelParams, TrainingParams

Market = Any
Models = Any
"""A `training.Market` and a `training.Ensemble`: naming the classes here would import torch, and a hint that
cannot be resolved would make Kedro pass the parameters unvalidated."""


def build_tensors(
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    model: ModelParams,
) -> Market:
    """Put the market into tensors, once for all nodes that read it."""
    from gogooku_kedro.training import build_market

    return build_market(features, labels, graph_edges, feature_manifest, model, split)


def train_model(
    market_tensors: Market, model: ModelParams, training: TrainingParams, debug: DebugParams
) -> tuple[Models, pd.DataFrame]:
    """Train ATFT-GAT-FAN on the training part, once per seed; the validation part chooses the epoch."""
    from gogooku_kedro.training import fit_ensemble

    result = fit_ensemble(
        market_tensors.tensors,
        market_tensors.parts["train"],
        market_tensors.parts["valid"],
        market_tensors.manifest["hash"],
        model,
        training,
        gat_verbose=debug.gat_verbose,
    )
    return result.ensemble, result.history


def predict_scores(
    ensemble: Models, market_tensors: Market, model: ModelParams, training: TrainingParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the validation and the test part with the trained models, together and each by itself."""
    from gogooku_kedro.training import predict_market, resolve_device

    parts = {part: market_tensors.days(part) for part in ("valid", "test")}
    return predict_market(ensemble, market_tensors, model, parts, resolve_device(training.device))
