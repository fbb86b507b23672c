"""Evaluation: predictions of all models to daily series, portfolios and metrics."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.evaluation import nodes
from gogooku_kedro.pipelines.stage import stage

STACKED, SETTINGS = "model_predictions", "params:evaluation"
RUN = ["run_record", "ensemble", "market_facts", "model_facts"]
MODELS = ["blend_weights", "seed_spread", "trading_view"]
COUNTED = ["tuning_study", "quality_report"]
MARKET = ["feature_manifest", "quality_report", "split"]


def create_pipeline() -> Pipeline:
    """Build the stage `evaluation`."""
    daily = ["daily_metrics", "daily_deciles"]
    seeds = ["seed_predictions", "predictions", "features", "labels", "params:model", SETTINGS]
    of_seeds = ["seed_daily_metrics", "daily_quantiles", "quantile_calibration", "seed_spread"]
    held = [STACKED, "panel", "events", "labels", "params:labels", SETTINGS]
    portfolios = ["portfolio_returns", "portfolio_metrics"]
    measured = [STACKED, "features", "labels", SETTINGS]
    return stage(
        "evaluation",
        [
            node(nodes.measure_days, measured, daily, name="measure_days"),
            node(nodes.measure_seeds, seeds, of_seeds, name="measure_seeds"),
            node(nodes.measure_sectors, ["predictions", "labels", "panel"], "sector_rank_ic", name="measure_sectors"),
            node(nodes.measure_portfolios, [*held, *COUNTED], portfolios, name="measure_portfolios"),
            node(nodes.measure_trading, held, "trading_view", name="measure_trading"),
            node(nodes.describe_market, MARKET, "market_facts", name="describe_market"),
            node(nodes.describe_models, MODELS, "model_facts", name="describe_models"),
            node(nodes.summarise_metrics, [*daily, *RUN, SETTINGS], "metrics", name="summarise_metrics"),
        ],
    )
