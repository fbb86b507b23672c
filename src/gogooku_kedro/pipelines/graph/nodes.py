"""The panel becomes a graph of correlated stocks per as-of date."""

import logging

import pandas as pd
import xarray as xr

from gogooku_kedro import graph
from gogooku_kedro.params.graph import GraphParams

LOGGER = logging.getLogger(__name__)


def build_graph(panel: xr.Dataset, params: GraphParams) -> pd.DataFrame:
    """Connect each stock with its most correlated ones, using returns up to the as-of date."""
    cache = graph.SnapshotCache(params.cache_dir) if params.cache_dir is not None else None
    return graph.build_edges(panel, params, cache=cache)


def build_neighbour_panel(panel: xr.Dataset, graph_edges: pd.DataFrame) -> xr.Dataset:
    """Say on the panel's grid what a stock's neighbours did, and where it stands among them."""
    return graph.neighbour_panel(panel, graph_edges)


def summarise_graph(graph_edges: pd.DataFrame, params: GraphParams) -> pd.DataFrame:
    """Count nodes, edges and isolated stocks of every graph, and warn of those outside `graph.checks`."""
    statistics = graph.graph_statistics(graph_edges)
    failed = graph.failed_checks(statistics, **params.checks.model_dump())
    if failed.any(axis=None):
        LOGGER.warning("%s; see graph_statistics", graph.describe_failed_checks(statistics, failed))
    return statistics.join(failed).reset_index()
