"""The history becomes folds; every fold is fitted, trained, tested once, and all are measured together.

What imports torch or arch is imported inside the functions, so that other commands start in seconds.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro.params import (
    DebugParams,
    EvaluationParams,
    FeaturesParams,
    GraphParams,
    LabelsParams,
    ModelParams,
    SplitParams,
    TrainingParams,
    WalkForwardParams,
)
from gogooku_kedro.walk_forward.folds import plan_folds
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import FoldSettings


def split_folds(
    panel: xr.Dataset,
    candidate_manifest: dict[str, Any],
    params: WalkForwardParams,
    split: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    model: ModelParams,
) -> list[dict[str, Any]]:
    """Split the sessions into folds whose test parts end with the data, purged like the split."""
    dates = panel["date"].to_numpy()
    return plan_folds(dates, candidate_manifest, params, split, labels, graph, model.window)


def make_fold_settings(
    features: FeaturesParams,
    model: ModelParams,
    training: TrainingParams,
    evaluation: EvaluationParams,
    debug: DebugParams,
    folds: WalkForwardParams,
) -> FoldSettings:
    """Gather the settings that decide the predictions of a fold."""
    return FoldSettings(features, model, training, evaluation, debug.gat_verbose, folds.online_rate)


def train_folds(
    raw_features: xr.Dataset,
    panel: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    candidate_manifest: dict[str, Any],
    walk_forward_splits: list[dict[str, Any]],
    settings: FoldSettings,
    params: WalkForwardParams,
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Fit, train and predict every fold that is not finished yet, with every model."""
    from gogooku_kedro.walk_forward.walk_forward import stacked, walk_forward

    history = History(raw_features, panel, labels, graph_edges, candidate_manifest)
    results = walk_forward(history, walk_forward_splits, settings, params.folder)
    predictions, seeds = stacked(results)
    return predictions, seeds, [{"fold": n} | r.facts for n, r in enumerate(results, start=1)]


def measure_folds(
    walk_forward_predictions: pd.DataFrame,
    walk_forward_seed_predictions: pd.DataFrame,
    labels: xr.Dataset,
    walk_forward_splits: list[dict[str, Any]],
    params: EvaluationParams,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every model, and every seed by itself, date by date over the test parts of all folds."""
    from gogooku_kedro.walk_forward import table as fold_table

    rules = (labels, walk_forward_splits, params.cost_bps)
    daily = fold_table.measure_folds(walk_forward_predictions, *rules)
    return daily, fold_table.measure_seeds(walk_forward_seed_predictions, *rules)


def summarise_folds(
    walk_forward_daily_metrics: pd.DataFrame,
    walk_forward_seed_metrics: pd.DataFrame,
    walk_forward_folds: list[dict[str, Any]],
    run_record: dict[str, Any],
    quality_report: dict[str, Any],
    params: EvaluationParams,
    folds: WalkForwardParams,
) -> dict[str, Any]:
    """Make one table over the folds: all test sessions together, every fold, and how far folds differ."""
    from gogooku_kedro.walk_forward import table as fold_table

    run = {name: run_record[name] for name in ("git_sha", "config_hash", "seeds", "environment", "stale")}
    run |= {"data_hash": quality_report["data_hash"], "cost_bps": params.cost_bps}
    year = params.sessions_per_year
    test = fold_table.summarise_folds(
        walk_forward_daily_metrics, year, replications=params.bootstrap_samples, seed=params.seed
    )
    seeds = fold_table.summarise_seeds(walk_forward_seed_metrics, year)
    plan = folds.model_dump(mode="json", exclude={"folder"})
    return {"run": run, "plan": plan, "folds": walk_forward_folds, "test": test, "seeds": seeds}


def plot_folds(
    walk_forward_metrics: dict[str, Any], walk_forward_splits: list[dict[str, Any]]
) -> tuple[go.Figure, dict[str, Any]]:
    """Draw the rank IC of every fold, with its interval, for the network, LightGBM and ridge; gather for the report."""
    from gogooku_kedro.report.figures.ranking import rank_ic_by_fold
    from gogooku_kedro.report.studies import stored_study

    figure = rank_ic_by_fold(walk_forward_metrics["test"], walk_forward_splits)
    return figure, stored_study(walk_forward_metrics, [figure])
