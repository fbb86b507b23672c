"""Group the nodes of a stage under one name without renaming their data."""

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

STAGES = (
    *("ingestion", "graph", "features", "training", "baselines", "evaluation", "report"),
    *("inference", "walk_forward", "ablation", "explanation"),
)
"""In the order in which they run."""


def stage(name: str, nodes: list[Node]) -> Pipeline:
    """A pipeline that kedro-viz shows as one box and whose datasets keep their flat names."""
    return Pipeline(Pipeline(nodes), namespace=name, prefix_datasets_with_namespace=False)
