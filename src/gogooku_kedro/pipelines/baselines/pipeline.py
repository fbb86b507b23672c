"""Baselines: features, labels and graph to what the network is held against, and every score made neutral."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.baselines import nodes
from gogooku_kedro.pipelines.stage import stage

SETTINGS = "params:evaluation"
LEARNED_FROM = ["features", "labels", "split"]
LEARNED = ["ridge_predictions", "lightgbm_predictions", "lightgbm_pair_predictions", "lstm_predictions"]


def create_pipeline() -> Pipeline:
    """Build the stage ``baselines``."""
    rules = ["panel", "features", "split", SETTINGS]
    boosted = [*LEARNED_FROM, SETTINGS]
    pair = ["features", "labels", "graph_edges", "split", "feature_manifest", SETTINGS]
    recurrent = [*LEARNED_FROM, "params:model", "params:training", SETTINGS]
    scored = ["predictions", "rule_predictions", *LEARNED, "graph_edges", "panel", SETTINGS]
    return stage(
        "baselines",
        [
            node(nodes.predict_rules, rules, "rule_predictions", name="predict_rules"),
            node(nodes.fit_ridge, LEARNED_FROM, "ridge_predictions", name="fit_ridge"),
            node(nodes.fit_lightgbm, boosted, "lightgbm_predictions", name="fit_lightgbm"),
            node(nodes.fit_lightgbm_pair, pair, "lightgbm_pair_predictions", name="fit_lightgbm_pair"),
            node(nodes.fit_lstm, recurrent, "lstm_predictions", name="fit_lstm", tags=["gpu"]),
            node(nodes.neutralise_scores, scored, "neutral_predictions", name="neutralise_scores"),
        ],
    )
