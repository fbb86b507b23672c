"""Each layer on tensors small enough to check by hand."""

import math

import pytest
import torch

from gogooku_kedro.model import GraphAttention, fit_level_scale, normalised_entropy
from gogooku_kedro.model.fan import FrequencyAdaptiveNorm, split_by_frequency
from gogooku_kedro.model.fusion import GatedFusion
from gogooku_kedro.model.gat import GraphBlock, PeerNeutralisation
from gogooku_kedro.model.grn import GLU, GRN
from gogooku_kedro.model.heads import QuantileHead
from gogooku_kedro.model.san import SD_FLOOR, SliceAdaptiveNorm, slice_statistics
from gogooku_kedro.model.temporal import BandedAttention
from gogooku_kedro.model.vsn import VariableSelectionNetwork


def attention_of(edge_index, alpha) -> GraphAttention:
    edge_index, alpha = torch.tensor(edge_index), torch.tensor(alpha)
    gate = torch.ones(edge_index.size(1))
    return GraphAttention(edge_index, alpha, gate, edge_index[0] == edge_index[1])


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


def test_vsn_equals_a_loop_over_features():
    torch.manual_seed(0)
    vsn, x = VariableSelectionNetwork(3, 4, 6, dropout=0.0), torch.randn(5, 3)
    output, weights = vsn(x)
    expected = vsn.projection_bias.expand(5, 6)
    for j in range(3):
        embedded = x[:, j : j + 1] * vsn.embedding[j] + vsn.embedding_bias[j]
        hidden = torch.nn.functional.elu(embedded @ vsn.hidden_weight[j] + vsn.hidden_bias[j])
        gated = torch.nn.functional.glu(hidden @ vsn.glu_weight[j] + vsn.glu_bias[j])
        part = torch.nn.functional.layer_norm(embedded + gated, (4,))
        expected = expected + weights[:, j : j + 1] * part @ vsn.projection[4 * j : 4 * j + 4]
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(5))


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


@pytest.mark.parametrize("length", [20, 21])
def test_fan_parts_add_up_on_every_day(length):
    x = torch.randn(4, length)
    main, residual = split_by_frequency(x, top_k=3)
    torch.testing.assert_close(main + residual, x)
    assert (main.abs().sum(dim=0) > 0).all()


def test_fan_finds_the_frequency_of_a_wave():
    t = torch.arange(20.0)
    wave = torch.sin(2 * math.pi * 3 * t / 20)
    main, residual = split_by_frequency(wave.unsqueeze(0), top_k=1)
    torch.testing.assert_close(main[0], wave, rtol=0, atol=1e-5)
    assert residual.abs().max() < 1e-5


def test_fan_takes_most_of_the_variance_of_white_noise():
    """Ye et al.'s split on noise, L = 20: one bin takes about 28% of the variance. Levels only, then."""
    noise = torch.randn(20_000, 20, generator=torch.Generator().manual_seed(0))
    share = 1 - split_by_frequency(noise, 1)[1].var() / noise.var()
    assert share == pytest.approx(0.28, abs=0.02)


def test_san_statistics_by_hand():
    x = torch.tensor([[1.0, 3.0, 10.0, 10.0]])
    normalised, mean, deviation = slice_statistics(x, slices=2)
    assert mean.tolist() == [[2.0, 10.0]]
    expected = math.sqrt(2 + SD_FLOOR**2)  # unbiased variance of (1, 3) is 2, floored
    assert deviation[0, 0].item() == pytest.approx(expected)
    assert deviation[0, 1].item() == pytest.approx(SD_FLOOR)
    assert normalised[0].tolist() == pytest.approx([-1 / expected, 1 / expected, 0, 0])


def test_san_refuses_slices_that_would_leave_the_last_day_out():
    with pytest.raises(ValueError, match=r"model\.san\.slices: 3 does not divide the window of 20"):
        slice_statistics(torch.randn(2, 20), slices=3)


