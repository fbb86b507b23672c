"""The compiled loops of graph attention on a CPU against PyG's layer in float64."""

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from gogooku_kedro.model import edge_cpu
from gogooku_kedro.model.convolution import NeighbourSum, graph_convolution
from gogooku_kedro.model.edge_numba import STRIP

CASES = [(2, 6, 3, 9, 37), (4, 32, 4, 9, STRIP + 1), (1, 5, 1, 5, 1), (3, 12, 2, 40, 3 * STRIP)]


def inputs(width, attributes, nodes, edges):
    index = torch.randint(0, nodes - 1, (2, edges))  # nothing leads to the last node
    return torch.randn(nodes, width), index, torch.randn(edges, attributes), torch.randn(edges)


def outcome(conv, states, index, attr, weight):
    """Messages, attention and sums, and their gradients."""
    leaves = [each.detach().clone().requires_grad_() for each in (states, attr, weight)]
    outputs = [*conv(leaves[0], index, leaves[1]), NeighbourSum()(leaves[0], index, leaves[2])]
    loss = sum((each * torch.linspace(-1, 1, each.numel()).reshape(each.shape)).sum() for each in outputs)
    return [*outputs, *torch.autograd.grad(loss, [*leaves, *conv.parameters()], allow_unused=True)]


@pytest.mark.parametrize(("heads", "width", "attributes", "nodes", "edges"), CASES)
def test_messages_attention_and_gradients_are_those_of_pyg(heads, width, attributes, nodes, edges):
    torch.manual_seed(0)
    conv, data = graph_convolution("gatv2", width, heads, attributes), inputs(width, attributes, nodes, edges)
    assert edge_cpu.available(data[0], data[1])
    found = outcome(conv, *data)
    states, index, *more = data
    assert not edge_cpu.available(states.double(), index)
    right = outcome(conv.double(), states.double(), index, *(each.double() for each in more))
    for ours, exact in zip(found, right, strict=True):
        assert ours.dtype == torch.float32
        assert (ours.double() - exact).norm() <= 1e-5 * exact.norm() + 1e-6
    assert (found[0][-1] == conv.conv.bias).all()


def test_the_shares_of_large_logits_are_finite_and_sum_to_one():
    logits = torch.tensor([[300.0, -300.0], [-300.0, -300.0], [0.0, 0.0]])
    share = edge_cpu.edge_softmax(logits, torch.tensor([[0, 1, 2], [1, 1, 2]]), 3)
    torch.testing.assert_close(share, torch.tensor([[1.0, 0.5], [0.0, 0.5], [1.0, 1.0]]))


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_no_bit(threads, monkeypatch):
    torch.manual_seed(0)
    conv, data, results = graph_convolution("gatv2", 32, 4, 4), inputs(32, 4, 50, 700), []
    for number in (1, threads):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        results.append(outcome(conv, *data))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_attributes_without_a_gradient_change_no_other():
    torch.manual_seed(0)
    conv, (states, index, attr, _) = graph_convolution("gatv2", 8, 2, 3), inputs(8, 3, 20, 90)
    found = []
    for needed in (True, False):
        message, _ = conv(states, index, attr.clone().requires_grad_(needed))
        found.append(torch.autograd.grad(message.square().sum(), list(conv.parameters())))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_a_layer_that_is_explained_is_left_to_pyg(monkeypatch):
    monkeypatch.setattr(edge_cpu, "edge_logits", lambda *_: pytest.fail("not by the loops"))
    monkeypatch.setattr(edge_cpu, "edge_sum", lambda *_: pytest.fail("not by the loops"))
    states, index, attr, weight = inputs(8, 3, 20, 90)
    conv, neighbours = graph_convolution("gatv2", 8, 2, 3), NeighbourSum()
    for layer in (conv.conv, neighbours):
        layer.explain = True
        layer._edge_mask, layer._loop_mask, layer._apply_sigmoid = torch.ones(90), torch.ones(90, dtype=bool), False
    conv(states, index, attr)
    neighbours(states, index, weight)


def test_edges_without_attributes_are_left_to_pyg():
    states, index, _, _ = inputs(8, 3, 20, 90)
    message, alpha = graph_convolution("gatv2", 8, 2, 0)(states, index, torch.empty(90, 0))
    assert message.isfinite().all()
    assert alpha.shape == (90, 2)


def test_several_models_at_once_are_each_as_alone():
    torch.manual_seed(0)
    states, index, attr, weight = inputs(8, 3, 20, 90)
    models = [graph_convolution("gatv2", 8, 2, 3) for _ in range(2)]

    def loss(parameters, model):
        outputs = functional_call(model, parameters, (states, index, attr))
        return sum(each.square().sum() for each in (*outputs, NeighbourSum()(outputs[0], index, weight)))

    stacked, _ = stack_module_state(models)
    losses = vmap(lambda parameters: loss(parameters, models[0]))(stacked)
    together = dict(zip(stacked, torch.autograd.grad(losses.sum(), list(stacked.values())), strict=True))
    for place, model in enumerate(models):
        for name, parameter in model.named_parameters():
            (alone,) = torch.autograd.grad(loss({}, model), parameter)
            torch.testing.assert_close(together[name][place], alone)
