"""Inference: stored model and today's features to a ranking."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.inference import nodes
from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.training.pipeline import market_tensors

SETTINGS = ["params:model", "params:training", "params:inference"]


def create_pipeline() -> Pipeline:
    """Build the stage `inference`."""
    return market_tensors() + stage(
        "inference",
        [
            node(
                nodes.rank_latest,
                ["ensemble", "market_tensors", "panel", "latest_blend", *SETTINGS],
                "latest_ranking",
                name="rank_latest",
                tags=["gpu"],
            ),
        ],
    )
