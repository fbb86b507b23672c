"""Predictions are measured beside baselines, date by date and then over all dates."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro.baselines import oracle as oracle_lib
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.labels.target import gaussian_rank_labels
from gogooku_kedro.metrics import daily as daily_lib
from gogooku_kedro.metrics import deciles as deciles_lib
from gogooku_kedro.metrics import quantiles as quantiles_lib
from gogooku_kedro.params import EvaluationParams, ModelParams
from gogooku_kedro.params.labels import LabelsParams
from gogooku_kedro.report.figures import ranking as ranking_lib


def measure_days(
    predictions: pd.DataFrame,
    neutral_predictions: pd.DataFrame,
    rule_predictions: pd.DataFrame,
    ridge_predictions: pd.DataFrame,
    lightgbm_predictions: pd.DataFrame,
    lightgbm_pair_predictions: pd.DataFrame,
    lstm_predictions: pd.DataFrame,
    oracle_scores: pd.DataFrame,
    features: xr.Dataset,
    labels: xr.Dataset,
    split: dict[str, Any],
    labelling: LabelsParams,
    params: EvaluationParams,
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure]:
    """Measure every model date by date; draw the returns of the model's score deciles."""
    learned = [ridge_predictions, lightgbm_predictions, lightgbm_pair_predictions, lstm_predictions]
    others = [*learned, rule_predictions, neutral_predictions]
    oracles = oracle_lib.oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry)
    stacked = pd.concat([predictions.assign(model="model"), *others, *oracles], join="inner", ignore_index=True)
    daily = daily_lib.daily_metrics(stacked, labels, params.cost_bps, in_universe=features["in_universe"])
    deciles = deciles_lib.daily_deciles(stacked, labels)
    return daily, deciles, ranking_lib.decile_returns(deciles_lib.decile_profile(deciles))


def measure_seeds(
    seed_predictions: pd.DataFrame,
    predictions: pd.DataFrame,
    features: xr.Dataset,
    labels: xr.Dataset,
    model: ModelParams,
    params: EvaluationParams,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure what only the network has: the days of every seed by itself, and its quantiles."""
    in_universe = features["in_universe"]
    seeds = [
        daily_lib.daily_metrics(rows, labels, params.cost_bps, in_universe=in_universe).assign(seed=seed)
        for seed, rows in seed_predictions.groupby("seed", sort=True)
    ]
    ranks = gaussian_rank_labels(labels["target"], in_universe)
    quantiles = quantiles_lib.daily_quantiles(predictions, ranks, model.quantiles)
    calibration = quantiles_lib.quantile_calibration(quantiles)
    return pd.concat(seeds, ignore_index=True), quantiles, calibration


def summarise_metrics(
    daily_metrics: pd.DataFrame,
    daily_deciles: pd.DataFrame,
    run_record: dict[str, Any],
    ensemble: Any,
    feature_manifest: dict[str, Any],
    quality_report: dict[str, Any],
    split: dict[str, Any],
    params: EvaluationParams,
) -> dict[str, Any]:
    """Aggregate the days; the test part is read here, once."""
    run = run_record | {
        "data_hash": quality_report["data_hash"],
        "device": ensemble.training["device"],
        "n_parameters": ensemble.training["n_parameters"],
        "cost_bps": params.cost_bps,
    }
    run["seconds"] = {stage: round(sum(nodes.values()), 1) for stage, nodes in run["seconds"].items()}
    universe = {
        "codes": quality_report["codes"],
        "sessions": quality_report["sessions"],
        "features": feature_manifest["n_features"],
    }
    measured = daily_lib.summarise_metrics(
        daily_metrics,
        params.sessions_per_year,
        deciles=daily_deciles,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )
    return {"run": run, "split": split, "universe": universe} | measured
