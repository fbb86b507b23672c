"""Inference: stored model and today's features to a ranking."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.inference import nodes
from gogooku_kedro.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Build the stage `inference`."""
    market = ["features", "labels", "graph_edges", "feature_manifest"]
    return stage(
        "inference",
        [
            node(
                nodes.rank_latest,
                ["ensemble", *market, "params:model", "params:training"],
                "latest_ranking",
                name="rank_latest",
                tags=["gpu"],
            ),
        ],
    )
