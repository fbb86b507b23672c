"""What a run measured, and what the pipelines beside it left, to answers, figures, report and model card.

Library code is imported inside the functions, so that listing pipelines stays fast.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.params import EvaluationParams, LabelsParams, ModelParams, TrainingParams

Evidence = Any
Section = Any
Studies = dict[str, Any]
"""Classes of the package `report`: naming them would import it, and Kedro would pass parameters unvalidated."""

HORIZON = "5d"


def make_studies(
    ablation: dict[str, Any] | None, explanation: dict[str, Any] | None, walk_forward: dict[str, Any] | None
) -> Studies:
    """Read what the pipelines beside this one left; None for one that was not run."""
    from gogooku_kedro.report.studies import read_study

    found = {"ablation": ablation, "explanation": explanation, "walk_forward": walk_forward}
    return {name: read_study(stored) for name, stored in found.items()}


def summarise_key_results(
    metrics: dict[str, Any],
    daily_metrics: pd.DataFrame,
    portfolio_returns: pd.DataFrame,
    portfolio_metrics: dict[str, Any],
    seed_daily_metrics: pd.DataFrame,
    studies: Studies,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Answer what the run was made for: better, by how much, tradable, does the graph matter."""
    from gogooku_kedro.report import key_results, results

    ablation = studies["ablation"]
    found = key_results.summarise_key_results(
        results.parse(results.Metrics, metrics),
        daily_metrics,
        cost_bps=params.cost_bps,
        sessions_per_year=params.sessions_per_year,
        returns=portfolio_returns,
        portfolios=results.PortfolioMetrics.of(portfolio_metrics),
        effect=None if ablation is None else results.GatEffect.of(ablation.results),
        seed_daily=seed_daily_metrics,
        replications=params.bootstrap_samples,
        seed=params.seed,
    )
    return results.plain(found)


def plot_ranking(
    daily_metrics: pd.DataFrame,
    daily_deciles: pd.DataFrame,
    quantile_calibration: pd.DataFrame,
    sector_rank_ic: pd.DataFrame,
) -> tuple[go.Figure | Section, ...]:
    """Draw rank IC by session, rolling, by month and sector, returns by decile, and whether quantiles hold."""
    from gogooku_kedro.metrics.deciles import decile_profile
    from gogooku_kedro.report.figures import model, ranking, tear_sheet
    from gogooku_kedro.report.page import section

    chosen = (sector_rank_ic["split"] == "test") & (sector_rank_ic["horizon"] == HORIZON)
    return section(
        "Ranking",
        ranking.cumulative_rank_ic(daily_metrics, HORIZON),
        ranking.rolling_rank_ic(daily_metrics, HORIZON),
        ranking.rank_ic_by_month(daily_metrics, HORIZON),
        tear_sheet.rank_ic_by_sector(sector_rank_ic[chosen], HORIZON),
        ranking.decile_returns(decile_profile(daily_deciles)),
        model.calibration_plot(quantile_calibration),
    )


def plot_portfolios(portfolio_returns: pd.DataFrame, params: EvaluationParams) -> tuple[go.Figure | Section, ...]:
    """Draw equity, drawdown, monthly returns and turnover of the simulated long-short portfolio."""
    from gogooku_kedro.report.figures import portfolio
    from gogooku_kedro.report.page import section

    return section(
        "Simulated portfolio",
        portfolio.portfolio_equity(portfolio_returns, params.cost_bps),
        portfolio.portfolio_drawdown(portfolio_returns, params.cost_bps),
        portfolio.monthly_returns(portfolio_returns, params.cost_bps, horizon=HORIZON),
        portfolio.portfolio_turnover(portfolio_returns, HORIZON),
    )


def plot_network(training_history: pd.DataFrame, graph_edges: pd.DataFrame) -> tuple[go.Figure | Section, ...]:
    """Draw the graph attention in training, neighbours per stock, and loss and validation rank IC by epoch."""
    from gogooku_kedro.report.figures import model
    from gogooku_kedro.report.page import section

    return section(
        "Network: graph and training",
        model.graph_monitoring(training_history),
        model.degree_histogram(graph_edges),
        model.loss_curves(training_history),
    )


def make_evidence(
    metrics: dict[str, Any],
    key_results: dict[str, Any],
    portfolio_metrics: dict[str, Any],
    quality_report: dict[str, Any],
    feature_manifest: dict[str, Any],
    market_oracle: pd.DataFrame,
    run_record: dict[str, Any],
    labels: LabelsParams,
) -> Evidence:
    """Gather the facts and numbers of the run."""
    from gogooku_kedro.baselines.oracle import oracle_bounds
    from gogooku_kedro.report.evidence import Evidence

    files = (metrics, key_results, portfolio_metrics, quality_report, feature_manifest)
    oracle = oracle_bounds(market_oracle, labels.entry)
    return Evidence.of(*files, oracle=oracle, entry=labels.entry, stale=run_record["stale"])


def write_report(
    evidence: Evidence,
    studies: Studies,
    ranking: Section,
    portfolio: Section,
    network: Section,
    model: ModelParams,
    training: TrainingParams,
) -> tuple[str, str]:
    """Write one HTML page that opens offline, and the model card in Markdown."""
    from gogooku_kedro.report import page, provenance, results

    run, folds = evidence.metrics.run, studies["walk_forward"]
    if folds is not None and provenance.usable(provenance.origin(folds.run, run)):
        evidence = replace(evidence, folds=results.parse(results.WalkForward, folds.results))
    beside = [page.study_group(name, study, run) for name, study in studies.items()]
    groups = [ranking, portfolio, network, *beside]
    html = page.render_report(evidence, groups, title="ATFT-GAT-FAN beside its baselines")
    settings = {"model": model.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    return html, page.render_model_card(evidence, **settings)
