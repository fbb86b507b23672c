"""The stage `graph`: what its nodes write and say."""

import logging

import pandas as pd
import pytest

from gogooku_kedro.pipelines.graph import nodes
from gogooku_kedro.schemas import GraphEdges
from tests.graph.conftest import graph_params

LEAD_LAG = {"enabled": True, "fdr": 0.9, "k": 2}
WIDE = {"degree_min": 0, "degree_max": 12, "isolates_max": 1}
NARROW = {"degree_min": 4, "degree_max": 12, "isolates_max": 0.5}


def test_edges_of_every_type_pass_the_schema_and_survive_parquet(clustered, tmp_path):
    params = graph_params(join="union", sector_nearest=2, lead_lag=LEAD_LAG)
    edges = nodes.build_graph(clustered, params)
    edges.to_parquet(tmp_path / "edges.parquet")
    GraphEdges.validate(pd.read_parquet(tmp_path / "edges.parquet"), lazy=True)


def test_a_folder_for_the_cache_is_used(clustered, tmp_path):
    params = graph_params(cache_dir=str(tmp_path / "graphs"))
    edges = nodes.build_graph(clustered, params)
    assert len(list((tmp_path / "graphs").iterdir())) == edges["asof"].nunique() == 5
    pd.testing.assert_frame_equal(nodes.build_graph(clustered, params), edges, check_exact=True)


@pytest.mark.parametrize(("checks", "failing"), [(WIDE, 0), (NARROW, 5)])
def test_graphs_outside_the_checks_are_flagged_and_told_once(clustered, caplog, checks, failing):
    caplog.set_level(logging.WARNING)
    params = graph_params(checks=checks)  # three sources each
    statistics = nodes.summarise_graph(nodes.build_graph(clustered, params), params)
    assert statistics["fails_degree_min"].sum() == failing
    assert not statistics[["fails_degree_max", "fails_isolates_max"]].any(axis=None)
    assert str(statistics["asof"].dtype) == "datetime64[ns]"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (failing > 0)
    assert all(line.startswith("of 5 graphs 5 fail graph.checks.degree_min (worst 2021-") for line in said)
