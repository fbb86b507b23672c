"""Features, labels and graph become tensors, a trained model and its predictions.

torch is imported inside the functions, so that commands which do not train start in seconds.
"""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.params import AblationParams, DebugParams, ModelParams, TrainingParams

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
    """Say how the market becomes tensors; the first node that reads them has them built, for all that do."""
    from gogooku_kedro.training import build_market

    return build_market(features, labels, graph_edges, feature_manifest, model, split)


def train_model(
    market_tensors: Market, model: ModelParams, training: TrainingParams, debug: DebugParams, ablation: AblationParams
) -> tuple[Models, pd.DataFrame, pd.DataFrame]:
    """Train ATFT-GAT-FAN on the training part, once per seed; the validation part chooses the epoch.

    Where it is asked for, the ablation's variant `off` is trained beside it with the same seeds, and scored.

    Returns:
        The network; its epochs; the scores of the variant: model, date, code, split, score_<h>d, no row without
        `ablation.arm_in_run` or without a GAT to leave out.
    """
    from gogooku_kedro.ablation.arm import train_with_arm

    result, without_graph = train_with_arm(market_tensors, model, training, ablation, debug.gat_verbose)
    return result.ensemble, result.history, without_graph


def predict_scores(
    ensemble: Models, market_tensors: Market, model: ModelParams, training: TrainingParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the validation and the test part with the trained models, together and each by itself."""
    from gogooku_kedro.training import predict_market, resolve_device

    parts = {part: market_tensors.days(part) for part in ("valid", "test")}
    return predict_market(ensemble, market_tensors, model, parts, resolve_device(training.device))
