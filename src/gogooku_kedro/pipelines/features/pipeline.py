"""Features: panel to normalised features, labels and split."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.features import nodes
from gogooku_kedro.pipelines.stage import stage

SPLIT_INPUTS = ["params:split", "params:labels", "params:graph", "params:model"]


def create_pipeline() -> Pipeline:
    """Build the stage ``features``."""
    return stage(
        "features",
        [
            node(
                nodes.compute_features,
                ["panel", "params:features"],
                "raw_features",
                name="compute_features",
            ),
            node(
                nodes.describe_features,
                ["panel", "params:features"],
                "feature_manifest",
                name="describe_features",
            ),
            node(
                nodes.normalise_features,
                ["raw_features", "panel", "params:features"],
                "features",
                name="normalise_features",
            ),
            node(nodes.make_labels, ["panel", "params:labels"], "labels", name="make_labels"),
            node(
                nodes.split_sessions,
                ["panel", "feature_manifest", *SPLIT_INPUTS],
                "split",
                name="split_sessions",
            ),
            node(
                nodes.check_leaks,
                ["features", "labels", "split", "params:features"],
                "leak_report",
                name="check_leaks",
            ),
        ],
    )
