"""The parts of the graph block on graphs small enough to check by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from gogooku_kedro.model import AttentionEntropy, GraphAttention
from gogooku_kedro.model.convolution import AttentionDiffusion
from gogooku_kedro.model.gat import GraphBlock, edge_sign
from gogooku_kedro.model.heads import ScoreNeutralisation

PRESENT = torch.ones(1, 4, dtype=torch.bool)
EDGE_INDEX = torch.tensor([[0, 1, 2, 3, 0], [1, 1, 0, 0, 0]])  # stocks 2 and 3 hear nobody


def attention_of(edge_index, alpha, sign=None) -> GraphAttention:
    edge_index, alpha = torch.tensor(edge_index), torch.tensor(alpha)
    gate = torch.ones(edge_index.size(1))
    sign = gate if sign is None else torch.tensor(sign)
    return GraphAttention(edge_index, alpha, gate, sign, edge_index[0] == edge_index[1], torch.zeros(()))


def block_of(**changes) -> GraphBlock:
    settings = {
        "conv": "gatv2",
        "hidden_size": 8,
        "layers": 1,
        "heads": 2,
        "edge_attributes": ("correlation", "is_self"),
        "edge_dropout": 0.0,
        "gated": True,
        "difference": True,
        "diffusion": None,
        "learned": None,
    }
    torch.manual_seed(0)
    return GraphBlock(**(settings | changes))


def test_entropy_of_uniform_attention_is_one_and_of_a_single_choice_zero():
    uniform = attention_of([[0, 1, 2], [2, 2, 2]], [[1 / 3], [1 / 3], [1 / 3]])
    assert AttentionEntropy.of(uniform, 3).normalised()[2].tolist() == [pytest.approx(1.0, abs=1e-5)]
    single = attention_of([[0, 1, 2], [2, 2, 2]], [[1.0], [0.0], [0.0]])
    assert AttentionEntropy.of(single, 3).normalised()[2].tolist() == [pytest.approx(0.0, abs=1e-5)]
    assert AttentionEntropy.of(single, 3).normalised()[:2].isnan().all()


def test_entropy_is_divided_by_the_log_of_the_degree():
    # (1/2, 1/2, 0, 0): ln 2 of a possible ln 4. A stock with its self loop alone does not count.
    attention = attention_of([[0, 1, 2, 3, 4], [0, 0, 0, 0, 4]], [[0.5], [0.5], [0.0], [0.0], [1.0]])
    entropy = AttentionEntropy.of(attention, 5).normalised()
    assert entropy[0].tolist() == [pytest.approx(0.5, abs=1e-5)]
    assert entropy[1:].isnan().all()


def test_effective_neighbours_count_those_that_are_heard():
    # Head 0 hears two of four alike, head 1 all four, and stock 4 (one edge) does not count.
    alpha = [[0.5, 0.25], [0.5, 0.25], [0.0, 0.25], [0.0, 0.25], [1.0, 1.0]]
    attention = attention_of([[0, 1, 2, 3, 4], [0, 0, 0, 0, 4]], alpha)
    neighbours = AttentionEntropy.of(attention, 5).effective_neighbours()
    assert neighbours[0].tolist() == [pytest.approx(2.0), pytest.approx(4.0)]
    assert neighbours[1:].isnan().all()


def test_the_figures_of_bf16_attention_are_float32():
    attention = attention_of([[0, 1], [0, 0]], [[0.5], [0.5]])
    attention = attention._replace(alpha=attention.alpha.bfloat16())
    assert AttentionEntropy.of(attention, 2).normalised().dtype == torch.float32
    assert AttentionEntropy.of(attention, 2).effective_neighbours()[0].tolist() == [pytest.approx(2.0, abs=1e-5)]


def test_the_sign_of_an_edge_is_that_of_its_correlation():
    attr = torch.tensor([[0.5, 0.3], [0.5, -0.3], [0.5, 0.0]])
    assert edge_sign(attr, ("abs_correlation", "correlation")).tolist() == [1, -1, 1]
    assert edge_sign(attr, ("abs_correlation", "same_sector")).tolist() == [1, 1, 1]


def test_an_edge_that_only_leads_has_the_sign_of_its_lead():
    names = ("correlation", "is_correlation", "is_lead_lag", "lead_correlation", "is_sector_nearest")
    attr = torch.tensor(
        [
            [0.1, 0.0, 1.0, -0.4, 0.0],  # leads only: against
            [-0.1, 0.0, 1.0, 0.4, 0.0],  # leads only: with
            [0.6, 1.0, 1.0, -0.4, 0.0],  # a correlation edge too: with
            [-0.6, 1.0, 0.0, 0.4, 0.0],  # tested for a lead, none: against
            [0.2, 0.0, 1.0, -0.4, 1.0],  # near in the sector too: with
        ]
    )
    assert edge_sign(attr, names).tolist() == [-1, 1, 1, -1, 1]
    assert edge_sign(attr[:, :4], names[:4]).tolist() == [-1, 1, 1, -1, -1]
    without = ("correlation", "is_correlation", "is_lead_lag")
    assert edge_sign(attr[:, :3], without).tolist() == [1, -1, 1, -1, 1]


def test_graph_block_shapes_and_attention():
    message, attention = block_of(layers=3)(torch.randn(1, 4, 8), PRESENT, EDGE_INDEX, torch.randn(5, 2))
    assert message.shape == (1, 4, 8)
    assert attention.alpha.shape == (5, 3 * 2)
    assert attention.is_self.tolist() == [False, True, False, False, True]
    total = torch.zeros(4, 6).index_add_(0, EDGE_INDEX[1], attention.alpha)
    assert total[:2].flatten().tolist() == pytest.approx([1.0] * 12)
    assert ((attention.gate > 0) & (attention.gate < 1)).all()
    assert attention.similarity_penalty == 0


def test_the_difference_channel_by_hand():
    with_it, without = block_of(), block_of(difference=False)
    without.load_state_dict({k: v for k, v in with_it.state_dict().items() if "difference" not in k})
    h, edge_attr = torch.randn(1, 4, 8), torch.tensor([[0.3, 0], [1, 1], [-0.6, 0], [0.4, 0], [1, 1]])
    message, attention = with_it(h, PRESENT, EDGE_INDEX, edge_attr)
    plain, _ = without(h, PRESENT, EDGE_INDEX, edge_attr)
    a, g, s = attention.alpha.mean(dim=1), attention.gate, h[0]
    heard = a[2] * g[2] * -s[2] + a[3] * g[3] * s[3] + a[4] * g[4] * s[0]  # stock 2 moves against stock 0
    difference = with_it.layers[0].difference
    torch.testing.assert_close(message[0, 0] - plain[0, 0], difference(s[0] - heard))
    torch.testing.assert_close(message[0, 3] - plain[0, 3], difference(s[3]))


def test_two_layers_are_two_convolutions_with_a_residual_between():
    block = block_of(layers=2, gated=False, difference=False)
    h, edge_attr = torch.randn(1, 4, 8), torch.randn(5, 2)
    first, alpha_1 = block.layers[0].conv(h[0], EDGE_INDEX, edge_attr)
    state = F.layer_norm(h[0] + F.elu(first), (8,))
    second, alpha_2 = block.layers[1].conv(state, EDGE_INDEX, edge_attr)
    message, attention = block(h, PRESENT, EDGE_INDEX, edge_attr)
    torch.testing.assert_close(message[0], second)
    torch.testing.assert_close(attention.alpha, torch.cat([alpha_1, alpha_2], dim=1))
    assert attention.gate.tolist() == [1.0] * 5


def test_edge_dropout_spares_self_loops():
    block = block_of(layers=2, edge_attributes=("correlation",), edge_dropout=0.99).train()
    stock = torch.arange(50)
    edge_index = torch.cat([torch.stack([stock, stock]), torch.stack([stock, stock.roll(1)])], dim=1)
    torch.manual_seed(0)
    everybody = torch.ones(1, 50, dtype=torch.bool)
    _, attention = block(torch.randn(1, 50, 8), everybody, edge_index, torch.ones(100, 1))
    assert attention.edge_index[:, :50].equal(edge_index[:, :50])
    assert (~attention.is_self).sum() < 10
    padding = attention.edge_index[1] == 50  # what was dropped
    assert attention.is_self[padding].all()
    assert padding.sum() > 40
    # Dropped before attention and once for both layers: what is left sums to 1 in each.
    total = torch.zeros(51, 4).index_add_(0, attention.edge_index[1], attention.alpha)
    torch.testing.assert_close(total, torch.ones(51, 4))
    _, whole = block.eval()(torch.randn(1, 50, 8), everybody, edge_index, torch.ones(100, 1))
    assert whole.edge_index.equal(edge_index)


def test_half_precision_around_the_block_does_not_reach_its_softmax():
    for conv in ("gat", "gatv2", "sage", "gin", "transformer"):
        block = block_of(conv=conv, layers=2)
        h, edge_attr = torch.randn(1, 4, 8), torch.randn(5, 2)
        plain, _ = block(h, PRESENT, EDGE_INDEX, edge_attr)
        with torch.autocast("cpu", torch.bfloat16):
            message, attention = block(h, PRESENT, EDGE_INDEX, edge_attr)
        assert attention.alpha.dtype == torch.float32
        torch.testing.assert_close(message, plain)


def test_neutralisation_takes_half_of_the_peers_mean_at_the_start():
    layer = ScoreNeutralisation(horizons=1)
    attention = attention_of([[1, 2, 0, 3], [0, 0, 0, 3]], [[0.3], [0.3], [0.4], [1.0]])
    score = layer(torch.tensor([[1.0], [2.0], [4.0], [5.0]]), attention)
    # Stock 0 has the peers 1 and 2 with equal weight: 1 - 0.5 * 3. The others have none.
    assert score.flatten().tolist() == pytest.approx([-0.5, 2.0, 4.0, 5.0])


def test_a_peer_that_moves_against_the_stock_is_neutralised_with_the_other_sign():
    layer = ScoreNeutralisation(horizons=2)
    with torch.no_grad():
        layer.strength.copy_(torch.tensor([0.0, math.log(3)]))  # shares 1/2 and 3/4
    attention = attention_of([[1, 2, 0], [0, 0, 0]], [[0.1, 0.2], [0.4, 0.5], [0.5, 0.3]], sign=[1.0, -1.0, 1.0])
    score = layer(torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), attention)
    # Mean over heads 0.15 and 0.45, so p = 1/4 and 3/4: the peers say 2/4 - 3 = -2.5.
    assert score[0].tolist() == pytest.approx([1 + 2.5 / 2, 1 + 2.5 * 3 / 4])
    assert score[1:].flatten().tolist() == [2.0, 2.0, 4.0, 4.0]


def diffusion_example():
    torch.manual_seed(0)
    edge_index = torch.tensor([[0, 1, 2, 0, 1, 2, 0, 3], [0, 0, 0, 1, 1, 2, 2, 1]])  # nobody speaks to 3
    logits = torch.randn(8, 2)
    alpha = torch.zeros(8, 2)
    for i in range(3):
        alpha[edge_index[1] == i] = logits[edge_index[1] == i].softmax(dim=0)
    return edge_index, alpha


def test_diffusion_passes_what_all_say_alike():
    edge_index, alpha = diffusion_example()
    same = torch.arange(6.0).expand(4, 6)
    torch.testing.assert_close(AttentionDiffusion(2, hops=4, restart=0.15)(same, edge_index, alpha), same)


def test_diffusion_is_the_sum_over_hops_of_the_dense_matrix():
    edge_index, alpha = diffusion_example()
    message, r, hops = torch.randn(4, 6), 0.3, 3
    spread = AttentionDiffusion(2, hops, r)(message, edge_index, alpha)
    for head in range(2):
        matrix = torch.zeros(4, 4)
        for e in range(8):
            matrix[edge_index[1, e], edge_index[0, e]] += alpha[e, head]
        matrix[3, 3] = 1.0  # the one that nobody speaks to keeps its message
        weights = [r * (1 - r) ** k for k in range(hops)] + [(1 - r) ** hops]
        assert sum(weights) == pytest.approx(1.0)
        kernel = sum(w * torch.linalg.matrix_power(matrix, k) for k, w in enumerate(weights))
        channels = slice(3 * head, 3 * head + 3)
        torch.testing.assert_close(spread[:, channels], kernel @ message[:, channels])
