"""Evaluation: predictions of network and baselines to daily series, portfolios and metrics."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.evaluation import nodes, portfolio
from gogooku_kedro.pipelines.stage import stage

SETTINGS, LABELLING = "params:evaluation", "params:labels"
LEARNED = ["ridge_predictions", "lightgbm_predictions", "lightgbm_pair_predictions", "lstm_predictions"]
SCORED = ["predictions", "neutral_predictions", "rule_predictions", *LEARNED, "oracle_scores"]
RUN = ["run_record", "ensemble", "feature_manifest", "quality_report", "split"]


def create_pipeline() -> Pipeline:
    """Build the stage ``evaluation``."""
    measured = [*SCORED, "features", "labels", "split", LABELLING, SETTINGS]
    daily = ["daily_metrics", "daily_deciles"]
    members = ["seed_predictions", "predictions", "features", "labels", "params:model", SETTINGS]
    of_members = ["seed_daily_metrics", "daily_quantiles", "quantile_calibration"]
    return stage(
        "evaluation",
        [
            node(nodes.measure_days, measured, [*daily, "decile_returns"], name="measure_days"),
            node(nodes.measure_seeds, members, of_members, name="measure_seeds"),
            portfolio.portfolios_node(SCORED),
            node(
                nodes.summarise_metrics,
                [*daily, *RUN, SETTINGS],
                "metrics",
                name="summarise_metrics",
            ),
        ],
    )
