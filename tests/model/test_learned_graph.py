"""The graph learned from the states: which edges it adds, what trains it, and that it finds groups."""

import math

import pytest
import torch
from torch import nn

from gogooku_kedro.model.gat import GraphBlock
from gogooku_kedro.model.learned_graph import LearnedGraph, edge_products, similarity_penalty

DAYS, STOCKS, WIDTH, K = 3, 7, 6, 2
PAIRS = [(1, 0), (3, 2), (2, 2)]  # (source, target) of the first day, in the market's graph


def example():
    torch.manual_seed(0)
    graph = LearnedGraph(WIDTH, K, perspectives=2)
    h = torch.randn(DAYS, STOCKS, WIDTH)
    present = torch.ones(DAYS, STOCKS, dtype=torch.bool)
    present[1, 3] = False
    return graph, h, present, torch.tensor(PAIRS).T, torch.rand(len(PAIRS), 2)


def existing(edge_index, attributes):
    """The edges there are; the others of a list of constant length go from the padding node to itself."""
    exists = edge_index[1] < DAYS * STOCKS
    assert (edge_index[:, ~exists] == DAYS * STOCKS).all()
    assert (attributes[~exists] == 0).all()
    return edge_index[:, exists], attributes[exists]


def cosine(graph, a, b):
    """Mean over perspectives, number by number."""
    cosines = []
    for w in graph.perspective.detach():
        x, y = (w * a).tolist(), (w * b).tolist()
        product = sum(p * q for p, q in zip(x, y, strict=True))
        cosines.append(product / math.hypot(*x) / math.hypot(*y))
    return sum(cosines) / len(cosines)


def picks_by_hand(graph, h, present):
    picks = set()
    for day in range(DAYS):
        for i in range(STOCKS):
            others = [j for j in range(STOCKS) if j != i and present[day, j] and present[day, i]]
            others.sort(key=lambda j: -cosine(graph, h[day, i], h[day, j]))
            picks |= {(day * STOCKS + j, day * STOCKS + i) for j in others[:K]}
    return picks


def test_the_most_similar_present_stocks_of_the_date_are_picked():
    graph, h, present, edge_index, edge_attr = example()
    joined, attributes, _ = graph(h, present, edge_index, edge_attr)
    assert joined.size(1) == len(PAIRS) + DAYS * STOCKS * K
    joined, attributes = existing(joined, attributes)
    edges = [tuple(edge) for edge in joined.T.tolist()]
    picks = picks_by_hand(graph, h, present)
    assert len(set(edges)) == len(edges), "an edge stands twice"
    assert set(edges) == picks | set(PAIRS)
    marked = {edge for edge, is_learned in zip(edges, attributes[:, 3].tolist(), strict=True) if is_learned}
    assert marked == picks


def test_old_edges_keep_their_attributes_and_new_ones_have_none_but_similarity():
    graph, h, present, edge_index, edge_attr = example()
    joined, attributes = existing(*graph(h, present, edge_index, edge_attr)[:2])
    assert joined[:, :3].equal(edge_index)
    assert attributes[:3, :2].equal(edge_attr)
    assert (attributes[3:, :2] == 0).all()
    states = h.flatten(0, 1)
    by_hand = [cosine(graph, states[j], states[i]) for j, i in joined.T.tolist()]
    assert attributes[:, 2].tolist() == pytest.approx(by_hand, abs=1e-5)
    assert attributes[2, 2].item() == pytest.approx(1.0)  # a self loop
    assert attributes[2, 3] == 0


def test_an_absent_stock_is_nobodys_neighbour():
    graph, h, present, edge_index, edge_attr = example()
    absent = 1 * STOCKS + 3
    joined, _, _ = graph(h, present, edge_index, edge_attr)
    assert absent not in joined
    everybody, _, _ = graph(h, torch.ones_like(present), edge_index, edge_attr)
    assert absent in everybody[1]


def test_small_cross_sections_have_as_many_picks_as_they_can():
    graph, h, present, _, _ = example()
    nothing = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 2)
    two = torch.zeros_like(present)
    two[0, :2] = True
    joined, attributes, penalty = graph(h, two, *nothing)
    joined, _ = existing(joined, attributes)
    assert sorted(joined.T.tolist()) == [[0, 1], [1, 0]]
    assert penalty.isfinite()
    joined, attributes, penalty = graph(h[:, :1], present[:, :1], *nothing)
    assert joined.shape == (2, 0)
    assert attributes.shape == (0, 4)
    assert penalty == 0


def test_a_date_does_not_depend_on_the_others():
    graph, h, present, edge_index, edge_attr = example()
    together, attributes = existing(*graph(h, present, edge_index, edge_attr)[:2])
    for day in (1, 2):
        alone, its_attributes, _ = graph(h[day:][:1], present[day:][:1], edge_index[:, :0], edge_attr[:0])
        exists = alone[1] < STOCKS
        alone, its_attributes = alone[:, exists], its_attributes[exists]
        on_day = together[1] // STOCKS == day
        assert (alone + day * STOCKS).equal(together[:, on_day])
        torch.testing.assert_close(its_attributes, attributes[on_day])


