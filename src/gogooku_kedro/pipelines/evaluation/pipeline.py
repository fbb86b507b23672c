"""Evaluation: predictions of network and baselines to metrics, plots and report."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.evaluation import nodes, portfolio
from gogooku_kedro.pipelines.stage import stage

SETTINGS, LABELLING = "params:evaluation", "params:labels"
LEARNED = ["ridge_predictions", "lightgbm_predictions", "lightgbm_pair_predictions", "lstm_predictions"]
SCORED = ["predictions", "neutral_predictions", "rule_predictions", *LEARNED, "oracle_scores"]
RUN = ["run_record", "model_bundle", "feature_manifest", "quality_report", "split"]
FIGURES = ["cumulative_rank_ic", "decile_returns", "loss_curves", "degree_histogram"]
MARKET = ["quality_report", "feature_manifest", "market_oracle"]


def create_pipeline() -> Pipeline:
    """Build the stage ``evaluation``."""
    measured = [*SCORED, "features", "labels", "split", LABELLING, SETTINGS]
    daily = ["daily_metrics", "daily_deciles"]
    members = ["member_predictions", "predictions", "features", "labels", "params:model", SETTINGS]
    of_members = ["member_daily_metrics", "daily_quantiles", "quantile_calibration"]
    reported = ["metrics", "daily_metrics", *FIGURES, *MARKET, LABELLING, SETTINGS]
    return stage(
        "evaluation",
        [
            node(nodes.measure_days, measured, [*daily, "decile_returns"], name="measure_days"),
            node(nodes.measure_members, members, of_members, name="measure_members"),
            portfolio.books_node(SCORED),
            node(
                nodes.summarise_metrics,
                [*daily, *RUN, SETTINGS],
                "metrics",
                name="summarise_metrics",
            ),
            node(nodes.plot_rank_ic, "daily_metrics", "cumulative_rank_ic", name="plot_rank_ic"),
            node(nodes.write_report, reported, "report", name="write_report"),
        ],
    )
