"""Evaluation: predictions to metrics, plots and report, beside baselines."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.evaluation import nodes, portfolio
from gogooku_kedro.pipelines.stage import stage

SETTINGS, LABELLING = "params:evaluation", "params:labels"
LEARNED_FROM = ["features", "labels", "split"]
LEARNED = ["ridge_predictions", "lightgbm_predictions"]
SCORED = ["predictions", "neutral_predictions", "rule_predictions", *LEARNED, "oracle_scores"]
RUN = ["run_record", "model_bundle", "feature_manifest", "quality_report", "split"]
FIGURES = ["cumulative_rank_ic", "decile_returns", "loss_curves", "degree_histogram"]
MARKET = ["quality_report", "feature_manifest", "market_oracle"]


def create_pipeline() -> Pipeline:
    """Build the stage ``evaluation``."""
    rules = ["panel", "features", "split", SETTINGS]
    measured = [*SCORED, "labels", "split", LABELLING, SETTINGS]
    reported = ["metrics", "daily_metrics", *FIGURES, *MARKET, LABELLING, SETTINGS]
    daily = ["daily_metrics", "decile_returns"]
    boosted = [*LEARNED_FROM, SETTINGS]
    scored = ["predictions", "lightgbm_predictions", "graph_edges", "panel", SETTINGS]
    return stage(
        "evaluation",
        [
            node(nodes.predict_rules, rules, "rule_predictions", name="predict_rules"),
            node(nodes.fit_ridge, LEARNED_FROM, "ridge_predictions", name="fit_ridge"),
            node(nodes.fit_lightgbm, boosted, "lightgbm_predictions", name="fit_lightgbm"),
            node(nodes.neutralise_scores, scored, "neutral_predictions", name="neutralise_scores"),
            node(nodes.measure_days, measured, daily, name="measure_days"),
            portfolio.books_node(SCORED),
            node(
                nodes.summarise_metrics,
                ["daily_metrics", *RUN, SETTINGS],
                "metrics",
                name="summarise_metrics",
            ),
            node(nodes.plot_rank_ic, "daily_metrics", "cumulative_rank_ic", name="plot_rank_ic"),
            node(nodes.write_report, reported, "report", name="write_report"),
        ],
    )
