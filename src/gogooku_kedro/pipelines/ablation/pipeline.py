"""Ablation: the outputs of the data stages to the effect of the GAT and a table of arms."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.ablation import nodes
from gogooku_kedro.pipelines.stage import stage

PLAN = ["params:ablation", "params:split", "params:labels", "params:graph", "params:model"]
HISTORY = ["raw_features", "panel", "labels", "graph_edges", "candidate_features"]
FITTED = ["params:features", "params:model", "params:training", "params:evaluation"]
SPLITS, DAILY, SETTINGS = "ablation_splits", "ablation_daily_metrics", "params:evaluation"
FIGURES = ["gat_effect_difference", "gat_effect_arms"]


def create_pipeline() -> Pipeline:
    """Build the stage ``ablation``."""
    trained = [*HISTORY, SPLITS, "params:ablation", *FITTED]
    facts = ["run_record", "quality_report", "params:ablation", SETTINGS, "params:model", "params:training"]
    return stage(
        "ablation",
        [
            node(nodes.split_arms, ["panel", "candidate_features", *PLAN], SPLITS, name="split_arms"),
            node(nodes.train_arms, trained, [DAILY, "ablation_runs"], name="train_arms", tags=["gpu"]),
            node(nodes.summarise_effect, [DAILY, SPLITS, *facts], "gat_effect", name="summarise_effect"),
            node(
                nodes.summarise_arms,
                [DAILY, "ablation_runs", SETTINGS],
                "ablation_table",
                name="summarise_arms",
            ),
            node(nodes.plot_effect, [DAILY, "ablation_table", SETTINGS], FIGURES, name="plot_effect"),
            node(
                nodes.write_effect,
                ["gat_effect", "ablation_table", *FIGURES],
                "gat_effect_page",
                name="write_effect",
            ),
        ],
    )
