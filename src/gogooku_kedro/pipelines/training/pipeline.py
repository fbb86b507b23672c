"""Training: features, labels and graph to model and predictions."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.training import nodes

MARKET = ["features", "labels", "graph_edges", "split", "feature_manifest"]


def create_pipeline() -> Pipeline:
    """Build the stage `training`."""
    return stage(
        "training",
        [
            node(
                nodes.train_model,
                [*MARKET, "params:model", "params:training", "params:debug"],
                ["ensemble", "training_history"],
                name="train_model",
                tags=["gpu", "gat"],
            ),
            node(
                nodes.predict_scores,
                ["ensemble", *MARKET, "params:model", "params:training"],
                ["predictions", "seed_predictions"],
                name="predict_scores",
                tags=["gpu"],
            ),
            node(nodes.plot_losses, "training_history", "loss_curves", name="plot_losses"),
        ],
    )
