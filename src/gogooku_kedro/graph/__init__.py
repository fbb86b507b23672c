"""Graphs of similar stocks: edges per as-of date and their statistics."""

from gogooku_kedro.graph.build import COLUMNS, asof_index, build_edges
from gogooku_kedro.graph.checks import check_graph
from gogooku_kedro.graph.correlation import masked_correlation, residual_returns
from gogooku_kedro.graph.statistics import graph_statistics

__all__ = [
    "COLUMNS",
    "asof_index",
    "build_edges",
    "check_graph",
    "graph_statistics",
    "masked_correlation",
    "residual_returns",
]
