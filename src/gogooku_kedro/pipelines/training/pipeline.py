"""Training: features, labels and graph to tensors, model and predictions."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.training import nodes


def market_tensors() -> Pipeline:
    """Build the node that makes `market_tensors`; in a sum of pipelines that all hold it, it runs once."""
    market = ["features", "labels", "graph_edges", "split", "feature_manifest", "params:model"]
    return stage("training", [node(nodes.build_tensors, market, "market_tensors", name="build_tensors", tags=["gat"])])


def create_pipeline() -> Pipeline:
    """Build the stage `training`."""
    settings = ["params:model", "params:training"]
    return market_tensors() + stage(
        "training",
        [
            node(
                nodes.train_model,
                ["market_tensors", *settings, "params:debug", "params:ablation"],
                ["ensemble", "training_history", "predictions_without_graph"],
                name="train_model",
                tags=["gpu"],
            ),
            node(
                nodes.predict_scores,
                ["ensemble", "market_tensors", *settings],
                ["predictions", "seed_predictions"],
                name="predict_scores",
                tags=["gpu"],
            ),
        ],
    )
