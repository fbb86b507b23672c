"""Walk-forward: the outputs of the data stages to one table over folds."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.stage import stage
from gogooku_kedro.pipelines.walk_forward import nodes

PLAN = ["params:walk_forward", "params:split", "params:labels", "params:graph", "params:model"]
HISTORY = ["raw_features", "panel", "labels", "graph_edges", "candidate_manifest"]
FITTED = [f"params:{name}" for name in ("features", "model", "training", "evaluation", "debug", "walk_forward")]
SPLITS, SETTINGS = "walk_forward_splits", "params:evaluation"
SCORED = ["walk_forward_predictions", "walk_forward_seed_predictions"]
MEASURED = ["walk_forward_daily_metrics", "walk_forward_seed_metrics"]


def create_pipeline() -> Pipeline:
    """Build the stage `walk_forward`."""
    trained = [*HISTORY, SPLITS, "fold_settings", "params:walk_forward"]
    facts = ["walk_forward_folds", "run_record", "quality_report", SETTINGS, "params:walk_forward"]
    return stage(
        "walk_forward",
        [
            node(nodes.split_folds, ["panel", "candidate_manifest", *PLAN], SPLITS, name="split_folds"),
            node(nodes.make_fold_settings, FITTED, "fold_settings", name="make_fold_settings"),
            node(
                nodes.train_folds,
                trained,
                [*SCORED, "walk_forward_folds"],
                name="train_folds",
                tags=["gpu", "gat"],
            ),
            node(nodes.measure_folds, [*SCORED, "labels", SPLITS, SETTINGS], MEASURED, name="measure_folds"),
            node(nodes.summarise_folds, [*MEASURED, *facts], "walk_forward_metrics", name="summarise_folds"),
            node(
                nodes.plot_folds,
                ["walk_forward_metrics", SPLITS],
                ["walk_forward_rank_ic", "walk_forward_study"],
                name="plot_folds",
            ),
        ],
    )
