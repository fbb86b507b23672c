"""The market as tensors: chunks, graphs in force, fingerprints."""

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.training import market_tensors
from gogooku_kedro.training.data import cut_days, steps_per_epoch
from tests.training.conftest import ATTRIBUTES, STOCKS, tables


def test_targets_are_gaussian_ranks_of_members_and_missing_labels_stay_missing(market):
    known = ~market.target[21, :, 0].isnan()
    assert known.tolist() == [stock != 3 for stock in range(STOCKS)]
    assert market.target[-5:].isnan().all()
    assert market.target[10, :, 0].mean().item() == pytest.approx(0, abs=1e-6)


def test_training_ranks_the_target_whatever_the_return_is():
    features, labels, edges = tables()
    before = market_tensors(features, labels, edges, ATTRIBUTES)
    measured = market_tensors(features, labels.assign(ret=-labels["ret"]), edges, ATTRIBUTES)
    learned = market_tensors(features, labels.assign(target=-labels["target"]), edges, ATTRIBUTES)
    torch.testing.assert_close(measured.target, before.target, equal_nan=True)
    torch.testing.assert_close(learned.target, -before.target, equal_nan=True, atol=1e-5, rtol=0)
    assert measured.fingerprint() == before.fingerprint() != learned.fingerprint()


def test_a_day_uses_the_last_graph_not_after_it(market):
    graph = market.graph.graph_of_day
    assert graph[4] == -1
    assert graph[5] == 0
    assert graph[29] == 0
    assert graph[30] == 1


def test_edges_of_a_chunk_are_block_diagonal_and_leave_absent_stocks_out(market):
    edge_index, edge_attr = market.graph.edges(19, market.present[19:21])
    day_of_edge = edge_index // STOCKS
    assert (day_of_edge[0] == day_of_edge[1]).all()
    first = edge_index[:, day_of_edge[0] == 0]
    assert first.size(1) == 2 * STOCKS
    second = edge_index[:, day_of_edge[0] == 1] - STOCKS
    assert second.size(1) == 2 * STOCKS - 3  # stock 3 is absent: its loop, what it hears, who hears it
    assert not (second == 3).any()
    own = edge_index[0] == edge_index[1]
    assert (edge_attr[own, 3] == 1).all()


def test_before_the_first_graph_there_are_no_edges(market):
    edge_index, edge_attr = market.graph.edges(3, market.present[3:6])
    assert (edge_index // STOCKS == 2).all()  # only the third day, session 5, has a graph
    assert edge_attr.size(1) == len(ATTRIBUTES)


def test_a_chunk_holds_the_window_before_its_first_day(market):
    chunk = market.chunk(first_day=10, days=3, window=6)
    torch.testing.assert_close(chunk.x, market.x[5:13])
    torch.testing.assert_close(chunk.target, market.target[10:13], equal_nan=True)
    with pytest.raises(ValueError, match="first usable day is 5"):
        market.chunk(first_day=4, days=3, window=6)


def test_days_after_the_last_session_are_absent(market):
    chunk = market.chunk(first_day=58, days=4, window=6)
    assert chunk.x.size(0) == 9
    assert not chunk.present[-2:].any()


def test_the_fingerprint_sees_every_number():
    features, labels, edges = tables()
    before = market_tensors(features, labels, edges, ATTRIBUTES).fingerprint()
    assert market_tensors(*tables(), ATTRIBUTES).fingerprint() == before
    features["x"][7, 3, 1] += 1e-6
    assert market_tensors(features, labels, edges, ATTRIBUTES).fingerprint() != before
    edges.loc[edges.index[3], "correlation"] += 1e-6
    assert market_tensors(*tables()[:2], edges, ATTRIBUTES).fingerprint() != before


def test_labels_of_other_sessions_are_refused():
    features, labels, edges = tables()
    with pytest.raises(ValueError, match="disagree along 'date'"):
        market_tensors(features, labels.isel(date=slice(1, None)), edges, ATTRIBUTES)


def test_a_missing_edge_attribute_names_the_setting():
    with pytest.raises(ValueError, match=r"model.gat.edge_attributes: \['size_ratio'\] not in"):
        market_tensors(*tables(), ("correlation", "size_ratio"))


def test_edges_of_unknown_stocks_are_left_out():
    features, labels, edges = tables()
    edges = pd.concat([edges, edges.iloc[:1].assign(source="99990")])
    tensors = market_tensors(features, labels, edges, ATTRIBUTES)
    assert tensors.graph.edge_index.size(1) == 4 * STOCKS


@pytest.mark.parametrize("shift", range(5))
def test_every_training_day_lies_in_exactly_one_chunk(shift):
    cuts = cut_days(12, 40, 5, shift)
    days = np.concatenate([np.arange(first, first + length) for first, length in cuts])
    assert days.tolist() == list(range(12, 40))
    assert max(length for _, length in cuts) <= 5
    assert len(cuts) <= steps_per_epoch(12, 40, 5)
