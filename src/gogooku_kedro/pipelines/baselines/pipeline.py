"""Baselines: features, labels and graph to the predictions of all models in one table."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.baselines import nodes
from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.training import pipeline as training

SETTINGS = ["params:model", "params:training", "params:evaluation"]
READ = ["features", "labels", "panel", "graph_edges", "split", "feature_manifest", "market_tensors"]
SCORED = ["predictions", "baseline_predictions"]
FITTED = ["blend_weights", "latest_blend"]
ORACLE = ["oracle_scores", "predictions", "split", "params:labels"]
STACKED = [
    *SCORED,
    "oracle_predictions",
    "blend_weights",
    "predictions_without_graph",
    "graph_edges",
    "panel",
    "params:evaluation",
]


def create_pipeline() -> Pipeline:
    """Build the stage `baselines`."""
    return training.market_tensors() + stage(
        "baselines",
        [
            node(nodes.make_baseline_settings, SETTINGS, "baseline_settings", name="make_baseline_settings"),
            node(
                nodes.fit_baselines,
                [*READ, "baseline_settings"],
                "baseline_predictions",
                name="fit_baselines",
                tags=["gpu"],
            ),
            node(nodes.fit_blends, [*SCORED, "labels", "params:evaluation"], FITTED, name="fit_blends"),
            node(nodes.predict_oracle, ORACLE, "oracle_predictions", name="predict_oracle"),
            node(nodes.stack_predictions, STACKED, "model_predictions", name="stack_predictions"),
        ],
    )
