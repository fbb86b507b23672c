"""Predictions are measured beside baselines, with intervals, and written up."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro import evaluation
from gogooku_kedro.params import HORIZONS, EvaluationParams
from gogooku_kedro.params.labels import LabelsParams


def predict_rules(
    panel: xr.Dataset, features: xr.Dataset, split: dict[str, Any], params: EvaluationParams
) -> pd.DataFrame:
    """Score with one-line rules: reversal, momentum, and a random score."""
    return evaluation.rule_baselines(panel, features["member"], split, HORIZONS, seed=params.seed)


def fit_ridge(features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any]) -> pd.DataFrame:
    """Fit ridge regression on the same features, targets and dates."""
    return evaluation.fit_ridge(_rows(features, labels, split))


def fit_lightgbm(
    features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any], params: EvaluationParams
) -> pd.DataFrame:
    """Fit gradient-boosted trees on the same features, targets and dates."""
    return evaluation.fit_lightgbm(_rows(features, labels, split), seed=params.seed)


def neutralise_scores(
    predictions: pd.DataFrame,
    lightgbm_predictions: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    params: EvaluationParams,
) -> pd.DataFrame:
    """Take out of the scores of model and trees the peers' mean, and then the market's factors."""
    frames, factors = [], params.factors
    for name, scores in (("model", predictions), ("lightgbm", lightgbm_predictions)):
        peers = evaluation.neutralise_peers(scores, graph_edges)
        both = evaluation.neutralise_factors(peers, panel, factors.number, factors.window, factors.cadence)
        frames += [peers.assign(model=f"{name}_neutral"), both.assign(model=f"{name}_pca_neutral")]
    return pd.concat(frames, ignore_index=True)


def measure_days(
    predictions: pd.DataFrame,
    neutral_predictions: pd.DataFrame,
    rule_predictions: pd.DataFrame,
    ridge_predictions: pd.DataFrame,
    lightgbm_predictions: pd.DataFrame,
    oracle_scores: pd.DataFrame,
    labels: xr.Dataset,
    split: dict[str, Any],
    labelling: LabelsParams,
    params: EvaluationParams,
) -> tuple[pd.DataFrame, go.Figure]:
    """Measure every model date by date; draw the returns of the model's score deciles."""
    frames = [
        predictions.assign(model="model"),
        neutral_predictions,
        lightgbm_predictions,
        ridge_predictions,
        rule_predictions,
        *evaluation.oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry),
    ]
    stacked = pd.concat(frames, join="inner", ignore_index=True)
    daily = evaluation.daily_metrics(stacked, labels, params.cost_bps)
    return daily, evaluation.decile_returns(evaluation.decile_profile(stacked, labels))


def summarise_metrics(
    daily_metrics: pd.DataFrame,
    run_record: dict[str, Any],
    model_bundle: Any,
    feature_manifest: dict[str, Any],
    quality_report: dict[str, Any],
    split: dict[str, Any],
    params: EvaluationParams,
) -> dict[str, Any]:
    """Aggregate the days; the test part is read here, once."""
    run = run_record | {
        "data_hash": quality_report["data_hash"],
        "device": model_bundle.training["device"],
        "n_parameters": model_bundle.training["n_parameters"],
        "cost_bps": params.cost_bps,
    }
    run["seconds"] = {stage: round(sum(nodes.values()), 1) for stage, nodes in run["seconds"].items()}
    universe = {
        "codes": quality_report["codes"],
        "sessions": quality_report["sessions"],
        "features": feature_manifest["n_features"],
    }
    measured = evaluation.summarise_metrics(
        daily_metrics,
        params.sessions_per_year,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )
    return {"run": run, "split": split, "universe": universe} | measured


def plot_rank_ic(daily_metrics: pd.DataFrame) -> go.Figure:
    """Draw the cumulative daily rank IC of model and baselines, five sessions ahead."""
    return evaluation.cumulative_rank_ic(daily_metrics, "5d")


def write_report(
    metrics: dict[str, Any],
    daily_metrics: pd.DataFrame,
    cumulative_rank_ic: go.Figure,
    decile_returns: go.Figure,
    loss_curves: go.Figure,
    degree_histogram: go.Figure,
    quality_report: dict[str, Any],
    feature_manifest: dict[str, Any],
    market_oracle: pd.DataFrame,
    labelling: LabelsParams,
    params: EvaluationParams,
) -> str:
    """Write one HTML page that opens offline."""
    figures = {
        "Cumulative rank IC": cumulative_rank_ic,
        "Returns by score decile": decile_returns,
        "Training": loss_curves,
        "Graph": degree_histogram,
    }
    return evaluation.render_report(
        metrics,
        daily_metrics,
        figures,
        quality_report=quality_report,
        split=metrics["split"],
        manifest=feature_manifest,
        cost_bps=params.cost_bps,
        oracle=evaluation.oracle_bounds(market_oracle, labelling.entry),
        title="gogooku_kedro: ATFT-GAT-FAN beside simple baselines",
    )


def _rows(features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any]) -> Any:
    return evaluation.learning_rows(features["x"], features["member"], labels["target"], split)