@pytest.mark.parametrize("day", [0, 5, 10, 19])
def test_fan_and_san_hand_every_day_on(day):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 20)
    changed = x.clone()
    changed[0, 0, day] += 1.0
    for layer in (
        FrequencyAdaptiveNorm(2, 20, 3, 8, 20, 4),
        SliceAdaptiveNorm(2, 20, 4, 8, 4),
    ):
        assert (layer(x) - layer(changed)).abs().max() > 1e-4


def test_fan_and_san_keep_the_level_and_scale_they_normalise_away():
    torch.manual_seed(0)
    x, san = torch.randn(1, 2, 20), SliceAdaptiveNorm(2, 20, 4, 8, 4)
    assert (san(x) - san(3 * x)).abs().max() > 1e-3
    assert (san(x) - san(x + 1)).abs().max() > 1e-3


def test_level_scale_by_hand():
    # One stock, one channel, two windows of two days: deviations from the windows' means are 1 and 2.
    levels = torch.tensor([0.0, 2.0, 10.0, 14.0]).reshape(4, 1, 1)
    scale = fit_level_scale(levels, window=2)
    assert scale.mean.item() == pytest.approx(6.5)
    assert scale.path_deviation.item() == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 4))
    absent = fit_level_scale(torch.full((4, 1, 1), torch.nan), window=2)
    assert [v.item() for v in absent] == [0.0, 1.0, 1.0]


def test_entropy_of_uniform_attention_is_one_and_of_a_single_choice_zero():
    uniform = attention_of([[0, 1, 2], [2, 2, 2]], [[1 / 3], [1 / 3], [1 / 3]])
    assert normalised_entropy(uniform, 3).tolist() == [[pytest.approx(1.0, abs=1e-5)]]
    single = attention_of([[0, 1, 2], [2, 2, 2]], [[1.0], [0.0], [0.0]])
    assert normalised_entropy(single, 3).tolist() == [[pytest.approx(0.0, abs=1e-5)]]


def test_entropy_is_divided_by_the_log_of_the_degree():
    # (1/2, 1/2, 0, 0): ln 2 of a possible ln 4. A stock with its self loop alone does not count.
    attention = attention_of([[0, 1, 2, 3, 4], [0, 0, 0, 0, 4]], [[0.5], [0.5], [0.0], [0.0], [1.0]])
    assert normalised_entropy(attention, 5).tolist() == [[pytest.approx(0.5, abs=1e-5)]]


def test_graph_block_shapes_and_attention():
    block = GraphBlock(8, heads=2, edge_dim=3, sign_channel=0, edge_dropout=0.0)
    edge_index = torch.tensor([[0, 1, 2, 3, 0], [1, 1, 0, 0, 0]])
    message, attention = block(torch.randn(4, 8), edge_index, torch.randn(5, 3))
    assert message.shape == (4, 8)
    assert attention.alpha.shape == (5, 2)
    assert attention.is_self.tolist() == [False, True, False, False, True]
    total = torch.zeros(4, 2).index_add_(0, edge_index[1], attention.alpha)
    assert total[:2].flatten().tolist() == pytest.approx([1.0] * 4)


def test_edge_dropout_spares_self_loops():
    block = GraphBlock(8, heads=2, edge_dim=1, sign_channel=0, edge_dropout=0.99).train()
    stock = torch.arange(50)
    edge_index = torch.cat([torch.stack([stock, stock]), torch.stack([stock, stock.roll(1)])], dim=1)
    torch.manual_seed(0)
    _, attention = block(torch.randn(50, 8), edge_index, torch.ones(100, 1))
    assert attention.is_self.sum() == 50
    assert (~attention.is_self).sum() < 10


def test_neutralisation_takes_half_of_the_peers_mean_at_the_start():
    layer = PeerNeutralisation(horizons=1)
    attention = attention_of([[1, 2, 0, 3], [0, 0, 0, 3]], [[0.3], [0.3], [0.4], [1.0]])
    score = layer(torch.tensor([[1.0], [2.0], [4.0], [5.0]]), attention)
    # Stock 0 has the peers 1 and 2 with equal weight: 1 - 0.5 * 3. The others have none.
    assert score.flatten().tolist() == pytest.approx([-0.5, 2.0, 4.0, 5.0])


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
