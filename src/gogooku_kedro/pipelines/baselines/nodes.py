"""What the network has to beat: rules, ridge, trees without and with the graph, an LSTM; and neutral scores.

torch is imported inside the function that needs it, so that commands which do not train start in seconds.
"""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines import learned as learned_lib
from gogooku_kedro.baselines import neutral as neutral_lib
from gogooku_kedro.baselines import rules as rules_lib
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params import EvaluationParams, ModelParams, TrainingParams


def predict_rules(
    panel: xr.Dataset, features: xr.Dataset, split: dict[str, Any], params: EvaluationParams
) -> pd.DataFrame:
    """Score with one-line rules: reversal, momentum, and a random score."""
    return rules_lib.rule_baselines(panel, features["in_universe"], split, HORIZONS, seed=params.seed)


def fit_ridge(features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any]) -> pd.DataFrame:
    """Fit ridge regression on the same features, targets and dates as the network."""
    return learned_lib.fit_ridge(_rows(features["x"], features, labels, split))


def fit_lightgbm(
    features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any], params: EvaluationParams
) -> pd.DataFrame:
    """Fit gradient-boosted trees on the same features, targets and dates as the network."""
    return learned_lib.fit_lightgbm(_rows(features["x"], features, labels, split), seed=params.seed)


def fit_lightgbm_pair(
    features: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    split: dict[str, Any],
    feature_manifest: dict[str, Any],
    params: EvaluationParams,
) -> pd.DataFrame:
    """Fit the same trees without anything made from the graph, and with the neighbours' mean features."""
    return learned_lib.fit_lightgbm_pair(
        features["x"],
        features["in_universe"],
        labels["target"],
        graph_edges,
        split,
        feature_manifest,
        seed=params.seed,
    )


def fit_lstm(
    features: xr.Dataset,
    labels: xr.Dataset,
    split: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
    params: EvaluationParams,
) -> pd.DataFrame:
    """Train an LSTM ranker on the same features, targets, dates and window as the network."""
    from gogooku_kedro import training as library
    from gogooku_kedro.baselines import lstm

    return lstm.fit_lstm(
        features,
        labels,
        split,
        window=model.window,
        seed=params.seed,
        device=library.resolve_device(training.device),
    )


def neutralise_scores(
    predictions: pd.DataFrame,
    rule_predictions: pd.DataFrame,
    ridge_predictions: pd.DataFrame,
    lightgbm_predictions: pd.DataFrame,
    lightgbm_pair_predictions: pd.DataFrame,
    lstm_predictions: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    params: EvaluationParams,
) -> pd.DataFrame:
    """Take out of every model's scores the peers' mean, the market's factors, and the sector's mean."""
    learned = [ridge_predictions, lightgbm_predictions, lightgbm_pair_predictions, lstm_predictions]
    frames = [predictions.assign(model="model"), *learned, rule_predictions]
    scores = pd.concat(frames, join="inner", ignore_index=True)
    return neutral_lib.neutral_versions(
        scores,
        graph_edges,
        panel,
        factors=params.factors.number,
        window=params.factors.window,
        cadence=params.factors.cadence,
    )


def _rows(x: xr.DataArray, features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any]) -> Any:
    return learned_lib.learning_rows(x, features["in_universe"], labels["target"], split)
