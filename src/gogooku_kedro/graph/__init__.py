"""Graphs of similar stocks: edges per as-of date and their statistics."""

from gogooku_kedro.graph.build import COLUMNS, asof_index, build_edges
from gogooku_kedro.graph.cache import SnapshotCache, snapshot_key
from gogooku_kedro.graph.checks import check_graph
from gogooku_kedro.graph.correlation import column_ranks, correlate, lagged_correlation, masked_correlation
from gogooku_kedro.graph.lead_lag import benjamini_hochberg, lead_lag_peers
from gogooku_kedro.graph.peers import peer_panel
from gogooku_kedro.graph.residual import principal_factors, residual_returns
from gogooku_kedro.graph.select import cap_degree, nearest_in_sector, nearest_peers, strongest
from gogooku_kedro.graph.snapshot import Snapshot, Window, find_edges
from gogooku_kedro.graph.statistics import describe_failed_gates, failed_gates, graph_statistics

__all__ = [
    "COLUMNS",
    "Snapshot",
    "SnapshotCache",
    "Window",
    "asof_index",
    "benjamini_hochberg",
    "build_edges",
    "cap_degree",
    "check_graph",
    "column_ranks",
    "correlate",
    "describe_failed_gates",
    "failed_gates",
    "find_edges",
    "graph_statistics",
    "lagged_correlation",
    "lead_lag_peers",
    "masked_correlation",
    "nearest_in_sector",
    "nearest_peers",
    "peer_panel",
    "principal_factors",
    "residual_returns",
    "snapshot_key",
    "strongest",
]
