"""Predictions of all models are measured, date by date and then over all dates, and as portfolios.

What imports arch is imported inside functions, so that listing pipelines stays fast.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.columns import horizon_name
from gogooku_kedro.labels.target import gaussian_rank_labels
from gogooku_kedro.params import EvaluationParams, LabelsParams, ModelParams


def measure_days(
    model_predictions: Iterable[pd.DataFrame], features: xr.Dataset, labels: xr.Dataset, params: EvaluationParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every model date by date, and the returns of the score deciles."""
    from gogooku_kedro.metrics.daily import daily_metrics_and_deciles

    in_universe = features["in_universe"].load()
    return daily_metrics_and_deciles(model_predictions, labels, params.cost_bps, in_universe=in_universe)


def measure_seeds(
    seed_predictions: pd.DataFrame,
    predictions: pd.DataFrame,
    features: xr.Dataset,
    labels: xr.Dataset,
    model: ModelParams,
    params: EvaluationParams,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Measure what only the network has: every seed by itself, how far seeds lie apart, and its quantiles."""
    from gogooku_kedro.metrics.daily import daily_metrics
    from gogooku_kedro.metrics.quantiles import daily_quantiles, quantile_calibration
    from gogooku_kedro.metrics.seeds import seed_spread

    in_universe = features["in_universe"].load()
    seeds = [
        daily_metrics(rows, labels, params.cost_bps, in_universe=in_universe).assign(seed=seed)
        for seed, rows in seed_predictions.groupby("seed", sort=True)
    ]
    ranks = gaussian_rank_labels(labels["target"], in_universe)
    quantiles = daily_quantiles(predictions, ranks, model.quantiles)
    spread = seed_spread(seed_predictions, labels)
    return pd.concat(seeds, ignore_index=True), quantiles, quantile_calibration(quantiles), spread


def measure_sectors(predictions: pd.DataFrame, labels: xr.Dataset, panel: xr.Dataset) -> pd.DataFrame:
    """Measure what every sector adds to the network's mean rank IC; the parts add up to it."""
    from gogooku_kedro.metrics.align import wide_parts
    from gogooku_kedro.metrics.exposure import sector_contributions

    tables = [
        sector_contributions(part, horizon, panel).assign(split=part.split, horizon=horizon_name(horizon))
        for part in wide_parts(predictions, labels)
        for horizon in part.scores
    ]
    return pd.concat(tables, ignore_index=True)


def measure_portfolios(
    model_predictions: Iterable[pd.DataFrame],
    panel: xr.Dataset,
    events: xr.Dataset,
    labels: xr.Dataset,
    labelling: LabelsParams,
    params: EvaluationParams,
    tuning_study: dict[str, Any] | None = None,
    quality_report: dict[str, Any] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Hold the portfolios of every model session by session under `evaluation.portfolio`, and measure them."""
    from gogooku_kedro.backtest.portfolios import backtest_portfolios, describe_portfolios
    from gogooku_kedro.backtest.summary import summarise_portfolios, tuned_trials

    rules, entry = params.portfolio, labelling.entry
    costs = sorted({*rules.costs_bps, params.cost_bps})
    returns = backtest_portfolios(model_predictions, labels, panel, events, entry, rules, costs)
    measured = summarise_portfolios(
        returns,
        params.sessions_per_year,
        replications=params.bootstrap_samples,
        seed=params.seed,
        tuned=tuned_trials(tuning_study, (quality_report or {}).get("data_hash")),
    )
    return returns, {"rules": describe_portfolios(panel, events, entry, rules)} | measured


def measure_trading(
    model_predictions: Iterable[pd.DataFrame],
    panel: xr.Dataset,
    events: xr.Dataset,
    labels: xr.Dataset,
    labelling: LabelsParams,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Smooth the scores as validation says, hold the portfolios for weeks, and measure the test part after costs."""
    from gogooku_kedro.backtest.trading import trading_view

    return trading_view(model_predictions, labels, panel, events, labelling.entry, params)


def describe_market(
    feature_manifest: dict[str, Any], quality_report: dict[str, Any], split: dict[str, Any]
) -> dict[str, Any]:
    """Say what was measured on: hash of the data, dates of the split, size of the universe."""
    universe = {name: quality_report[name] for name in ("codes", "sessions")}
    universe["features"] = feature_manifest["n_features"]
    return {"data_hash": quality_report["data_hash"], "split": split, "universe": universe}


def describe_models(
    blend_weights: dict[str, Any], seed_spread: dict[str, Any], trading_view: dict[str, Any]
) -> dict[str, Any]:
    """Gather what is known of the models beside their metrics."""
    return {"blends": blend_weights, "seeds": seed_spread, "trading": trading_view}


def summarise_metrics(
    daily_metrics: pd.DataFrame,
    daily_deciles: pd.DataFrame,
    run_record: dict[str, Any],
    ensemble: Any,
    market_facts: dict[str, Any],
    model_facts: dict[str, Any],
    params: EvaluationParams,
) -> dict[str, Any]:
    """Aggregate the sessions; the test part is read here, once."""
    from gogooku_kedro.metrics.daily import summarise_metrics as aggregate

    run = run_record | {
        "data_hash": market_facts["data_hash"],
        **{name: ensemble.training[name] for name in ("device", "n_parameters", "refit")},
        "cost_bps": params.cost_bps,
    }
    before = ((stage, nodes) for stage, nodes in run["seconds"].items() if stage != "report")  # which has begun
    run["seconds"] = {stage: round(sum(nodes.values()), 1) for stage, nodes in before}
    measured = aggregate(
        daily_metrics,
        params.sessions_per_year,
        deciles=daily_deciles,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )
    facts = {name: market_facts[name] for name in ("split", "universe")}
    return {"run": run} | facts | measured | model_facts
