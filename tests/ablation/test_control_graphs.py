"""Graphs that know nothing: same stocks, as many edges, but who hears whom is not the market's."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.ablation.control_graphs import control_graph, mean_graph, permuted_graph
from gogooku_kedro.training.graph_tensors import graph_tensors

ATTRIBUTES = ["correlation", "same_sector", "is_self"]
FIRST, SECOND = pd.Timestamp("2024-01-04"), pd.Timestamp("2024-02-01")
# source, target, correlation: a star around 1 with a tail, 8 edges between six stocks.
PAIRS = [("1", "2"), ("1", "3"), ("1", "4"), ("2", "1"), ("3", "1"), ("4", "5"), ("5", "4"), ("5", "6")]


def edges_of(asof: pd.Timestamp, pairs: list[tuple[str, str]] = PAIRS, codes: str = "123456") -> pd.DataFrame:
    table = pd.DataFrame([*pairs, *((code, code) for code in codes)], columns=["source", "target"])
    own = table["source"] == table["target"]
    table["correlation"] = np.where(own, 1.0, 0.3 + 0.01 * table.index).astype(np.float32)
    table["same_sector"] = np.where(own, 1.0, table.index % 2).astype(np.float32)
    return table.assign(asof=asof, is_self=own.astype(np.float32))


@pytest.fixture
def edges() -> pd.DataFrame:
    return pd.concat([edges_of(FIRST), edges_of(SECOND)], ignore_index=True)


def between(edges: pd.DataFrame) -> pd.DataFrame:
    return edges[edges["source"] != edges["target"]]


def test_as_is_is_the_graph_itself(edges):
    assert control_graph(edges, "as_is", 1) is edges


def test_identity_leaves_every_stock_to_itself(edges):
    own = control_graph(edges, "identity", 1)
    assert (own["source"] == own["target"]).all()
    assert own.groupby("asof")["source"].apply(set).tolist() == [set("123456")] * 2
    assert (own["is_self"] == 1).all()


def test_permuted_is_the_same_graph_between_other_stocks(edges):
    other = control_graph(edges, "permuted", 1)
    for asof, here in edges.groupby("asof"):
        there = other[other["asof"] == asof]
        graphs = [nx.from_pandas_edgelist(t, edge_attr=ATTRIBUTES, create_using=nx.DiGraph) for t in (here, there)]
        same = nx.isomorphism.numerical_edge_match(ATTRIBUTES, [0.0] * 3)
        assert nx.is_isomorphic(*graphs, edge_match=same)
        assert set(there["target"]) == set("123456")
    assert (other.loc[other["is_self"] == 1, "source"] == other.loc[other["is_self"] == 1, "target"]).all()
    pd.testing.assert_frame_equal(other[["asof", *ATTRIBUTES]], edges[["asof", *ATTRIBUTES]])


def test_no_stock_keeps_its_place(edges):
    for seed in range(5):
        other = permuted_graph(edges, seed)
        own = edges["is_self"] == 1
        assert (other.loc[own, "source"] != edges.loc[own, "source"]).all()


def test_a_permuted_graph_stays_as_long_as_the_graph_does(edges):
    other = permuted_graph(edges, 1)
    one, two = (other[other["asof"] == asof].drop(columns="asof") for asof in (FIRST, SECOND))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))


def test_a_stock_that_comes_moves_only_the_one_before_it():
    pair = [edges_of(FIRST, PAIRS), edges_of(SECOND, [*PAIRS, ("7", "1")], "1234567")]
    edges = pd.concat(pair, ignore_index=True)
    other = permuted_graph(edges, 1)
    own = edges["is_self"] == 1
    renamed = [
        dict(zip(edges.loc[rows, "source"], other.loc[rows, "source"], strict=True))
        for rows in (own & (edges["asof"] == asof) for asof in (FIRST, SECOND))
    ]
    assert sum(renamed[0][code] != renamed[1][code] for code in renamed[0]) == 1


def test_another_seed_is_another_permutation(edges):
    one, two = permuted_graph(edges, 1), permuted_graph(edges, 2)
    assert (one["source"] != two["source"]).any()


def test_mean_lets_all_stocks_hear_the_same_stocks(edges):
    market = control_graph(edges, "mean", 1)
    for _, here in between(market).groupby("asof"):
        heard = set(here["source"])
        assert len(heard) == round(len(PAIRS) / 6) == 1
        for code in "123456":
            assert set(here.loc[here["target"] == code, "source"]) == heard - {code}
    own = market[market["source"] == market["target"]]
    assert own.groupby("asof").size().tolist() == [6, 6]


def test_mean_tells_no_edge_from_another(edges):
    market = mean_graph(edges, 1)
    assert (between(market)[ATTRIBUTES] == 0).all(axis=None)
    assert market.dtypes.to_dict() == edges.dtypes.to_dict()
    assert list(market) == list(edges)


def test_mean_draws_other_stocks_for_every_date():
    dates = pd.bdate_range("2024-01-04", periods=30)
    market = mean_graph(pd.concat([edges_of(date) for date in dates], ignore_index=True), 1)
    assert set(between(market)["source"]) == set("123456")


@pytest.mark.parametrize("kind", ["as_is", "identity", "permuted", "mean"])
def test_a_control_of_a_date_knows_no_later_date(edges, kind):
    later = edges_of(SECOND, [("6", "1"), ("8", "2")], "123568")
    changed = pd.concat([edges_of(FIRST), later], ignore_index=True)
    one, two = (control_graph(table, kind, 1) for table in (edges, changed))
    first = [t[t["asof"] == FIRST].reset_index(drop=True) for t in (one, two)]
    pd.testing.assert_frame_equal(*first)


@pytest.mark.parametrize("kind", ["identity", "permuted", "mean"])
def test_a_control_reaches_the_network_with_the_attributes_it_reads(edges, kind):
    dates = pd.DatetimeIndex([FIRST, SECOND])
    control = control_graph(edges, kind, 1)
    graph = graph_tensors(control, dates, pd.Index(list("123456")), ("correlation", "is_self"))
    assert graph.edge_attr.shape == (len(control), 2)
    assert graph.graph_of_day.tolist() == [0, 1]
