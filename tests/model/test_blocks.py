"""Each layer on tensors small enough to check by hand."""

import math

import pytest
import torch

from gogooku_kedro.model import vsn
from gogooku_kedro.model.grn import GLU, GRN, GatedFusion, Normalise
from gogooku_kedro.model.heads import QuantileHead
from gogooku_kedro.model.temporal import BandedAttention
from gogooku_kedro.model.vsn import MarketGate, VariableSelectionNetwork


def test_glu_is_the_gated_linear_map():
    glu, x = GLU(3, 2), torch.randn(4, 3)
    value, gate = glu.linear(x).split(2, dim=-1)
    torch.testing.assert_close(glu(x), value * torch.sigmoid(gate))


def test_grn_keeps_the_input_where_the_gate_is_shut():
    grn, x = GRN(4, 8, 4, dropout=0.0), torch.randn(3, 4)
    with torch.no_grad():
        grn.gate.glu.linear.bias[4:] = -100.0
    torch.testing.assert_close(grn(x), torch.nn.functional.layer_norm(x, (4,)))
    assert GRN(5, 8, 3, dropout=0.0)(torch.randn(2, 7, 5)).shape == (2, 7, 3)


def test_grn_is_the_formula():
    grn, a = GRN(5, 8, 3, dropout=0.0), torch.randn(4, 5)
    second, _, first = grn.hidden  # the paper counts from the output: W_2, then W_1
    eta = first(torch.nn.functional.elu(a @ second.weight.T + second.bias))
    value, gate = grn.gate.glu.linear(eta).split(3, dim=-1)
    expected = torch.nn.functional.layer_norm(grn.skip(a) + value * torch.sigmoid(gate), (3,))
    torch.testing.assert_close(grn(a), expected)


@pytest.mark.parametrize("stacked", [False, True], ids=["one by one", "stacked"])
def test_the_norm_for_cuda_is_pytorch_s_with_its_gradients(stacked):
    torch.manual_seed(0)
    shapes = ((2, 5, 7), (2, 7), (2, 7))  # of two models
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def norm(x, weight, bias):
        return Normalise.apply(x, weight, bias, 1e-5)[0]

    ours = torch.vmap(norm)(*inputs) if stacked else torch.stack([norm(*one) for one in zip(*inputs, strict=True)])
    theirs = torch.stack([torch.nn.functional.layer_norm(x, (7,), w, b) for x, w, b in zip(*inputs, strict=True)])
    torch.testing.assert_close(ours, theirs)
    loss = torch.randn_like(ours)
    for mine, expected in zip(*(torch.autograd.grad(y, inputs, loss) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, expected)


def selection_network() -> VariableSelectionNetwork:
    torch.manual_seed(0)
    layer = VariableSelectionNetwork(3, 4, 6, dropout=0.0)
    for bias in (layer.hidden_bias, layer.glu_bias, layer.norm_bias, layer.projection_bias):
        torch.nn.init.normal_(bias)  # they start at zero, where a missing one would not show
    return layer


def test_vsn_equals_a_loop_over_features():
    layer, x = selection_network(), torch.randn(5, 3)
    output, weights = layer(x)
    expected = layer.projection_bias.expand(5, 6)
    for j in range(3):
        embedded = x[:, j : j + 1] * layer.embedding[j] + layer.embedding_bias[j]
        hidden = torch.nn.functional.elu(embedded @ layer.hidden_weight[j] + layer.hidden_bias[j])
        gated = torch.nn.functional.glu(hidden @ layer.glu_weight[j] + layer.glu_bias[j])
        part = torch.nn.functional.layer_norm(embedded + gated, (4,)) + layer.norm_bias[j]
        expected = expected + weights[:, j : j + 1] * part @ layer.projection[4 * j : 4 * j + 4]
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights, layer.selection(x).softmax(dim=-1))


def test_blocks_of_tokens_change_neither_the_values_nor_the_gradients(monkeypatch):
    layer, x = selection_network(), torch.randn(7, 3)
    results = []
    for size in (7, 3):
        monkeypatch.setattr(vsn, "BLOCK", {"cpu": size})
        layer.zero_grad()
        output, _ = layer(x)
        output.square().sum().backward()
        results.append([output, *(p.grad.clone() for p in layer.parameters())])
    for whole, in_blocks in zip(*results, strict=True):
        torch.testing.assert_close(whole, in_blocks, rtol=1e-4, atol=1e-5)


