"""What the network has to beat is fitted; all models stand in one table, with their neutral versions.

What imports LightGBM, scikit-learn or torch is imported inside functions, so that listing pipelines stays fast.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.oracle import oracle_predictions
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.baselines.stack import baseline_frames, stacked_frames
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.market.blocks import TableBlock, table_blocks
from gogooku_kedro.params import EvaluationParams, LabelsParams, ModelParams, TrainingParams


def make_baseline_settings(model: ModelParams, training: TrainingParams, evaluation: EvaluationParams) -> FitSettings:
    """Gather the settings that a baseline reads."""
    return FitSettings.of(model, training, evaluation)


def fit_baselines(
    features: xr.Dataset,
    labels: xr.Dataset,
    panel: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    market_tensors: Any,
    settings: FitSettings,
) -> Iterator[TableBlock]:
    """Fit every baseline of the table of models on the features, targets and dates of the network."""
    tensors = market_tensors.tensors
    context = FitContext(features, labels, panel, graph_edges, split, feature_manifest, settings, tensors)
    yield from table_blocks(baseline_frames(context))


def stack_predictions(
    predictions: pd.DataFrame,
    baseline_predictions: Iterable[pd.DataFrame],
    oracle_scores: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    split: dict[str, Any],
    labelling: LabelsParams,
    params: EvaluationParams,
) -> Iterator[TableBlock]:
    """Put the scores of network, baselines, their neutral versions and oracles into one table, model by model."""
    from gogooku_kedro.schemas import ModelPredictions

    oracles = oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry)
    frames = stacked_frames(predictions, baseline_predictions, graph_edges, panel, params.factors, oracles)
    yield from table_blocks(ModelPredictions.validate(frame) for frame in frames)
