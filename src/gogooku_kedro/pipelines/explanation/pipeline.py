"""Explanation: a trained model and its market to what it learned."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.explanation import nodes
from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.training.pipeline import market_tensors

MODEL = ["ensemble", "market_tensors"]
TABLES = ["attention_pairs", "feature_weights_by_month", "family_importance"]
SETTINGS = ["params:model", "params:training", "params:explanation"]


def create_pipeline() -> Pipeline:
    """Build the stage `explanation`."""
    return market_tensors() + stage(
        "explanation",
        [
            node(
                nodes.measure_attention,
                [*MODEL, "panel", "planted_peers", *SETTINGS],
                ["attention_pairs", "planted_pairs", "edge_importance", "effect_agreement"],
                name="measure_attention",
                tags=["gpu"],
            ),
            node(
                nodes.measure_features,
                [*MODEL, *SETTINGS],
                ["feature_weights", "feature_weights_by_month", "feature_weight_summary"],
                name="measure_features",
                tags=["gpu"],
            ),
            node(
                nodes.measure_families,
                [*MODEL, "labels", *SETTINGS],
                "family_importance",
                name="measure_families",
                tags=["gpu"],
            ),
            node(
                nodes.plot_explanations,
                [*TABLES, "run_record", "quality_report", "params:explanation"],
                ["attention_network", "weights_by_month", "importance_bars", "explanation_study"],
                name="plot_explanations",
            ),
        ],
    )
