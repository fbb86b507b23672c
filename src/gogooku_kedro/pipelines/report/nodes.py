"""What a run measured, and what the pipelines beside it left, to answers, report and model card."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.baselines import oracle as oracle_lib
from gogooku_kedro.params import EvaluationParams, LabelsParams, ModelParams, TrainingParams
from gogooku_kedro.pipelines.report.groups import figure_groups
from gogooku_kedro.report import provenance

Found = dict[str, Any] | None
"""What a pipeline beside the default one wrote; None where it was not run."""

HORIZON = "5d"


def summarise_key_results(
    metrics: dict[str, Any],
    daily_metrics: pd.DataFrame,
    portfolio_returns: pd.DataFrame,
    portfolio_metrics: dict[str, Any],
    seed_daily_metrics: pd.DataFrame,
    gat_effect: Found,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Answer what the run was made for: better, by how much, tradable, does the graph matter."""
    from gogooku_kedro.report import key_results as key_results_lib

    return key_results_lib.summarise_key_results(
        metrics,
        daily_metrics,
        cost_bps=params.cost_bps,
        sessions_per_year=params.sessions_per_year,
        portfolios=portfolio_returns,
        portfolio=portfolio_metrics,
        effect=gat_effect,
        members=seed_daily_metrics,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )


def plot_figures(
    daily_metrics: pd.DataFrame,
    portfolio_returns: pd.DataFrame,
    quantile_calibration: pd.DataFrame,
    training_history: pd.DataFrame,
) -> tuple[go.Figure, go.Figure, go.Figure, go.Figure, go.Figure]:
    """Draw rank IC by day and month, turnover, whether quantiles hold, and the graph in training."""
    from gogooku_kedro.report.figures import days as days_lib
    from gogooku_kedro.report.figures import model as model_lib
    from gogooku_kedro.report.figures import ranking as ranking_lib

    return (
        ranking_lib.cumulative_rank_ic(daily_metrics, HORIZON),
        days_lib.rank_ic_by_month(daily_metrics, HORIZON),
        days_lib.portfolio_turnover(portfolio_returns, HORIZON),
        model_lib.calibration_plot(quantile_calibration),
        model_lib.graph_monitoring(training_history),
    )


def write_report(
    metrics: dict[str, Any],
    key_results: dict[str, Any],
    portfolio_metrics: dict[str, Any],
    quality_report: dict[str, Any],
    feature_manifest: dict[str, Any],
    market_oracle: pd.DataFrame,
    labelling: LabelsParams,
    gat_effect: Found,
    explanation_run: Found,
    walk_forward_metrics: Found,
    **figures: go.Figure | None,
) -> str:
    """Write one HTML page that opens offline."""
    from gogooku_kedro.report import page as page_lib

    evidence = _evidence(
        *(metrics, key_results, portfolio_metrics, quality_report, feature_manifest),
        *(market_oracle, labelling, walk_forward_metrics),
    )
    found = {"ablation": gat_effect, "explanation": explanation_run, "walk_forward": walk_forward_metrics}
    groups = figure_groups(metrics["run"], figures, found)
    return page_lib.render_report(evidence, groups, title="ATFT-GAT-FAN beside its baselines")


def write_card(
    metrics: dict[str, Any],
    key_results: dict[str, Any],
    portfolio_metrics: dict[str, Any],
    quality_report: dict[str, Any],
    feature_manifest: dict[str, Any],
    market_oracle: pd.DataFrame,
    labelling: LabelsParams,
    walk_forward_metrics: Found,
    model: ModelParams,
    training: TrainingParams,
) -> str:
    """Write the model card in Markdown."""
    from gogooku_kedro.report import model_card as model_card_lib

    evidence = _evidence(
        *(metrics, key_results, portfolio_metrics, quality_report, feature_manifest),
        *(market_oracle, labelling, walk_forward_metrics),
    )
    return model_card_lib.render_model_card(
        evidence,
        model=model.model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        labelling=labelling.model_dump(mode="json"),
    )


def _evidence(
    metrics: dict[str, Any],
    key_results: dict[str, Any],
    portfolio: dict[str, Any],
    quality: dict[str, Any],
    manifest: dict[str, Any],
    market_oracle: pd.DataFrame,
    labelling: LabelsParams,
    folds: Found,
) -> Any:
    from gogooku_kedro.report import page as page_lib

    usable = provenance.usable(provenance.origin(folds, metrics["run"]))
    return page_lib.Evidence(
        key_results,
        metrics,
        quality,
        manifest,
        portfolio=portfolio,
        oracle=oracle_lib.oracle_bounds(market_oracle, labelling.entry),
        folds=folds if usable else None,
    )