def test_vsn_keeps_no_wide_tensor_for_the_backward_pass():
    kept = []
    tokens, features, width = 1_000, 3, 4
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        selection_network()(torch.randn(tokens, features))
    assert max(t.numel() for t in kept) < tokens * features * width


def test_the_market_gate_starts_at_one_and_always_averages_one():
    gate, x, context = MarketGate(2, 4, temperature=2.0), torch.randn(3, 5, 4), torch.randn(3, 2)
    torch.testing.assert_close(gate(x, context), x)
    torch.nn.init.normal_(gate.weight)
    weights = gate.gate(context)
    assert weights.shape == (3, 1, 4)
    assert weights.std() > 0.1
    torch.testing.assert_close(weights.mean(dim=-1), torch.ones(3, 1))
    torch.testing.assert_close(gate(x, context)[1, 2], x[1, 2] * weights[1, 0])


def test_the_market_gate_by_hand():
    # Two features, one market feature of 3, temperature 3: exp(1) against exp(0).
    gate = MarketGate(1, 2, temperature=3.0)
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([[1.0], [0.0]]))
    share = math.e / (math.e + 1)
    expected = [2 * share, 2 * (1 - share)]
    assert gate.gate(torch.tensor([[3.0]])).flatten().tolist() == pytest.approx(expected)


def test_attention_equals_a_loop_over_days_and_heads():
    torch.manual_seed(0)
    layer, tokens = BandedAttention(4, heads=2, window=3, dropout=0.0), torch.randn(5, 1, 4)
    output, attention = layer(tokens, torch.ones(5, 1, dtype=torch.bool))
    q, k, v = layer.query(tokens), layer.key(tokens), layer.value(tokens)
    for day in range(3):
        window, weights = slice(day, day + 3), []
        for head in range(2):
            part = slice(2 * head, 2 * head + 2)
            logits = k[window, 0, part] @ q[day + 2, 0, part] / math.sqrt(2)
            weights.append((logits + layer.recency[head].flip(0)).softmax(dim=0))
        mean = torch.stack(weights).mean(dim=0)
        torch.testing.assert_close(attention[0, day, window], mean)
        summary = layer.out(mean @ v[window, 0])
        torch.testing.assert_close(output[day, 0], layer.gate(tokens[day + 2, 0], summary))


def test_attention_never_leaves_the_band_nor_reads_an_absent_day():
    layer = BandedAttention(hidden_size=4, heads=2, window=3, dropout=0.0)
    present = torch.ones(5, 2, dtype=torch.bool)
    present[3, 1] = False
    _, attention = layer(torch.randn(5, 2, 4), present)
    assert attention.shape == (2, 3, 5)
    visible = attention[0] > 0
    assert visible.tolist() == [
        [True, True, True, False, False],
        [False, True, True, True, False],
        [False, False, True, True, True],
    ]
    assert (attention[1, :, 3] == 0).all()


def test_a_stock_that_is_never_there_has_no_attention():
    layer = BandedAttention(hidden_size=4, heads=2, window=3, dropout=0.0)
    output, attention = layer(torch.randn(3, 1, 4), torch.zeros(3, 1, dtype=torch.bool))
    assert (attention == 0).all()
    assert output.isfinite().all()


def test_fusion_with_silence_is_not_the_identity_but_uses_the_same_parameters():
    fusion, own = GatedFusion(4, dropout=0.0), torch.randn(3, 4)
    silent = fusion(own, torch.zeros(3, 4))
    assert silent.shape == (3, 4)
    silent.sum().backward()
    assert fusion.gate.glu.linear.weight.grad is not None


def test_quantiles_increase_for_any_input():
    head = QuantileHead(4, horizons=4, quantiles=5)
    quantiles = head(100 * torch.randn(64, 4))
    assert quantiles.shape == (64, 4, 5)
    assert (quantiles.diff(dim=-1) >= 0).all()
