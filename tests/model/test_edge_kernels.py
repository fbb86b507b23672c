"""The kernels of graph attention against PyG's layer; they need a CUDA device."""

import pytest
import torch
from torch_geometric.utils import softmax

from gogooku_kedro.model import edge_kernels
from gogooku_kedro.model.convolution import NeighbourSum, graph_convolution

NODES = 9


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("heads", "width", "attributes", "edges"), [(2, 16, 3, 37), (4, 32, 4, 50), (1, 64, 6, 16)])
def test_messages_attention_and_gradients_are_those_of_pyg(heads, width, attributes, edges, monkeypatch):
    torch.manual_seed(0)
    conv, neighbours = graph_convolution("gatv2", width, heads, attributes).cuda(), NeighbourSum()
    index = torch.randint(0, NODES, (2, edges), device="cuda")
    states = torch.randn(NODES, width, device="cuda", requires_grad=True)
    attr = torch.randn(edges, attributes, device="cuda", requires_grad=True)
    weight = torch.randn(edges, device="cuda", requires_grad=True)
    leaves = [states, attr, weight, *conv.parameters()]
    monkeypatch.setattr(edge_kernels, "PROGRAMS", 2)
    assert edge_kernels.available(states, index, heads, attributes)

    def found():
        outputs = [*conv(states, index, attr), neighbours(states, index, weight)]
        generator = torch.Generator("cuda").manual_seed(1)
        losses = [(x * torch.randn(x.shape, generator=generator, device="cuda")).sum() for x in outputs]
        return [*outputs, *torch.autograd.grad(sum(losses), leaves)]

    ours = found()
    monkeypatch.setattr(edge_kernels, "available", lambda *arguments, **named: False)
    for mine, theirs in zip(ours, found(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_softmax_over_edges_is_that_of_pyg_with_its_gradients():
    torch.manual_seed(0)
    logits = (20 * torch.randn(37, 3, dtype=torch.float64)).requires_grad_()
    index = torch.randint(0, NODES - 2, (2, 37))  # two nodes have no edge
    weight = torch.randn(37, 3, dtype=torch.float64)
    ours, theirs = edge_kernels.edge_softmax(logits, index, NODES), softmax(logits, index[1], num_nodes=NODES)
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad((share * weight).sum(), logits)[0] for share in (ours, theirs))
    torch.testing.assert_close(*gradients)
    assert torch.autograd.gradcheck(lambda x: edge_kernels.edge_softmax(x, index, NODES), [logits / 20])


@pytest.mark.parametrize(("slope", "by_kernels"), [(0.2, True), (0.3, False)])
def test_a_layer_with_another_slope_is_left_to_pyg(slope, by_kernels, monkeypatch):
    torch.manual_seed(0)
    layer = graph_convolution("gatv2", 16, 2, 3)
    layer.conv.negative_slope = slope
    inputs = torch.randn(NODES, 16), torch.randint(0, NODES, (2, 37)), torch.randn(37, 3)
    expected, _ = layer.conv(*inputs, return_attention_weights=True)
    called = []
    monkeypatch.setattr(edge_kernels, "available", lambda *arguments, **named: True)
    monkeypatch.setattr(edge_kernels, "edge_logits", lambda *arguments: called.append(True) or torch.zeros(37, 2))
    monkeypatch.setattr(edge_kernels, "edge_sum", lambda states, index, weight: torch.zeros_like(states))
    message, _ = layer(*inputs)
    assert bool(called) is by_kernels
    assert torch.equal(message, expected) is not by_kernels


@pytest.mark.parametrize("width", [16, 48])
def test_there_are_none_on_a_cpu(width):
    assert not edge_kernels.available(torch.randn(NODES, width), torch.zeros(2, 3, dtype=torch.long), heads=2)
