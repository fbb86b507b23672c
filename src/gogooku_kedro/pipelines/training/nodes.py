"""Features, labels and graph become a trained model and its predictions.

torch is imported inside the functions, so that commands which do not train start in seconds.
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro import evaluation
from gogooku_kedro.features import split_mask
from gogooku_kedro.params import ModelParams, TrainingParams

Bundle = Any
"""A ``training.ModelBundle``: naming the class here would import torch, and a hint that cannot be resolved
would make Kedro pass the parameters unvalidated."""


def train_model(
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
) -> tuple[Bundle, pd.DataFrame]:
    """Train ATFT-GAT-FAN on the training part; the validation part chooses the epoch."""
    from gogooku_kedro.training import fit_model, market_tensors

    market = market_tensors(features, labels, graph_edges, model.gat.edge_attributes)
    train, valid = (_day_range(split, features, part) for part in ("train", "valid"))
    result = fit_model(market, train, valid, feature_manifest["hash"], model, training)
    return result.bundle, result.history


def predict_scores(
    model_bundle: Bundle,
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    training: TrainingParams,
) -> pd.DataFrame:
    """Score the validation and the test part with the trained model."""
    from gogooku_kedro.training import market_tensors, predictions_frame, resolve_device

    params = model_bundle.params
    market = market_tensors(features, labels, graph_edges, params.gat.edge_attributes)
    parts = {part: list(range(*_day_range(split, features, part))) for part in ("valid", "test")}
    return predictions_frame(
        model_bundle.build(feature_manifest["hash"]),
        params,
        market,
        parts,
        pd.DatetimeIndex(features.indexes["date"]),
        features.indexes["code"],
        resolve_device(training.device),
    )


def plot_losses(training_history: pd.DataFrame) -> go.Figure:
    """Draw loss and validation rank IC by epoch."""
    return evaluation.loss_curves(training_history)


def _day_range(split: dict[str, Any], features: xr.Dataset, part: Any) -> tuple[int, int]:
    days = np.flatnonzero(split_mask(split, features.indexes["date"], part))
    return int(days[0]), int(days[-1]) + 1
