"""Loss terms against SciPy and by hand; missing labels never count."""

import pytest
import torch
from scipy.stats import pearsonr

from gogooku_kedro.model import AttentionEntropy, GraphAttention
from gogooku_kedro.training.losses import (
    edge_weight_penalty,
    entropy_penalty,
    information_coefficient,
    pinball,
    rank_mse,
)

NAN = float("nan")


def days(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).unsqueeze(-1)  # (D, N, 1 horizon)


def test_mse_is_averaged_per_date_over_known_labels():
    score, target = days([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]), days([0.0, NAN, 1.0], [2.0, NAN, NAN])
    assert rank_mse(score, target).flatten().tolist() == pytest.approx([2.5, 4.0])


def test_a_date_without_labels_is_missing_and_has_no_gradient():
    score = days([1.0, 2.0], [1.0, 2.0]).requires_grad_()
    target = days([NAN, NAN], [0.0, 1.0])
    for loss in (rank_mse, information_coefficient):
        value = loss(score, target)
        assert value[0].isnan().all()
        (grad,) = torch.autograd.grad(value.nanmean(), score)
        assert grad.isfinite().all()
        assert (grad[0] == 0).all()


def test_ic_equals_scipy():
    generator = torch.Generator().manual_seed(0)
    score, target = (torch.randn(3, 40, 2, generator=generator) for _ in range(2))
    target[1, :10, 0] = NAN
    ours = information_coefficient(score, target)
    for day in range(3):
        for horizon in range(2):
            known = ~target[day, :, horizon].isnan()
            theirs = pearsonr(score[day, known, horizon], target[day, known, horizon]).statistic
            assert ours[day, horizon].item() == pytest.approx(theirs, abs=1e-5)


def test_a_constant_score_has_no_correlation_rather_than_nan():
    ic = information_coefficient(days([1.0, 1.0, 1.0]), days([0.0, 1.0, 2.0]))
    assert ic.item() == 0.0


def test_what_stands_where_the_label_is_missing_does_not_matter():
    target = days([0.0, 1.0, 2.0, NAN])
    calm, wild = days([0.0, 1.0, 3.0, 0.0]), days([0.0, 1.0, 3.0, 1e6])
    for loss in (rank_mse, information_coefficient):
        torch.testing.assert_close(loss(calm, target), loss(wild, target))


def test_pinball_by_hand():
    quantiles = torch.tensor([[[[0.0, 1.0]]]])  # one date, one stock, one horizon, two levels
    loss = pinball(quantiles, days([2.0]), torch.tensor([0.1, 0.9]))
    assert loss.item() == pytest.approx((0.1 * 2 + 0.9 * 1) / 2)


def attention(logits: torch.Tensor) -> GraphAttention:
    edge_index = torch.tensor([[0, 1, 2], [2, 2, 2]])
    alpha = logits.softmax(dim=0).unsqueeze(-1)
    gate = torch.tensor([0.2, 0.6, 1.0])
    is_self = edge_index[0] == edge_index[1]
    return GraphAttention(edge_index, alpha, gate, torch.ones(3), is_self, torch.zeros(()))


def test_descending_the_entropy_penalty_raises_the_entropy():
    logits = torch.tensor([2.0, 0.0, -1.0], requires_grad=True)
    before = entropy_penalty(AttentionEntropy.of(attention(logits), 3))
    (grad,) = torch.autograd.grad(before, logits)
    after = entropy_penalty(AttentionEntropy.of(attention(logits - 0.5 * grad), 3))
    assert after < before
    assert entropy_penalty(AttentionEntropy.of(attention(torch.zeros(3)), 3)).item() == pytest.approx(0, abs=1e-5)


def test_edge_penalty_is_the_mean_gate_between_different_stocks():
    assert edge_weight_penalty(attention(torch.zeros(3))).item() == pytest.approx(0.4)
