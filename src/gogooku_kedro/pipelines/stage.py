"""Group the nodes of a stage under one name without renaming their data."""

from collections.abc import Iterable

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

STAGES = (
    *("ingestion", "graph", "features", "training", "baselines", "evaluation", "report"),
    *("inference", "walk_forward", "ablation", "tuning", "explanation", "daily"),
)
"""In the order in which they run."""


def in_run_order(names: Iterable[str]) -> list[str]:
    """Return names of stages in the order in which they run, and those of `STAGES` first."""
    return sorted(names, key=lambda name: STAGES.index(name) if name in STAGES else len(STAGES))


def stage(name: str, nodes: list[Node]) -> Pipeline:
    """A pipeline that kedro-viz shows as one box and whose datasets keep their flat names."""
    return Pipeline(Pipeline(nodes), namespace=name, prefix_datasets_with_namespace=False)
