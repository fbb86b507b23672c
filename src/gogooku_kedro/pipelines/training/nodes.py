"""Features, labels and graph become a trained model and its predictions.

torch is imported inside the functions, so that commands which do not train start in seconds.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro.labels.split import part_range
from gogooku_kedro.params import DebugParams, ModelParams, TrainingParams
from gogooku_kedro.report.figures import model as model_figures

Models = Any
"""A ``training.Ensemble``: naming the class here would import torch, and a hint that cannot be resolved
would make Kedro pass the parameters unvalidated."""


def train_model(
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
    debug: DebugParams,
) -> tuple[Models, pd.DataFrame]:
    """Train ATFT-GAT-FAN on the training part, once per seed; the validation part chooses the epoch."""
    from gogooku_kedro.training import fit_ensemble, model_market

    market = model_market(features, labels, graph_edges, feature_manifest, model)
    dates = features.indexes["date"]
    train, valid = (part_range(split, dates, part) for part in ("train", "valid"))
    result = fit_ensemble(
        market, train, valid, feature_manifest["hash"], model, training, gat_verbose=debug.gat_verbose
    )
    return result.ensemble, result.history


def predict_scores(
    ensemble: Models,
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the validation and the test part with the trained models, together and each by itself."""
    from gogooku_kedro.training import model_market, predict_parts, resolve_device

    market = model_market(features, labels, graph_edges, feature_manifest, model)
    dates = pd.DatetimeIndex(features.indexes["date"])
    parts = {part: list(range(*part_range(split, dates, part))) for part in ("valid", "test")}
    return predict_parts(
        ensemble,
        feature_manifest["hash"],
        model,
        market,
        parts,
        dates,
        features.indexes["code"],
        resolve_device(training.device),
    )


def plot_losses(training_history: pd.DataFrame) -> go.Figure:
    """Draw loss and validation rank IC by epoch."""
    return model_figures.loss_curves(training_history)
