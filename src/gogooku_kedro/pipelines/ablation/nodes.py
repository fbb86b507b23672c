"""Variants of the network are trained fold by fold; what the graph adds is measured and drawn; the report shows it.

What imports torch or arch is imported inside the functions, so that other commands start in seconds.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro.ablation.variants import AblationSettings, ablation_settings, resolve_variants
from gogooku_kedro.params import (
    AblationParams,
    EvaluationParams,
    FeaturesParams,
    GraphParams,
    LabelsParams,
    ModelParams,
    SplitParams,
    TrainingParams,
)
from gogooku_kedro.walk_forward.folds import plan_folds
from gogooku_kedro.walk_forward.refit import History


def split_variants(
    panel: xr.Dataset,
    candidate_manifest: dict[str, Any],
    params: AblationParams,
    split: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    model: ModelParams,
) -> list[dict[str, Any]]:
    """Split the sessions into the folds of the ablation, for the variant that looks back furthest."""
    dates, plan = panel["date"].to_numpy(), params.walk_forward
    window = max(variant.training.model.window for variant in resolve_variants(params, model))
    try:
        return plan_folds(dates, candidate_manifest, plan, split, labels, graph, window)
    except ValueError as error:
        raise ValueError(f"ablation.{error}") from error


def make_ablation_settings(
    params: AblationParams,
    features: FeaturesParams,
    model: ModelParams,
    training: TrainingParams,
    evaluation: EvaluationParams,
) -> AblationSettings:
    """Gather the settings that decide what the variants score."""
    return ablation_settings(params, features, model, training, evaluation)


def train_variants(
    raw_features: xr.Dataset,
    panel: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    candidate_manifest: dict[str, Any],
    ablation_splits: list[dict[str, Any]],
    settings: AblationSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train every variant on every fold with every seed, but for those that are finished, and measure them."""
    from gogooku_kedro.ablation.ablation import run_ablation
    from gogooku_kedro.ablation.training import Setting

    history = History(raw_features, panel, labels, graph_edges, candidate_manifest)
    folds = (history.fold(number, split, settings.features) for number, split in enumerate(ablation_splits, start=1))
    setting = Setting(panel, settings.training, settings.evaluation, settings.folder)
    return run_ablation(settings.variants, folds, len(ablation_splits), setting)


def summarise_effect(
    ablation_daily_metrics: pd.DataFrame,
    ablation_splits: list[dict[str, Any]],
    run_record: dict[str, Any],
    quality_report: dict[str, Any],
    params: AblationParams,
    evaluation: EvaluationParams,
    model: ModelParams,
    training: TrainingParams,
) -> dict[str, Any]:
    """Compare on with off and the controls; hold the gains against the goals."""
    from gogooku_kedro.ablation.gat_effect import gat_effect

    run = {name: run_record[name] for name in ("git_sha", "config_hash", "environment", "stale")}
    run |= {"data_hash": quality_report["data_hash"], "cost_bps": evaluation.cost_bps}
    run |= {"hidden_size": model.hidden_size, "window": model.window, "max_epochs": training.max_epochs}
    effect = gat_effect(_series(ablation_daily_metrics, evaluation), params.goals.model_dump())
    return effect | {"run": run, "splits": ablation_splits}


def summarise_variants(
    ablation_daily_metrics: pd.DataFrame, ablation_runs: pd.DataFrame, evaluation: EvaluationParams
) -> pd.DataFrame:
    """Make one table of all variants and horizons, each beside `on`."""
    from gogooku_kedro.ablation.gat_effect import variant_table

    return variant_table(ablation_daily_metrics, ablation_runs, _series(ablation_daily_metrics, evaluation))


def plot_effect(
    ablation_daily_metrics: pd.DataFrame,
    ablation_table: pd.DataFrame,
    gat_effect: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[go.Figure, go.Figure, dict[str, Any]]:
    """Draw the difference session by session, and every variant with its interval; gather what the report shows."""
    from gogooku_kedro.report.figures.effect import cumulative_difference, variant_forest
    from gogooku_kedro.report.studies import stored_study

    difference = cumulative_difference(_series(ablation_daily_metrics, evaluation))
    forest = variant_forest(ablation_table)
    return difference, forest, stored_study(gat_effect, [difference, forest], ablation_table)


def _series(daily: pd.DataFrame, params: EvaluationParams) -> Any:
    from gogooku_kedro.ablation.gat_effect import VariantSeries

    return VariantSeries(daily, params.sessions_per_year, params.bootstrap_samples, params.seed)
