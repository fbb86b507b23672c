"""The panel becomes a graph of correlated stocks per as-of date."""

import logging

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro import graph as library
from gogooku_kedro.params.graph import GraphParams
from gogooku_kedro.report.figures import model as model_figures

LOGGER = logging.getLogger(__name__)


def build_graph(panel: xr.Dataset, params: GraphParams) -> pd.DataFrame:
    """Connect each stock with its most correlated ones, using returns up to the as-of date."""
    cache = library.SnapshotCache(params.cache_dir) if params.cache_dir is not None else None
    return library.build_edges(panel, params, cache=cache)


def build_peer_panel(panel: xr.Dataset, graph_edges: pd.DataFrame) -> xr.Dataset:
    """Say on the panel's grid what a stock's neighbours did, and where it stands among them."""
    return library.peer_panel(panel, graph_edges)


def summarise_graph(graph_edges: pd.DataFrame, params: GraphParams) -> pd.DataFrame:
    """Count nodes, edges and isolated stocks of every graph, and warn of those outside ``graph.gates``."""
    statistics = library.graph_statistics(graph_edges)
    failed = library.failed_gates(statistics, **params.gates.model_dump())
    if failed.any(axis=None):
        LOGGER.warning("%s; see graph_statistics", library.describe_failed_gates(statistics, failed))
    return statistics.join(failed).reset_index()


def plot_degrees(graph_edges: pd.DataFrame) -> go.Figure:
    """Draw the distribution of degrees."""
    return model_figures.degree_histogram(graph_edges)
