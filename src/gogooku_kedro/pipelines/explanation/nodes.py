"""A trained model is asked what it learned: whom it attends to, what edges do, which features count.

torch is imported inside the functions, so that commands which do not explain start in seconds.
"""

import logging
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro.params import ExplanationParams, ModelParams, TrainingParams

Market = Any
Models = Any
"""A `training.Market` and a `training.Ensemble`: naming the classes here would import torch, and a hint that
cannot be resolved would make Kedro pass the parameters unvalidated."""

LOGGER = logging.getLogger(__name__)


def measure_attention(
    ensemble: Models,
    market_tensors: Market,
    panel: xr.Dataset,
    planted_peers: pd.DataFrame,
    model: ModelParams,
    training: TrainingParams,
    params: ExplanationParams,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Tabulate attention by pair, hold it against the planted pairs, and drop edges one by one."""
    from gogooku_kedro import explanation

    subject = _subject(ensemble, market_tensors, model, training, params.part)
    days = market_tensors.days(params.part)
    pairs = explanation.attention_pairs(subject, days, panel["sector"].to_series())
    effects = explanation.edge_importance(subject, days, params.days, params.edges, params.explainer_steps, params.seed)
    planted = explanation.planted_precision(pairs, planted_peers, params.top_pairs)
    agreement = explanation.effect_agreement(effects)
    LOGGER.info("%d pairs attended to; attention against effect, 5 sessions: %s", len(pairs), agreement["5d"])
    return pairs, planted, effects, agreement


def measure_features(
    ensemble: Models,
    market_tensors: Market,
    model: ModelParams,
    training: TrainingParams,
    params: ExplanationParams,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Average the weights of variable selection by feature, and by family and month."""
    from gogooku_kedro import explanation

    subject = _subject(ensemble, market_tensors, model, training, params.part)
    daily = explanation.daily_weights(subject, market_tensors.days(params.part))
    weights = explanation.feature_weights(daily, subject.features)
    summary = {
        "seeds": list(subject.seeds),
        "seed_correlation": explanation.seed_correlation(daily),
        "families": explanation.family_weights(weights).to_dict("records"),
    }
    return weights, explanation.feature_weights_by_month(daily, subject.features), summary


def measure_families(
    ensemble: Models,
    market_tensors: Market,
    labels: xr.Dataset,
    model: ModelParams,
    training: TrainingParams,
    params: ExplanationParams,
) -> pd.DataFrame:
    """Measure the rank IC lost when a family's values are dealt to other stocks."""
    from gogooku_kedro import explanation

    subject = _subject(ensemble, market_tensors, model, training, params.part)
    return explanation.family_importance(
        subject,
        market_tensors.days(params.part),
        labels,
        repeats=params.repeats,
        seed=params.seed,
    )


def plot_explanations(
    attention_pairs: pd.DataFrame,
    feature_weights_by_month: pd.DataFrame,
    family_importance: pd.DataFrame,
    run_record: dict[str, Any],
    quality_report: dict[str, Any],
    params: ExplanationParams,
) -> tuple[go.Figure, go.Figure, go.Figure, dict[str, Any]]:
    """Draw attention of one sector, families by month, what each is worth; gather what the report shows."""
    from gogooku_kedro.report.figures import explanation as explanation_figures
    from gogooku_kedro.report.studies import stored_study

    run = {name: run_record[name] for name in ("git_sha", "config_hash", "environment", "stale")}
    network = explanation_figures.attention_network(attention_pairs, params.top_pairs)
    weights = explanation_figures.weights_by_month(feature_weights_by_month)
    bars = explanation_figures.importance_bars(family_importance)
    results = {"run": run | {"data_hash": quality_report["data_hash"]}, "part": params.part}
    return network, weights, bars, stored_study(results, [network, weights, bars])


def _subject(models: Models, market: Market, model: ModelParams, training: TrainingParams, part: str) -> Any:
    from gogooku_kedro.explanation import Subject
    from gogooku_kedro.training import resolve_device

    return Subject.of(models, market, model, resolve_device(training.device), part)
