"""Features: panel, neighbours and events to normalised features, labels and split."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.features import nodes
from gogooku_kedro.pipelines.stage import stage

MARKET = ["panel", "neighbour_panel", "events", "params:features"]
SPLIT_INPUTS = ["params:split", "params:labels", "params:graph", "params:model"]


def create_pipeline() -> Pipeline:
    """Build the stage `features`."""
    checked = ["raw_features", "panel", "labels", "split", "candidate_manifest", "params:features"]
    passed = ["feature_manifest", "feature_report"]
    kept = ["raw_features", "panel", "feature_manifest", "params:features"]
    dated = ["panel", "candidate_manifest", *SPLIT_INPUTS]
    return stage(
        "features",
        [
            node(nodes.compute_features, MARKET, "raw_features", name="compute_features"),
            node(nodes.describe_features, MARKET, "candidate_manifest", name="describe_features"),
            node(nodes.make_labels, ["panel", "params:labels"], "labels", name="make_labels"),
            node(nodes.split_sessions, dated, "split", name="split_sessions"),
            node(nodes.check_features, checked, passed, name="check_features"),
            node(nodes.normalise_features, kept, "features", name="normalise_features"),
        ],
    )
