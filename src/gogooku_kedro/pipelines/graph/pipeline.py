"""Graph: panel to edges per as-of date."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.graph import nodes
from gogooku_kedro.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Build the stage `graph`."""
    return stage(
        "graph",
        [
            node(nodes.build_graph, ["panel", "params:graph"], "graph_edges", name="build_graph"),
            node(
                nodes.build_neighbour_panel, ["panel", "graph_edges"], "neighbour_panel", name="build_neighbour_panel"
            ),
            node(nodes.summarise_graph, ["graph_edges", "params:graph"], "graph_statistics", name="summarise_graph"),
        ],
    )
