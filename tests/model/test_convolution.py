"""The five convolutions, against PyG called directly and against their formulas edge by edge."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv, GATv2Conv, GINEConv, SAGEConv, TransformerConv

from gogooku_kedro.model.convolution import graph_convolution

CONVS = ("gat", "gatv2", "sage", "gin", "transformer")
NODES, WIDTH, HEADS, EDGE_DIM = 5, 8, 2, 3
HEAD = WIDTH // HEADS
# Stock 0 hears 1, 2 and itself, stock 1 hears 0, stock 2 hears 0 and 3, stock 3 itself, stock 4 nobody.
EDGE_INDEX = torch.tensor([[1, 2, 0, 0, 0, 3, 3], [0, 0, 0, 1, 2, 2, 3]])
every_conv = pytest.mark.parametrize("name", CONVS)


def example(name):
    torch.manual_seed(0)
    layer = graph_convolution(name, WIDTH, HEADS, EDGE_DIM)
    with torch.no_grad():  # PyG starts biases at 0, which would hide them
        for parameter_name, parameter in layer.named_parameters():
            if parameter_name.endswith(("bias", "eps")):
                parameter.normal_()
    return layer, torch.randn(NODES, WIDTH), torch.randn(EDGE_INDEX.size(1), EDGE_DIM)


def pyg_layer(name):
    if name == "sage":
        return SAGEConv(WIDTH, WIDTH, aggr="mean")
    if name == "gin":
        mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ELU(), nn.Linear(WIDTH, WIDTH))
        return GINEConv(mlp, train_eps=True, edge_dim=EDGE_DIM, aggr="mean")
    if name == "transformer":
        return TransformerConv(WIDTH, HEAD, heads=HEADS, edge_dim=EDGE_DIM, bias=False)
    kind = GATConv if name == "gat" else GATv2Conv
    return kind(WIDTH, HEAD, heads=HEADS, edge_dim=EDGE_DIM, add_self_loops=False)


@every_conv
def test_the_message_is_that_of_pyg_called_directly(name):
    layer, h, edge_attr = example(name)
    theirs = pyg_layer(name)
    theirs.load_state_dict(layer.conv.state_dict())
    message, alpha = layer(h, EDGE_INDEX, edge_attr)
    if name in ("sage", "gin"):
        attributes = (edge_attr,) if name == "gin" else ()
        torch.testing.assert_close(message, theirs(h, EDGE_INDEX, *attributes))
        return
    expected, (edge_index, weights) = theirs(h, EDGE_INDEX, edge_attr, return_attention_weights=True)
    assert edge_index.equal(EDGE_INDEX)
    torch.testing.assert_close(message, expected)
    torch.testing.assert_close(alpha, weights)


def attend(logit, value, start):
    """Message and attention, from `logit(i, j, e)` (heads) and `value(j, e)` (heads, HEAD)."""
    message, alpha = start.clone(), torch.zeros(EDGE_INDEX.size(1), HEADS)
    for i in range(NODES):
        incoming = (EDGE_INDEX[1] == i).nonzero().flatten().tolist()
        for head in range(HEADS):
            logits = [float(logit(i, int(EDGE_INDEX[0, e]), e)[head]) for e in incoming]
            total = sum(math.exp(v) for v in logits)
            for e, v in zip(incoming, logits, strict=True):
                alpha[e, head] = math.exp(v) / total
                channels = slice(head * HEAD, (head + 1) * HEAD)
                message[i, channels] += alpha[e, head] * value(int(EDGE_INDEX[0, e]), e)[head]
    return message, alpha


def in_heads(x):
    return x.view(-1, HEADS, HEAD)


@torch.no_grad()
def test_gat_is_its_formula():
    layer, h, edge_attr = example("gat")
    conv = layer.conv
    w, e = in_heads(conv.lin(h)), in_heads(conv.lin_edge(edge_attr))

    def logit(i, j, edge):
        parts = conv.att_src[0] * w[j] + conv.att_dst[0] * w[i] + conv.att_edge[0] * e[edge]
        return F.leaky_relu(parts.sum(dim=-1), 0.2)

    expected = attend(logit, lambda j, _: w[j], conv.bias.expand(NODES, WIDTH))
    for ours, wanted in zip(layer(h, EDGE_INDEX, edge_attr), expected, strict=True):
        torch.testing.assert_close(ours, wanted)


@torch.no_grad()
def test_gatv2_is_its_formula():
    layer, h, edge_attr = example("gatv2")
    conv = layer.conv
    left, right, e = in_heads(conv.lin_l(h)), in_heads(conv.lin_r(h)), in_heads(conv.lin_edge(edge_attr))

    def logit(i, j, edge):
        return (conv.att[0] * F.leaky_relu(left[j] + right[i] + e[edge], 0.2)).sum(dim=-1)

    expected = attend(logit, lambda j, _: left[j], conv.bias.expand(NODES, WIDTH))
    for ours, wanted in zip(layer(h, EDGE_INDEX, edge_attr), expected, strict=True):
        torch.testing.assert_close(ours, wanted)


@torch.no_grad()
def test_transformer_is_its_formula():
    layer, h, edge_attr = example("transformer")
    conv = layer.conv
    query, key, value = (in_heads(lin(h)) for lin in (conv.lin_query, conv.lin_key, conv.lin_value))
    e = in_heads(conv.lin_edge(edge_attr))

    def logit(i, j, edge):
        return (query[i] * (key[j] + e[edge])).sum(dim=-1) / math.sqrt(HEAD)

    expected = attend(logit, lambda j, edge: value[j] + e[edge], conv.lin_skip(h))
    for ours, wanted in zip(layer(h, EDGE_INDEX, edge_attr), expected, strict=True):
        torch.testing.assert_close(ours, wanted)


@torch.no_grad()
@pytest.mark.parametrize("name", ["sage", "gin"])
def test_sage_and_gin_are_their_formulas_and_hear_all_alike(name):
    layer, h, edge_attr = example(name)
    conv = layer.conv
    heard = h if name == "sage" else None
    message = torch.zeros(NODES, WIDTH)
    for i in range(NODES):
        incoming = (EDGE_INDEX[1] == i).nonzero().flatten().tolist()
        mean = torch.zeros(WIDTH)
        for e in incoming:
            j = EDGE_INDEX[0, e]
            said = heard[j] if heard is not None else (h[j] + conv.lin(edge_attr[e])).relu()
            mean += said / len(incoming)
        if name == "sage":
            message[i] = conv.lin_r(h[i]) + conv.lin_l(mean)
        else:
            message[i] = conv.nn((1 + conv.eps) * h[i] + mean)
    ours, alpha = layer(h, EDGE_INDEX, edge_attr)
    torch.testing.assert_close(ours, message)
    by_hand = torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0, 1 / 2, 1 / 2, 1.0])
    torch.testing.assert_close(alpha, by_hand.unsqueeze(1).expand(-1, HEADS))


@every_conv
def test_no_self_loop_is_added(name):
    layer, h, edge_attr = example(name)
    moved = h.clone()
    moved[1] += 1.0
    _, alpha = layer(h, EDGE_INDEX, edge_attr)
    _, other = layer(moved, EDGE_INDEX, edge_attr)
    assert alpha.shape == (EDGE_INDEX.size(1), HEADS)
    assert alpha[3].tolist() == [1.0] * HEADS  # stock 1 hears stock 0 alone, itself not
    assert other[3].tolist() == [1.0] * HEADS


@every_conv
def test_without_edges_there_is_no_attention_and_the_message_is_finite(name):
    layer, h, _ = example(name)
    message, alpha = layer(h, EDGE_INDEX[:, :0], torch.zeros(0, EDGE_DIM))
    assert alpha.shape == (0, HEADS)
    assert message.isfinite().all()
