"""What a run measured, and what the pipelines beside it left, to answers, report and model card.

Library code is imported inside the functions, so that listing pipelines stays fast.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.params import EvaluationParams, LabelsParams, ModelParams, TrainingParams

if TYPE_CHECKING:
    from gogooku_kedro.report.page import FigureGroup
    from gogooku_kedro.report.results import RunFacts

HORIZON = "5d"
OWN = {
    "Ranking": ("cumulative_rank_ic", "monthly_rank_ic", "decile_returns", "calibration_plot"),
    "Simulated portfolio": ("portfolio_equity", "portfolio_drawdown", "portfolio_turnover"),
    "Graph network": ("graph_monitoring", "degree_histogram"),
    "Training": ("loss_curves",),
}
"""Heading of the report -> its figures, of every run."""

BESIDE = {
    "ablation": ("gat_effect_difference", "gat_effect_variants"),
    "explanation": ("attention_network", "weights_by_month", "importance_bars"),
    "walk_forward": ("walk_forward_rank_ic",),
}
"""Pipeline beside the default one -> its figures."""

FIGURES = [name for names in (*OWN.values(), *BESIDE.values()) for name in names]


def summarise_key_results(
    metrics: dict[str, Any],
    daily_metrics: pd.DataFrame,
    portfolio_returns: pd.DataFrame,
    portfolio_metrics: dict[str, Any],
    seed_daily_metrics: pd.DataFrame,
    gat_effect: dict[str, Any] | None,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Answer what the run was made for: better, by how much, tradable, does the graph matter."""
    from gogooku_kedro.report import key_results, results

    found = key_results.summarise_key_results(
        results.parse(results.Metrics, metrics),
        daily_metrics,
        cost_bps=params.cost_bps,
        sessions_per_year=params.sessions_per_year,
        returns=portfolio_returns,
        portfolios=results.PortfolioMetrics.of(portfolio_metrics),
        effect=None if gat_effect is None else results.GatEffect.of(gat_effect),
        seed_daily=seed_daily_metrics,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )
    return results.plain(found)


def plot_figures(
    daily_metrics: pd.DataFrame,
    portfolio_returns: pd.DataFrame,
    quantile_calibration: pd.DataFrame,
    training_history: pd.DataFrame,
) -> tuple[go.Figure, go.Figure, go.Figure, go.Figure, go.Figure]:
    """Draw rank IC by session and month, turnover, whether quantiles hold, and the graph in training."""
    from gogooku_kedro.report.figures import model, portfolio, ranking

    return (
        ranking.cumulative_rank_ic(daily_metrics, HORIZON),
        ranking.rank_ic_by_month(daily_metrics, HORIZON),
        portfolio.portfolio_turnover(portfolio_returns, HORIZON),
        model.calibration_plot(quantile_calibration),
        model.graph_monitoring(training_history),
    )


def write_report(
    labelling: LabelsParams, model: ModelParams, training: TrainingParams, **found: Any
) -> tuple[str, str]:
    """Write one HTML page that opens offline, and the model card in Markdown.

    Args:
        labelling: Settings of the labels.
        model: Settings of the model.
        training: Settings of the training.
        found: Datasets by name: `FACTS`, `STUDIES` and `FIGURES` of the pipeline; None for what was not made.
    """
    from gogooku_kedro.baselines.oracle import oracle_bounds
    from gogooku_kedro.report import page, provenance, results
    from gogooku_kedro.report.evidence import Evidence

    metrics = results.parse(results.Metrics, found["metrics"])
    stale = dict.fromkeys((*metrics.run.stale, *found["run_record"]["stale"]))  # of the evaluation, and of this run
    metrics = replace(metrics, run=replace(metrics.run, stale=tuple(stale)))
    walk_forward = found["walk_forward_metrics"]
    folds = None if walk_forward is None else results.parse(results.WalkForward, walk_forward)
    here = folds is not None and provenance.usable(provenance.origin(folds.run, metrics.run))
    evidence = Evidence(
        key_results=results.parse(results.KeyResults, found["key_results"]),
        metrics=metrics,
        quality=found["quality_report"],
        manifest=found["feature_manifest"],
        portfolios=results.PortfolioMetrics.of(found["portfolio_metrics"]),
        oracle=oracle_bounds(found["market_oracle"], labelling.entry),
        folds=folds if here else None,
        entry=labelling.entry,
    )
    html = page.render_report(evidence, _groups(metrics.run, found), title="ATFT-GAT-FAN beside its baselines")
    settings = {"model": model, "training": training, "labelling": labelling}
    card = page.render_model_card(evidence, **{name: of.model_dump(mode="json") for name, of in settings.items()})
    return html, card


def _groups(run: RunFacts, found: dict[str, Any]) -> list[FigureGroup]:
    """What stands below each heading; of the pipelines beside, what is of this run's data."""
    from gogooku_kedro.report import page, provenance, results, tables

    own = {title: page.FigureGroup(title, [found[name] for name in names]) for title, names in OWN.items()}

    def beside(title: str, pipeline: str, artefact: dict[str, Any] | None) -> FigureGroup:
        origin = None if artefact is None else results.parse(results.RunFacts, artefact.get("run", {}))
        remark = provenance.remark(pipeline, origin, run)
        if artefact is None or not provenance.usable(provenance.origin(origin, run)):
            return page.FigureGroup(title, [], remark)
        figures = [found[name] for name in BESIDE[pipeline]]
        if pipeline == "ablation":
            effect = results.GatEffect.of(artefact)
            return page.effect_group(title, effect, found["ablation_table"], figures, remark)
        walk_forward = pipeline == "walk_forward"
        shown = tables.fold_tables(results.parse(results.WalkForward, artefact)) if walk_forward else []
        return page.FigureGroup(title, figures, remark, tables=shown)

    return [
        *(own[title] for title in ("Ranking", "Simulated portfolio", "Graph network")),
        beside("Graph network on and off", "ablation", found["gat_effect"]),
        beside("What the model learned", "explanation", found["explanation_run"]),
        beside("Walk-forward", "walk_forward", found["walk_forward_metrics"]),
        own["Training"],
    ]
