"""What the network has to beat is fitted; all models stand in one table, with their neutral versions.

What imports LightGBM, scikit-learn or torch is imported inside functions, so that listing pipelines stays fast.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.blend import Weights, blend_frames, blend_weights, members_of_blends
from gogooku_kedro.baselines.oracle import oracle_predictions
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.baselines.stack import baseline_frames, stacked_frames
from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.market.blocks import TableBlock, table_blocks
from gogooku_kedro.metrics.align import Frames
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
    """Fit every baseline of the table of models on the features, targets and dates of the network.

    Trees need as much memory as the tensors of the market, and do not read them: who reads them has them built.
    """
    market_tensors.release()
    context = FitContext(
        features, labels, panel, graph_edges, split, feature_manifest, settings, lambda: market_tensors.tensors
    )
    yield from table_blocks(baseline_frames(context))


def fit_blends(
    predictions: pd.DataFrame,
    baseline_predictions: Iterable[pd.DataFrame],
    labels: xr.Dataset,
    params: EvaluationParams,
) -> tuple[Weights, pd.DataFrame]:
    """Weigh the members of every blend: equally, or as their validation part says; blend the latest session."""
    members = members_of_blends()
    fitted = (frame for frame in baseline_predictions if frame["model"].iloc[0] in members)
    frames = [predictions.assign(model=NETWORK), *fitted]
    weights = blend_weights(frames, labels, params.blend)
    latest = predictions["date"].max()
    blended = blend_frames((frame[frame["date"] == latest] for frame in frames), weights)
    return weights, pd.concat(blended, ignore_index=True)


def predict_oracle(
    oracle_scores: pd.DataFrame, predictions: pd.DataFrame, split: dict[str, Any], labelling: LabelsParams
) -> list[pd.DataFrame]:
    """Score what the network scores with the oracles of the sample market; a real market has none."""
    return oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry)


def stack_predictions(
    predictions: pd.DataFrame,
    baseline_predictions: Iterable[pd.DataFrame],
    oracle_predictions: list[pd.DataFrame],
    blend_weights: Weights,
    predictions_without_graph: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    params: EvaluationParams,
) -> Iterator[TableBlock]:
    """Put the scores of network, baselines, blends, their neutral versions and oracles into one table."""
    from gogooku_kedro.schemas import ModelPredictions

    market = (graph_edges, panel, params.factors)
    beside = [predictions_without_graph] if len(predictions_without_graph) else []
    others = Frames(beside, baseline_predictions)
    frames = stacked_frames(predictions, others, *market, oracle_predictions, blend_weights)
    yield from table_blocks(ModelPredictions.validate(frame) for frame in frames)
