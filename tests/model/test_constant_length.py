"""A list of edges filled up to a constant length says what the list of the edges alone says, one model or many."""

from copy import deepcopy

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from gogooku_kedro.model import AttentionEntropy
from gogooku_kedro.training.losses import edge_weight_penalty, entropy_penalty
from tests.model.conftest import DAYS, STOCKS, build, random_chunk
from tests.model.test_graph_variants import CONVS, VARIANTS, States

variants = pytest.mark.parametrize("gat", VARIANTS.values(), ids=VARIANTS.keys())
GRAPHS = {"ring": None, "some stocks alone": 3, "no edges": 0}
NODES = DAYS * STOCKS


def states_of(edges):
    """States in float64; `edges` is how many are left, None all. Stock 1 is absent on the last day."""
    generator = torch.Generator().manual_seed(3)
    chunk = random_chunk()
    present = torch.ones(DAYS, STOCKS, dtype=torch.bool)
    present[-1, 1] = False
    here = (chunk.edge_index != NODES - STOCKS + 1).all(dim=0).nonzero().flatten()[:edges]
    hidden = torch.randn(DAYS, STOCKS, 8, generator=generator, dtype=torch.float64)
    return States(hidden, present, chunk.edge_index[:, here], chunk.edge_attr[here].double())


def filled_up(states, by=7):
    """The same edges in the same order, with filling between and behind them."""
    edges = states.edge_index.size(1)
    at = torch.randperm(edges + by, generator=torch.Generator().manual_seed(1))[:edges].sort().values
    edge_index = torch.full((2, edges + by), NODES)
    edge_attr = torch.zeros(edges + by, states.edge_attr.size(1), dtype=torch.float64)
    edge_index[:, at], edge_attr[at] = states.edge_index, states.edge_attr
    return states._replace(edge_index=edge_index, edge_attr=edge_attr)


def results(model, states):
    """Scores, quantiles and figures of the graph, and the gradients of all of them."""
    model.zero_grad()
    hidden = states.hidden.clone().requires_grad_()
    score, quantiles, graph = model.rank(*states._replace(hidden=hidden))
    entropy = AttentionEntropy.of(graph, NODES)
    figures = {
        "entropy": entropy.normalised(),
        "neighbours": entropy.effective_neighbours(),
        "entropy_penalty": entropy_penalty(entropy),
        "edge_penalty": edge_weight_penalty(graph),
        "similarity": graph.similarity_penalty,
    }
    weights = torch.randn(score.shape, generator=torch.Generator().manual_seed(1))
    loss = (score * weights).sum() + quantiles.square().mean() + graph.similarity_penalty
    (loss + figures["entropy_penalty"] + figures["edge_penalty"]).backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    gradients = {n: g for n, g in gradients.items() if n.startswith(("gat", "neutralise", "fusion"))}
    return {"score": score, "quantiles": quantiles, "hidden": hidden.grad} | figures | gradients


@variants
@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS.keys())
def test_filling_changes_no_result_and_no_gradient(gat, edges):
    model, states = build(gat=gat).double(), states_of(edges)
    plain, filled = results(model, states), results(model, filled_up(states))
    assert plain.keys() == filled.keys()
    for name, value in plain.items():
        tolerance = 1e-6 if name in ("entropy", "neighbours", "entropy_penalty", "edge_penalty") else 1e-11
        torch.testing.assert_close(filled[name], value, rtol=1e-5, atol=tolerance, equal_nan=True, msg=name)
    assert all(g.isfinite().all() for n, g in filled.items() if n not in ("entropy", "neighbours"))


@pytest.mark.parametrize("conv", CONVS)
def test_dropped_edges_are_as_if_they_were_not_there(conv):
    states = states_of(None)
    model = build(gat={"conv": conv, "layers": 2, "edge_dropout": 0.5}).double().train()
    torch.manual_seed(0)
    score, _, graph = model.rank(*states)
    kept = graph.edge_index[1] < NODES
    assert 0 < (~kept).sum() < len(kept)
    assert kept[states.edge_index[0] == states.edge_index[1]].all(), "a self loop was dropped"
    alone = states._replace(edge_index=states.edge_index[:, kept], edge_attr=states.edge_attr[kept])
    torch.testing.assert_close(score, model.eval().rank(*alone)[0], rtol=1e-10, atol=1e-12)


@variants
def test_many_models_at_once_score_as_each_alone(gat):
    """Stacked weights under `torch.func.vmap`: nothing of the graph asks for a number or a size of its own."""
    models = [build(seed, gat=gat).double() for seed in (0, 1, 2)]
    states = filled_up(states_of(None))
    parameters, buffers = stack_module_state(models)
    skeleton = Rank(deepcopy(models[0])).to("meta")

    def score(weights, hidden):
        return functional_call(skeleton, {f"model.{n}": w for n, w in weights.items()}, (hidden, *states[1:]))

    hidden = torch.stack([states.hidden + seed for seed in range(3)])
    together = vmap(score)(parameters | buffers, hidden)
    for position, model in enumerate(models):
        alone = model.rank(hidden[position], *states[1:])
        torch.testing.assert_close(together[0][position], alone[0], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(together[1][position], alone[2].similarity_penalty, rtol=1e-6, atol=1e-8)


class Rank(torch.nn.Module):
    """`ATFTGATFAN.rank` as the forward pass of a module: scores and the penalty of a learned graph."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *states):
        score, _, graph = self.model.rank(*states)
        return score, graph.similarity_penalty
