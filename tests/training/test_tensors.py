"""The market as tensors: chunks, graphs in force, fingerprints."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.labels.split import split_mask, split_sessions
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training import MarketTensors, market_tensors
from gogooku_kedro.training.data import DayChunks, cut_days, steps_per_epoch
from gogooku_kedro.training.graph_tensors import existing
from gogooku_kedro.training.module import CrossSectionModule
from tests.training import conftest as tiny
from tests.training.conftest import ATTRIBUTES, CHANNELS, FEATURES, SESSIONS, STOCKS, tables, training_params

AHEAD = 20


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
    edge_index, edge_attr = existing(*market.graph.edges(19, market.present[19:21]), n_nodes=2 * STOCKS)
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
    edge_index, edge_attr = existing(*market.graph.edges(3, market.present[3:6]), n_nodes=3 * STOCKS)
    assert (edge_index // STOCKS == 2).all()  # only the third day, session 5, has a graph
    assert edge_attr.size(1) == len(ATTRIBUTES)


def test_sessions_that_do_not_count_need_no_room_for_their_edges():
    features, labels, edges = tables()
    fewer = edges["asof"] == edges["asof"].min()
    market = market_tensors(features, labels, edges[~(fewer & (fewer.cumsum() <= 3))], ATTRIBUTES)
    most = market.graph.most_edges(0, 30)
    assert most < market.graph.most_edges(30, 60)
    chunk = market.chunk(28, 4, 3, counted=2, edges=most)  # the next part begins with more edges
    nodes = existing(chunk.edge_index, chunk.edge_attr, 4 * STOCKS)[0]
    assert set((nodes // STOCKS).flatten().tolist()) == {0, 1}


def test_a_list_of_edges_has_a_constant_length_and_is_never_cut():
    features, labels, edges = tables()
    fewer = edges["asof"] == edges["asof"].max()
    edges = edges[~(fewer & (fewer.cumsum() <= 3))]  # the second graph, in force from session 30 on
    market = market_tensors(features, labels, edges, ATTRIBUTES)
    graph, most = market.graph, 2 * STOCKS
    assert graph.edges_of_day[[4, 5, 29, 30]].tolist() == [0, most, most, most - 3]
    assert (graph.most_edges(0, 30), graph.most_edges(30, 60), graph.most_edges(0, 5)) == (most, most - 3, 0)
    present = market.present[28:32]
    short = existing(*graph.edges(28, present), n_nodes=4 * STOCKS)
    edge_index, edge_attr = graph.edges(28, present, most + 5)
    assert edge_index.shape == (2, 4 * (most + 5))
    for ours, theirs in zip(existing(edge_index, edge_attr, 4 * STOCKS), short, strict=True):
        assert ours.equal(theirs)
    filling = edge_index[1] == 4 * STOCKS
    assert filling.view(4, -1).sum(dim=1).tolist() == [5, 5, 8, 8]
    assert (edge_index[0, filling] == 4 * STOCKS).all()
    assert (edge_attr[filling] == 0).all()
    assert graph.edges(30, market.present[30:31], most - 3)[0].size(1) == most - 3
    with pytest.raises(
        ValueError, match=f"a session from 28 on has {most} edges, and its list has room for {most - 3}"
    ):
        graph.edges(28, present, most - 3)


def test_the_chunks_of_a_part_have_one_shape_and_the_days_that_fill_them_are_empty(market, model):
    cuts = [(12, 2), (14, 5), (19, 3)]
    chunks = list(DayChunks(market, cuts, 5, model.window, (12, 22)))
    shapes = [[value.shape for value in chunk if isinstance(value, torch.Tensor)] for chunk in chunks]
    assert shapes[0] == shapes[1] == shapes[2]
    assert [chunk.days for chunk in chunks] == [2, 5, 3]
    short, steps = chunks[0], model.window - 1 + 2
    assert short.x[:steps].equal(market.x[14 - steps : 14])
    assert (short.x[steps:] == 0).all()
    assert not short.present[steps:].any()
    assert short.levels[steps:].isnan().all()
    assert short.target[2:].isnan().all()
    torch.testing.assert_close(short.levels_ahead[: AHEAD + 1], market.levels[13 : 14 + AHEAD], equal_nan=True)
    assert short.levels_ahead[AHEAD + 1 :].isnan().all()
    exact = market.chunk(12, 2, model.window)
    in_short = existing(short.edge_index, short.edge_attr, 5 * STOCKS)
    for ours, theirs in zip(in_short, existing(exact.edge_index, exact.edge_attr, 2 * STOCKS), strict=True):
        assert ours.equal(theirs)


def test_empty_days_change_neither_the_loss_nor_its_gradient(market, model, tmp_path):
    module = CrossSectionModule(
        ATFTGATFAN(model, FEATURES, CHANNELS, n_context=0), model, training_params(tmp_path), 1
    ).double()
    module.eval()
    results = []
    for chunk in (market.chunk(12, 2, model.window), market.chunk(12, 5, model.window, counted=2)):
        doubles = {name: getattr(chunk, name).double() for name in ("x", "levels", "context", "edge_attr")}
        module.zero_grad()
        output = module(chunk._replace(**doubles))
        terms = module.loss_terms(output, chunk)
        torch.stack(list(terms.values())).sum().backward()
        gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        results.append((output.score[:2], terms, gradients))
    (score, terms, gradients), (padded_score, padded_terms, padded_gradients) = results
    torch.testing.assert_close(padded_score, score, rtol=1e-10, atol=1e-12)
    assert {"mse", "ic", "quantile", "fan", "san", "gat_entropy", "gat_edge"} <= terms.keys()
    torch.testing.assert_close(padded_terms, terms, rtol=1e-5, atol=1e-7)  # losses are float32
    torch.testing.assert_close(padded_gradients, gradients, rtol=1e-4, atol=1e-7)


def test_a_chunk_holds_the_window_before_its_first_day(market):
    chunk = market.chunk(first_day=10, days=3, window=6)
    torch.testing.assert_close(chunk.x, market.x[5:13])
    torch.testing.assert_close(chunk.target, market.target[10:13], equal_nan=True)
    with pytest.raises(ValueError, match="first usable day is 5"):
        market.chunk(first_day=4, days=3, window=6)


def test_every_day_of_a_chunk_hears_the_graph_of_its_own_day(market):
    """Until session 29 a stock hears the first one before it, from 30 on the second."""
    chunk = market.chunk(first_day=28, days=4, window=6)
    source, target = (ends[chunk.edge_attr[:, 3] == 0] for ends in chunk.edge_index)
    day, step = target // STOCKS, (target - source) % STOCKS
    assert day.bincount().tolist() == [STOCKS] * 4
    assert [step[day == d].unique().tolist() for d in range(4)] == [[1], [1], [2], [2]]
    whole_window_before = market.chunk(first_day=30, days=2, window=6)
    source, target = (ends[whole_window_before.edge_attr[:, 3] == 0] for ends in whole_window_before.edge_index)
    assert ((target - source) % STOCKS == 2).all()


def test_days_after_the_last_session_are_absent():
    market = with_context()
    chunk = market.chunk(first_day=58, days=4, window=6)
    assert [len(t) for t in (chunk.x, chunk.present, chunk.levels, chunk.context)] == [9] * 4
    assert not chunk.present[-2:].any()
    assert (chunk.context[-2:] == 0).all()
    assert (chunk.context[-3] != 0).all()
    assert chunk.levels_ahead.shape == (4 + AHEAD - 1, STOCKS, CHANNELS)
    torch.testing.assert_close(chunk.levels_ahead[:1], market.levels[59:])
    assert chunk.levels_ahead[1:].isnan().all()


def test_levels_ahead_begin_after_the_first_day_and_end_20_sessions_after_the_last(market):
    chunk = market.chunk(first_day=10, days=3, window=6)
    torch.testing.assert_close(chunk.levels_ahead, market.levels[11 : 12 + AHEAD + 1])
    torch.testing.assert_close(chunk.levels, market.levels[5:13])


def test_no_level_ahead_of_a_training_day_lies_in_the_validation_part(monkeypatch):
    monkeypatch.setattr(tiny, "SESSIONS", 120)
    features, labels, edges = tables()
    market, dates = market_tensors(features, labels, edges, ATTRIBUTES), features.indexes["date"]
    split = split_sessions(
        dates,
        train_end=str(dates[32].date()),
        valid_end=str(dates[76].date()),
        purge_sessions=22,
        warmup=12,
        max_horizon=AHEAD,
        entry="next_open",
    )
    train, valid = (np.flatnonzero(split_mask(split, dates, part)) for part in ("train", "valid"))
    assert valid[0] - train[-1] == 23
    market.levels[valid[0] :] = torch.nan
    for first, days in cut_days(train[0], train[-1] + 1, 5, shift=2):
        assert market.chunk(first, days, window=6).levels_ahead.isfinite().all()


def test_levels_ahead_are_read_by_the_loss_and_by_nothing_else(model, tmp_path):
    market = with_context()
    network = ATFTGATFAN(model, FEATURES - 1, CHANNELS, n_context=1)
    module = CrossSectionModule(network, model, training_params(tmp_path), 1).eval()
    chunk = market.chunk(first_day=12, days=3, window=model.window)
    output = module(chunk)
    loss = module.loss_terms(output, chunk)
    for change in (chunk.levels_ahead + 1, torch.full_like(chunk.levels_ahead, torch.nan)):
        other = chunk._replace(levels_ahead=change)
        for before, after in zip(module(other)[:4], output[:4], strict=True):
            assert torch.equal(before, after)
        assert module.loss_terms(output, other)["fan"] != loss["fan"]
        assert module.loss_terms(output, other)["mse"] == loss["mse"]


def with_context() -> MarketTensors:
    features, labels, edges = tables()
    state = np.linspace(1, 2, SESSIONS, dtype=np.float32)
    features["x"][..., 1] = np.where(features["in_universe"], state[:, None], 0)
    return market_tensors(features, labels, edges, ATTRIBUTES, ["b"])


def test_every_tensor_of_a_market_and_of_its_chunks_has_one_layout_in_memory():
    """The last bit of a matrix product depends on strides, on some processors on the alignment too."""
    market = with_context()
    middle = market.chunk(first_day=21, days=4, window=6)
    end = market.chunk(first_day=58, days=4, window=6)  # two days beyond the last session
    for name in ("x", "present", "levels", "context", "target", "levels_ahead"):
        inside, padded = getattr(middle, name), getattr(end, name)
        assert inside.is_contiguous(), name
        assert inside.stride() == padded.stride(), name
        assert inside.data_ptr() % 64 == padded.data_ptr() % 64 == 0, name
    for name in ("x", "present", "levels", "context", "target"):
        assert getattr(market, name).is_contiguous(), name
    assert market.graph.edge_index.is_contiguous()
    assert market.graph.edge_attr.is_contiguous()
    features, labels, edges = tables()
    swapped = features.assign(x=features["x"].copy(data=np.asfortranarray(features["x"])))
    assert market_tensors(swapped, labels, edges, ATTRIBUTES).x.is_contiguous()


def test_a_tensor_in_another_layout_is_refused_by_name(market):
    feature_major = market.x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    with pytest.raises(ValueError, match=r"MarketTensors.x has strides \(20, 1, 1200\)"):
        replace(market, x=feature_major)
    with pytest.raises(ValueError, match=r"GraphTensors.edge_attr has strides"):
        replace(market, graph=replace(market.graph, edge_attr=market.graph.edge_attr.T.contiguous().T))


def test_features_of_the_market_as_a_whole_leave_x_and_become_the_context():
    features, labels, edges = tables()
    market = with_context()
    assert market.x.shape == (SESSIONS, STOCKS, FEATURES - 1)
    for position, name in enumerate("acd"):
        np.testing.assert_array_equal(market.x[..., position], features["x"].sel(feature=name))
    np.testing.assert_allclose(market.context[:, 0], np.linspace(1, 2, SESSIONS))
    without = market_tensors(features, labels, edges, ATTRIBUTES)
    assert without.context.shape == (SESSIONS, 0)
    np.testing.assert_array_equal(without.x, features["x"])


def test_the_context_is_that_of_the_first_member_and_zero_without_members():
    features, labels, edges = tables()
    features["in_universe"][7, :3] = False
    features["in_universe"][8] = False
    features["x"][:, :, 2] = 0.5
    features["x"][7, :3, 2] = 9.0  # not members
    context = market_tensors(features, labels, edges, ATTRIBUTES, ["c"]).context
    assert context[6:10, 0].tolist() == [0.5, 0.5, 0.0, 0.5]


def test_the_context_keeps_the_order_of_its_names():
    features, labels, edges = tables()
    features["x"][..., 1], features["x"][..., 3] = 1.0, 3.0
    market = market_tensors(features, labels, edges, ATTRIBUTES, ["d", "b"])
    assert market.context[0].tolist() == [3.0, 1.0]
    assert market.x.size(-1) == 2


def test_a_context_that_differs_between_stocks_or_is_not_there_is_an_error():
    features, labels, edges = tables()
    with pytest.raises(ValueError, match=r"\['a', 'c'\] differ between the stocks of a date"):
        market_tensors(features, labels, edges, ATTRIBUTES, ["a", "c"])
    with pytest.raises(ValueError, match=r"\['breadth'\] are not among the features"):
        market_tensors(features, labels, edges, ATTRIBUTES, ["breadth"])


def test_the_fingerprint_sees_every_number():
    features, labels, edges = tables()
    before = market_tensors(features, labels, edges, ATTRIBUTES).fingerprint()
    assert market_tensors(*tables(), ATTRIBUTES).fingerprint() == before
    features["x"][7, 3, 1] += 1e-6
    assert market_tensors(features, labels, edges, ATTRIBUTES).fingerprint() != before
    market = with_context()
    before_context = market.fingerprint()
    market.context[5, 0] += 1e-6
    assert market.fingerprint() != before_context
    border = market.graph.offset.clone()
    border[1] -= 1  # the last edge of the first graph belongs to the second
    assert replace(market, graph=replace(market.graph, offset=border)).fingerprint() != market.fingerprint()
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
