"""What the network has to beat is fitted; all models stand in one table, with their neutral versions.

What imports LightGBM, scikit-learn or torch is imported inside functions, so that listing pipelines stays fast.
"""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.oracle import oracle_predictions
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.baselines.stack import fit_baselines as fit_all
from gogooku_kedro.baselines.stack import stack_models
from gogooku_kedro.columns import HORIZONS
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
) -> pd.DataFrame:
    """Fit every baseline of the table of models on the features, targets and dates of the network."""
    return fit_all(
        FitContext(features, labels, panel, graph_edges, split, feature_manifest, settings, market_tensors.tensors)
    )


def stack_predictions(
    predictions: pd.DataFrame,
    baseline_predictions: pd.DataFrame,
    oracle_scores: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    split: dict[str, Any],
    labelling: LabelsParams,
    params: EvaluationParams,
) -> pd.DataFrame:
    """Put the scores of network, baselines, their neutral versions and oracles into one table."""
    oracles = oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry)
    return stack_models(predictions, baseline_predictions, graph_edges, panel, params.factors, oracles)
