"""Tuning: the outputs of the data stages to the best of some settings, a page about them, and an environment."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.tuning import nodes

PLAN = ["split", "params:tuning", "params:split", "params:labels", "params:graph", "params:model"]
HISTORY = ["raw_features", "panel", "labels", "graph_edges", "candidate_manifest"]
SPLITS, SETTINGS, TRIALS, FOUND = "tuning_splits", "tuning_settings", "tuning_trials", "tuning_study"
OWN = "params:tuning"


def create_pipeline() -> Pipeline:
    """Build the stage `tuning`."""
    fitted = [OWN, "params:features", "params:model", "params:training"]
    trained = [*HISTORY, SPLITS, SETTINGS, "quality_report"]
    best = [FOUND, OWN, "params:model", "params:training"]
    return stage(
        "tuning",
        [
            node(nodes.split_trials, ["panel", "candidate_manifest", *PLAN], SPLITS, name="split_trials"),
            node(nodes.make_tuning_settings, fitted, SETTINGS, name="make_tuning_settings"),
            node(nodes.train_trials, trained, TRIALS, name="train_trials", tags=["gpu"]),
            node(
                nodes.summarise_trials,
                [TRIALS, SPLITS, "run_record", "quality_report", OWN],
                FOUND,
                name="summarise_trials",
            ),
            node(nodes.write_tuning_page, [TRIALS, FOUND, OWN], "tuning_page", name="write_tuning_page"),
            node(nodes.write_tuned_settings, best, "tuned_parameters", name="write_tuned_settings"),
        ],
    )