def test_similarity_has_a_gradient_though_the_choice_has_none():
    graph, h, present, edge_index, edge_attr = example()
    h.requires_grad_()
    _, attributes, _ = graph(h, present, edge_index, edge_attr)
    (attributes[:, 2] * torch.randn(len(attributes))).sum().backward()
    assert (graph.perspective.grad.abs() > 0).all()
    assert (h.grad[0].abs() > 0).all()


def test_the_regulariser_trains_the_perspectives_and_not_the_states():
    graph, h, present, edge_index, edge_attr = example()
    h.requires_grad_()
    graph(h, present, edge_index, edge_attr)[2].backward()
    assert (graph.perspective.grad.abs() > 0).all()
    assert h.grad is None


def test_the_regulariser_by_hand():
    # Two channels. Stock 0 hears 1 (a = 3/4) and 2 (a = 1/2), stock 1 hears 0 (a = 1). No self loop.
    h = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]])
    edge_index = torch.tensor([[1, 2, 0, 0], [0, 0, 1, 0]])
    similarity = torch.tensor([0.5, 0.0, 1.0, 1.0])
    smooth = (0.75 * 2 + 0.5 * 4 + 1.0 * 2) / 3 / (2 * 2)
    connected = -(math.log((0.75 + 0.5) / 2) + math.log(1.0)) / 2
    sparse = (0.75**2 + 0.5**2 + 1.0) / 3
    penalty = similarity_penalty(similarity, h, edge_index)
    assert penalty.item() == pytest.approx(smooth + connected + sparse)
    assert similarity_penalty(similarity[3:], h, edge_index[:, 3:]) == 0


def test_products_of_edges_in_any_order():
    torch.manual_seed(0)
    states = torch.randn(DAYS, STOCKS, WIDTH)
    day = torch.tensor([2, 0, 0, 2, 0])
    edge_index = torch.randint(STOCKS, (2, 5)) + day * STOCKS
    source, target = states.flatten(0, 1)[edge_index]
    torch.testing.assert_close(edge_products(states, edge_index), (source * target).sum(dim=-1))


@pytest.mark.parametrize("block", [1, 2 * WIDTH, 1000])
def test_products_of_edges_have_the_gradient_of_the_formula_whatever_the_blocks(block, monkeypatch):
    monkeypatch.setattr("gogooku_kedro.model.learned_graph.BLOCK_ELEMENTS", block)
    states = torch.randn(DAYS, STOCKS, WIDTH, dtype=torch.float64, requires_grad=True)
    edge_index = torch.tensor([[0, 1, 2, 2, 8, 9], [1, 0, 2, 0, 9, 8]])
    assert torch.autograd.gradcheck(lambda s: edge_products(s, edge_index), (states,))
    assert edge_products(states, edge_index[:, :0]).shape == (0,)


GROUPS, SIZE = 8, 5


def grouped_market(generator, days=4):
    """States of 40 stocks: 4 channels of their group, a value of their own, 11 of noise; label: mean value.

    The groups' channels are drawn anew for every date: no state can be learned by heart, only what
    universe_mask looks like.
    """
    group = torch.arange(GROUPS).repeat_interleave(SIZE)
    universe_mask = torch.randn(days, GROUPS, 4, generator=generator)[:, group]
    universe_mask = universe_mask + 0.1 * torch.randn(days, len(group), 4, generator=generator)
    value = torch.randn(days, len(group), 1, generator=generator)
    noise = torch.randn(days, len(group), 11, generator=generator)
    label = value.unflatten(1, (GROUPS, SIZE)).mean(dim=2)[:, group]
    return torch.cat([universe_mask, value, noise], dim=-1), label, group


def test_the_task_teaches_the_graph_to_find_the_groups():
    torch.manual_seed(0)
    learned = LearnedGraph(16, k=SIZE - 1, perspectives=2)
    block = GraphBlock("gatv2", 16, 1, 2, ("correlation", "is_self"), 0.0, True, True, None, learned)
    head = nn.Linear(16, 1)
    nn.init.zeros_(head.weight)
    nodes = torch.arange(4 * GROUPS * SIZE)
    loops, attributes = torch.stack([nodes, nodes]), torch.ones(len(nodes), 2)
    present = torch.ones(4, GROUPS * SIZE, dtype=torch.bool)

    def hear(seed):
        h, label, group = grouped_market(torch.Generator().manual_seed(seed))
        message, attention = block(h, present, loops, attributes)
        source, target = attention.edge_index[:, ~attention.is_self] % len(group)
        in_group = (group[source] == group[target]).float().mean().item()
        return (head(message) - label).square().mean(), label.square().mean(), in_group, attention

    *_, at_first, _ = hear(seed=10_000)
    optimizer = torch.optim.Adam([*block.parameters(), *head.parameters()], lr=0.02)
    for step in range(250):
        loss, _, _, attention = hear(seed=step)
        optimizer.zero_grad()
        (loss + 0.001 * attention.similarity_penalty).backward()
        optimizer.step()
    error, variance, in_the_end, _ = hear(seed=10_000)
    assert at_first < 0.5
    assert in_the_end > 0.8
    # Its own value alone explains a fifth of the mean of five: what is left then is 0.8.
    assert error / variance < 0.4
