"""From the raw tables of a market to what training reads, through the nodes of the pipelines."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr

from gogooku_kedro.market.blocks import assemble
from gogooku_kedro.params import FeaturesParams, GraphParams, IngestionParams, LabelsParams
from gogooku_kedro.pipelines.features import nodes as features_nodes
from gogooku_kedro.pipelines.graph import nodes as graph_nodes
from gogooku_kedro.pipelines.ingestion import nodes as ingestion_nodes

EVENT_TABLES = ("statements", "investor_flows", "margin_balances")
TABLES = ("bars", "listed_issues", "market_index", *EVENT_TABLES)


class Data(NamedTuple):
    """Everything before training; `candidates` is the manifest before the checks."""

    panel: xr.Dataset
    events: xr.Dataset
    edges: pd.DataFrame
    neighbour_panel: xr.Dataset
    raw_features: xr.Dataset
    candidates: dict[str, Any]
    labels: xr.Dataset


def data_flow(
    tables: Mapping[str, pd.DataFrame],
    ingestion: IngestionParams,
    features: FeaturesParams,
    graph: GraphParams,
    labels: LabelsParams,
) -> Data:
    """Run the stages ingestion, graph and features up to the checks."""
    bars, _ = ingestion_nodes.standardise_bars(tables["bars"], tables["listed_issues"], ingestion)
    panel = ingestion_nodes.build_panel(bars, tables["market_index"], ingestion)
    events = ingestion_nodes.build_events(panel, *(tables[name] for name in EVENT_TABLES))
    edges = graph_nodes.build_graph(panel, graph)
    neighbour_panel = graph_nodes.build_neighbour_panel(panel, edges)
    market = (panel, neighbour_panel, events, features)
    raw = assemble(features_nodes.compute_features(*market))
    candidates = features_nodes.describe_features(*market)
    return Data(panel, events, edges, neighbour_panel, raw, candidates, features_nodes.make_labels(panel, labels))


def normalised(data: Data, manifest: dict[str, Any], features: FeaturesParams) -> xr.Dataset:
    """Normalise the features that the manifest keeps."""
    return assemble(features_nodes.normalise_features(data.raw_features, data.panel, manifest, features))
