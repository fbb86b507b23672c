"""Evaluation: predictions to metrics, plots and report, beside baselines."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.evaluation import nodes
from gogooku_kedro.pipelines.stage import stage

SCORED = [
    "predictions",
    "neutral_predictions",
    "rule_predictions",
    "ridge_predictions",
    "lightgbm_predictions",
    "oracle_scores",
]
RUN = ["run_record", "model_bundle", "feature_manifest", "quality_report", "split"]
FIGURES = ["cumulative_rank_ic", "decile_returns", "loss_curves", "degree_histogram"]
LEARNED_FROM = ["features", "labels", "split"]


def create_pipeline() -> Pipeline:
    """Build the stage ``evaluation``."""
    settings = "params:evaluation"
    return stage(
        "evaluation",
        [
            node(
                nodes.predict_rules,
                ["panel", "features", "split", settings],
                "rule_predictions",
                name="predict_rules",
            ),
            node(nodes.fit_ridge, LEARNED_FROM, "ridge_predictions", name="fit_ridge"),
            node(
                nodes.fit_lightgbm,
                [*LEARNED_FROM, settings],
                "lightgbm_predictions",
                name="fit_lightgbm",
            ),
            node(
                nodes.neutralise_scores,
                ["predictions", "graph_edges"],
                "neutral_predictions",
                name="neutralise_scores",
            ),
            node(
                nodes.measure_days,
                [*SCORED, "labels", "split", "params:labels", settings],
                ["daily_metrics", "decile_returns"],
                name="measure_days",
            ),
            node(
                nodes.summarise_metrics,
                ["daily_metrics", *RUN, settings],
                "metrics",
                name="summarise_metrics",
            ),
            node(nodes.plot_rank_ic, "daily_metrics", "cumulative_rank_ic", name="plot_rank_ic"),
            node(
                nodes.write_report,
                [
                    "metrics",
                    "daily_metrics",
                    *FIGURES,
                    "quality_report",
                    "feature_manifest",
                    "market_oracle",
                    "params:labels",
                    settings,
                ],
                "report",
                name="write_report",
            ),
        ],
    )
