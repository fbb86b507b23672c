"""The panel becomes a graph of correlated stocks per as-of date."""

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from gogooku_kedro import evaluation
from gogooku_kedro import graph as library
from gogooku_kedro.params import GraphParams


def build_graph(panel: xr.Dataset, params: GraphParams) -> pd.DataFrame:
    """Connect each stock with its most correlated ones, using returns up to the as-of date."""
    return library.build_edges(panel, **params.model_dump())


def summarise_graph(graph_edges: pd.DataFrame) -> pd.DataFrame:
    """Count nodes, edges, degrees and isolated stocks of every graph."""
    return library.graph_statistics(graph_edges)


def plot_degrees(graph_edges: pd.DataFrame) -> go.Figure:
    """Draw the distribution of degrees."""
    return evaluation.degree_histogram(graph_edges)
