"""Every convolution with every option of the graph: information flows along its edges and nowhere else."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from gogooku_kedro.model import AttentionEntropy
from gogooku_kedro.training.losses import edge_weight_penalty, entropy_penalty
from tests.model.conftest import build, ring_edges

DAYS, STOCKS, WIDTH, HOPS = 2, 14, 8, 2
ABSENT = 5  # on the first day
DIFFUSION = {"diffusion": {"enabled": True, "hops": HOPS, "restart": 0.2}}
LEARNED = {"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}}
CONVS = ("gat", "gatv2", "sage", "gin", "transformer")
OPTIONS = {
    "plain": {},
    "two layers": {"layers": 2},
    "diffusion": DIFFUSION,
    "learned": LEARNED,
    "no difference": {"difference": False},
    "no neutralisation": {"neutralise_scores": False},
    "everything": {"layers": 2} | DIFFUSION | LEARNED,
}
VARIANTS = {f"{conv}, {name}": {"conv": conv} | option for conv in CONVS for name, option in OPTIONS.items()} | {
    "gatv2, attention alone": {"conv": "gatv2", "difference": False, "neutralise_scores": False}
}
variants = pytest.mark.parametrize("gat", VARIANTS.values(), ids=VARIANTS.keys())


class States(NamedTuple):
    hidden: Tensor
    present: Tensor
    edge_index: Tensor
    edge_attr: Tensor


@pytest.fixture
def states() -> States:
    """Two days of fourteen stocks on a ring, one of them absent on the first day and so without edges."""
    hidden = torch.randn(DAYS, STOCKS, WIDTH, generator=torch.Generator().manual_seed(3))
    present = torch.ones(DAYS, STOCKS, dtype=torch.bool)
    present[0, ABSENT] = False
    edge_index, edge_attr = ring_edges(DAYS, STOCKS)
    kept = (edge_index != ABSENT).all(dim=0)
    return States(hidden, present, edge_index[:, kept], edge_attr[kept])


def task_loss(score, quantiles):
    generator = torch.Generator().manual_seed(1)
    return sum((v * torch.randn(v.shape, generator=generator)).sum() for v in (score, quantiles))


def dead_parameters(model):
    return [
        name
        for name, p in model.named_parameters()
        if name.startswith(("gat", "neutralise")) and (p.grad is None or p.grad.abs().max() <= 1e-5)
    ]


@variants
def test_the_task_alone_reaches_every_parameter_of_the_graph(gat, states):
    model = build(gat=gat).train()
    score, quantiles, _ = model.rank(*states)
    task_loss(score, quantiles).backward()
    assert dead_parameters(model) == []


@variants
def test_no_module_of_the_graph_is_built_or_replaced_in_forward(gat, states, monkeypatch):
    model = build(gat=gat).train()
    before = {name: id(p) for name, p in model.named_parameters()}

    def refuse(self, *args, **kwargs):
        raise AssertionError(f"{type(self).__name__} built in forward")

    monkeypatch.setattr(nn.Module, "__init__", refuse)
    task_loss(*model.rank(*states)[:2]).backward()
    assert {name: id(p) for name, p in model.named_parameters()} == before


def existing(graph):
    """Edges used; the others of a list of constant length go from the padding node to itself."""
    return graph.edge_index[:, graph.edge_index[1] < DAYS * STOCKS]


def reach(gat, graph, node):
    """Nodes that a score may depend on: along the edges used."""
    hears = torch.eye(DAYS * STOCKS, dtype=torch.bool)
    source, target = existing(graph)
    hears[target, source] = True
    steps = gat.get("layers", 1) * (1 + HOPS * ("diffusion" in gat)) + gat.get("neutralise_scores", True)
    heard = torch.zeros(DAYS * STOCKS, dtype=torch.bool)
    heard[node] = True
    for _ in range(steps):
        heard = hears[heard].any(dim=0)
    return set(heard.nonzero().flatten().tolist())


@variants
@pytest.mark.parametrize(("day", "stock"), [(0, 0), (1, 9)])
def test_a_score_reacts_to_all_it_hears_and_to_nobody_else(gat, states, day, stock):
    hidden = states.hidden.clone().requires_grad_()
    score, _, graph = build(gat=gat).rank(*states._replace(hidden=hidden))
    score[day, stock].sum().backward()
    heard = (hidden.grad.abs().sum(dim=-1) > 0).flatten().nonzero().flatten().tolist()
    assert set(heard) == reach(gat, graph, day * STOCKS + stock)
    neighbours = {day * STOCKS + (stock + step) % STOCKS for step in (-1, 1)}
    assert neighbours <= set(heard)
    assert len(heard) < DAYS * STOCKS - 1


@variants
def test_renaming_the_stocks_renames_their_scores(gat, states):
    model = build(gat=gat)
    order = torch.randperm(STOCKS, generator=torch.Generator().manual_seed(5))
    position = torch.argsort(order)
    day, stock = states.edge_index // STOCKS, states.edge_index % STOCKS
    shuffled = torch.randperm(len(states.edge_attr), generator=torch.Generator().manual_seed(6))
    renamed = States(
        states.hidden[:, order],
        states.present[:, order],
        (day * STOCKS + position[stock])[:, shuffled],
        states.edge_attr[shuffled],
    )
    torch.testing.assert_close(model.rank(*renamed)[0], model.rank(*states)[0][:, order], rtol=1e-4, atol=1e-5)


@variants
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_attention_of_every_layer_and_head_sums_to_one(gat, states, training):
    model = build(gat=gat | {"edge_dropout": 0.5}).train(training)
    torch.manual_seed(0)
    _, _, graph = model.rank(*states)
    assert graph.alpha.size(1) == 2 * gat.get("layers", 1)
    total = torch.zeros(DAYS * STOCKS + 1, graph.alpha.size(1)).index_add_(0, graph.edge_index[1], graph.alpha)
    hears = torch.ones(DAYS * STOCKS)
    hears[ABSENT] = 0.0
    torch.testing.assert_close(total[:-1], hears.unsqueeze(1).expand_as(total[:-1]))
    of_market = graph.edge_index[:, : states.edge_index.size(1)]
    dropped = (of_market != states.edge_index).any()
    assert dropped == training
    assert (of_market[:, (of_market != states.edge_index).any(dim=0)] == DAYS * STOCKS).all()


@variants
def test_rewiring_the_graph_changes_the_scores(gat, states):
    model = build(gat=gat)
    day, stock = states.edge_index // STOCKS, states.edge_index % STOCKS
    rewired = states.edge_index.clone()
    rewired[0] = day[0] * STOCKS + (stock[0] + 3) % STOCKS
    before, after = model.rank(*states)[0], model.rank(*states._replace(edge_index=rewired))[0]
    assert ((before - after)[1].abs() > 1e-6).all()


@variants
def test_a_graph_without_edges_is_legal(gat, states):
    model = build(gat=gat).train()
    none = states._replace(edge_index=states.edge_index[:, :0], edge_attr=states.edge_attr[:0])
    score, quantiles, graph = model.rank(*none)
    assert score.isfinite().all()
    assert graph.similarity_penalty.isfinite()
    task_loss(score, quantiles).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@variants
def test_training_and_evaluation_take_the_same_path(gat, states):
    model = build(gat=gat)
    evaluated, trained = model.eval().rank(*states), model.train().rank(*states)
    assert trained[0].equal(evaluated[0])
    for ours, theirs in zip(trained[2], evaluated[2], strict=True):
        assert ours.equal(theirs)


@variants
def test_an_absent_stock_reaches_nobody(gat, states):
    model = build(gat=gat)
    hidden = states.hidden.clone()
    hidden[0, ABSENT] += 10.0
    changed = (model.rank(*states._replace(hidden=hidden))[0] - model.rank(*states)[0]).abs() > 0
    assert changed.any(dim=-1).nonzero().tolist() == [[0, ABSENT]]


@variants
def test_a_graph_that_is_switched_off_is_silence_and_keeps_its_parameters(gat, states):
    model, no_graph = build(gat=gat), build(gat=gat | {"enabled": False})
    before, names = model.rank(*states)[0], model.state_dict().keys()
    shared = {name: value for name, value in model.state_dict().items() if name in no_graph.state_dict()}
    no_graph.load_state_dict(shared)
    model.graph_enabled = False
    for mode in (True, False):
        score, quantiles, graph = model.train(mode).rank(*states)
        assert graph is None
        assert score.equal(no_graph.rank(*states)[0])
        assert quantiles.equal(no_graph.rank(*states)[1])
    assert model.state_dict().keys() == names
    model.graph_enabled = True
    assert model.rank(*states)[0].equal(before)


@pytest.mark.parametrize("conv", CONVS)
def test_the_picks_of_a_learned_graph_are_heard(conv, states):
    gat = {"conv": conv, "neutralise_scores": False} | LEARNED
    hidden = states.hidden.clone().requires_grad_()
    score, _, graph = build(gat=gat).rank(*states._replace(hidden=hidden))
    new = existing(graph)[:, states.edge_index.size(1) :]
    assert graph.edge_index[:, : states.edge_index.size(1)].equal(states.edge_index)
    picks = new[0, new[1] == STOCKS + 9]
    assert 0 < len(picks) <= 2
    score[1, 9].sum().backward()
    assert (hidden.grad.flatten(0, 1)[picks].abs().sum(dim=-1) > 0).all()
    assert graph.similarity_penalty > 0


def test_the_sign_reaches_the_message_and_the_neutralised_score(states):
    """Attention and gate are made blind to the attributes: what is left is the sign itself."""
    flipped = states.edge_attr.clone()
    flipped[:, 0] = torch.where(flipped[:, 3] > 0, flipped[:, 0], -flipped[:, 0])
    for gat in ({"neutralise_scores": False}, {"difference": False}):
        model = build(gat=gat)
        with torch.no_grad():
            for name, parameter in model.gat.named_parameters():
                if "lin_edge" in name or "edge_gate" in name:
                    parameter.zero_()
        moved = model.rank(*states._replace(edge_attr=flipped))[0] - model.rank(*states)[0]
        assert (moved.abs()[1] > 1e-6).all()


ATTENTIVE = pytest.mark.parametrize("conv", ["gat", "gatv2", "transformer"])


def trained(states, conv, entropy_weight, edge_weight, steps=30):
    """A model whose attention starts sharp, after some steps on a task with penalties."""
    model = build(gat={"conv": conv}).train()
    with torch.no_grad():
        for name, parameter in model.gat.layers[0].conv.named_parameters():
            if name.split(".")[1] in ("att", "att_src", "lin_query"):
                parameter.mul_(8.0)
    target = torch.randn(DAYS, STOCKS, 4, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        score, _, graph = model.rank(*states)
        loss = (score - target).square().mean()
        loss = loss + entropy_weight * entropy_penalty(AttentionEntropy.of(graph, DAYS * STOCKS))
        loss = loss + edge_weight * edge_weight_penalty(graph)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _, _, graph = model.rank(*states)
    between = ~graph.is_self
    return AttentionEntropy.of(graph, DAYS * STOCKS).normalised().nanmean().item(), graph.gate[between].mean().item()


@ATTENTIVE
def test_a_higher_entropy_penalty_raises_the_entropy(states, conv):
    entropies = [trained(states, conv, weight, 0.0)[0] for weight in (0.0, 0.1, 1.0)]
    assert entropies[0] + 0.01 < entropies[1]
    assert entropies[1] + 0.01 < entropies[2]


@ATTENTIVE
def test_a_higher_edge_weight_penalty_closes_the_gates(states, conv):
    gates = [trained(states, conv, 0.0, weight)[1] for weight in (0.0, 0.01, 0.1)]
    assert gates[0] - 0.01 > gates[1]
    assert gates[1] - 0.01 > gates[2]
