"""Graphs of similar stocks: edges per as-of date, their statistics and checks."""

from gogooku_kedro.graph.build import asof_index, build_edges
from gogooku_kedro.graph.cache import SnapshotCache, snapshot_key
from gogooku_kedro.graph.checks import check_graph, describe_failed_checks, failed_checks, graph_statistics
from gogooku_kedro.graph.correlation import masked_correlation
from gogooku_kedro.graph.neighbours import neighbour_panel
from gogooku_kedro.graph.snapshot import Window, find_edges

__all__ = [
    "SnapshotCache",
    "Window",
    "asof_index",
    "build_edges",
    "check_graph",
    "describe_failed_checks",
    "failed_checks",
    "find_edges",
    "graph_statistics",
    "masked_correlation",
    "neighbour_panel",
    "snapshot_key",
]
