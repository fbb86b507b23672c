"""Ablation: the outputs of the data stages to the effect of the GAT and a table of variants."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.ablation import nodes
from gogooku_kedro.pipelines.stage import stage

PLAN = ["params:ablation", "params:split", "params:labels", "params:graph", "params:model"]
HISTORY = ["raw_features", "panel", "labels", "graph_edges", "candidate_manifest"]
FITTED = ["params:ablation", "params:features", "params:model", "params:training", "params:evaluation"]
SPLITS, DAILY, SETTINGS = "ablation_splits", "ablation_daily_metrics", "params:evaluation"
GATHERED = "ablation_settings"
SHOWN = ["gat_effect_difference", "gat_effect_variants", "ablation_study"]


def create_pipeline() -> Pipeline:
    """Build the stage `ablation`."""
    trained = [*HISTORY, SPLITS, GATHERED]
    facts = ["run_record", "quality_report", "params:ablation", SETTINGS, "params:model", "params:training"]
    return stage(
        "ablation",
        [
            node(nodes.split_variants, ["panel", "candidate_manifest", *PLAN], SPLITS, name="split_variants"),
            node(nodes.make_ablation_settings, FITTED, GATHERED, name="make_ablation_settings"),
            node(nodes.train_variants, trained, [DAILY, "ablation_runs"], name="train_variants", tags=["gpu"]),
            node(nodes.summarise_effect, [DAILY, SPLITS, *facts], "gat_effect", name="summarise_effect"),
            node(
                nodes.summarise_variants,
                [DAILY, "ablation_runs", SETTINGS],
                "ablation_table",
                name="summarise_variants",
            ),
            node(nodes.plot_effect, [DAILY, "ablation_table", "gat_effect", SETTINGS], SHOWN, name="plot_effect"),
        ],
    )
