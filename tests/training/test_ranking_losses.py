"""Pairwise, listwise and soft-rank losses against loops, SciPy and what a missing label may change."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import entropy, rankdata, spearmanr

from gogooku_kedro.training import losses
from gogooku_kedro.training.losses import (
    information_coefficient,
    listnet,
    over_dates_and_horizons,
    pair_shifts,
    pairwise_logistic,
    pinball,
    rank_mse,
    soft_spearman,
)

NAN = float("nan")
STOCKS = 12


def all_pairs(score, target):
    return pairwise_logistic(score, target, range(1, score.size(1)))


def spearman_loss(score, target):
    return 1 - soft_spearman(score, target, temperature=0.1)


def ic_loss(score, target):
    return 1 - information_coefficient(score, target)


def quantile_loss(score, target):
    return pinball(score.unsqueeze(-1), target, torch.tensor([0.5]))


LOSSES = {
    "mse": rank_mse,
    "ic": ic_loss,
    "pairwise": all_pairs,
    "listnet": listnet,
    "soft_rank": spearman_loss,
    "quantile": quantile_loss,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def cross_sections(days: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and targets `(days, 12, 2)`; on the second date some targets are missing."""
    generator = torch.Generator().manual_seed(seed)
    score, target = (torch.randn(days, STOCKS, 2, generator=generator) for _ in range(2))
    target[1, :5, 0] = NAN
    return score, target


def by_date_and_horizon(score, target):
    for day in range(score.size(0)):
        for horizon in range(score.size(2)):
            known = ~target[day, :, horizon].isnan()
            yield (day, horizon), score[day, known, horizon].numpy(), target[day, known, horizon].numpy()


def test_pairwise_over_all_shifts_is_the_weighted_mean_over_all_pairs():
    score, target = cross_sections()
    ours = all_pairs(score, target)
    for where, s, t in by_date_and_horizon(score, target):
        total = weights = 0.0
        for i, j in combinations(range(len(s)), 2):
            weight = abs(t[i] - t[j])
            total += weight * math.log1p(math.exp(-math.copysign(1, t[i] - t[j]) * (s[i] - s[j])))
            weights += weight
        assert ours[where].item() == pytest.approx(total / weights, rel=1e-5)


def test_a_few_shifts_estimate_the_mean_over_all_pairs():
    score, target = cross_sections()
    few = torch.stack([pairwise_logistic(score, target, [k]) for k in range(1, STOCKS)])
    gaps = torch.stack([(target - target.roll(-k, dims=1)).abs().nansum(dim=1) for k in range(1, STOCKS)])
    torch.testing.assert_close((few * gaps).sum(dim=0) / gaps.sum(dim=0), all_pairs(score, target))


def test_shifts_follow_the_generator_and_pair_no_stock_with_itself():
    torch.manual_seed(5)
    first, second = pair_shifts(100, 8), pair_shifts(100, 8)
    torch.manual_seed(5)
    assert pair_shifts(100, 8) == first != second
    assert len(set(first)) == 8
    assert sorted(pair_shifts(5, 50)) == [1, 2, 3, 4]


def test_a_constant_score_costs_ln_2_in_every_pair():
    _, target = cross_sections()
    torch.testing.assert_close(all_pairs(torch.zeros(3, STOCKS, 2), target), torch.full((3, 2), math.log(2)))


def test_listnet_equals_scipy():
    score, target = cross_sections()
    ours = listnet(score, target)
    for where, s, t in by_date_and_horizon(score, target):
        assert ours[where].item() == pytest.approx(-(softmax(t) * log_softmax(s)).sum(), rel=1e-5)
        divergence = rel_entr(softmax(t), softmax(s)).sum()
        assert ours[where].item() == pytest.approx(entropy(softmax(t)) + divergence, rel=1e-5)
    perfect = listnet(target.nan_to_num(), target)
    for where, _, t in by_date_and_horizon(score, target):
        assert perfect[where].item() == pytest.approx(entropy(softmax(t)), rel=1e-5)


@pytest.mark.parametrize("block", [1, 2**24], ids=["a block a stock", "one block"])
def test_soft_rank_becomes_spearman_as_the_temperature_goes_to_zero(monkeypatch, block):
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    score, target = cross_sections()
    target[2, 3:6] = target[2, 3]  # a tie
    cold, warm = (soft_spearman(score, target, temperature) for temperature in (1e-4, 1.0))
    for where, s, t in by_date_and_horizon(score, target):
        assert cold[where].item() == pytest.approx(spearmanr(s, t).statistic, abs=1e-5)
    assert (warm - cold).abs().max() > 0.01


def test_soft_ranks_count_the_stocks_below():
    score, target = cross_sections()
    everyone = torch.ones(target.shape, dtype=torch.bool)
    np.testing.assert_allclose(losses._soft_ranks(score * 1e5, everyone), rankdata(score, axis=1), atol=1e-4)
    tied = losses._soft_ranks(torch.zeros(1, 3, 1), everyone[:1, :3, :1])
    assert tied.flatten().tolist() == [2.0, 2.0, 2.0]


def test_the_temperature_is_in_units_of_the_spread_of_the_scores():
    score, target = cross_sections()
    torch.testing.assert_close(soft_spearman(50 * score + 3, target), soft_spearman(score, target))


def test_the_blocks_of_the_soft_ranks_do_not_change_the_gradient(monkeypatch):
    score, target = cross_sections()
    gradients = []
    for block in (1, 100, 2**24):
        monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
        s = score.clone().requires_grad_()
        soft_spearman(s, target, 0.1).sum().backward()
        gradients.append(s.grad)
    torch.testing.assert_close(gradients[0], gradients[2])
    torch.testing.assert_close(gradients[1], gradients[2])


@every_loss
def test_the_gradient_is_that_of_the_finite_difference(loss):
    score, target = cross_sections()
    s = score.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(s, target).nansum(), s)
    direction = torch.randn(score.shape, generator=torch.Generator().manual_seed(1))
    step = 1e-3
    values = [loss(score + sign * step * direction, target).double().nansum() for sign in (1, -1)]
    assert (gradient * direction).sum().item() == pytest.approx(
        ((values[0] - values[1]) / (2 * step)).item(), rel=0.02, abs=1e-2
    )


@every_loss
def test_a_perfect_score_is_better_than_a_random_one_and_a_reversed_one_worse(loss):
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(20, 50, 2, generator=generator)
    random = torch.randn(20, 50, 2, generator=generator)
    perfect, chance, reversed_ = (loss(s, target).mean().item() for s in (target, random, -target))
    assert perfect < chance < reversed_


@every_loss
def test_what_stands_where_the_label_is_missing_changes_nothing(loss):
    score, target = cross_sections()
    wild = torch.where(target.isnan(), 1e6, score)
    torch.testing.assert_close(loss(wild, target), loss(score, target))
    some = ~target[1, :, 0].isnan()
    alone = loss(score[1:2, some, :1], target[1:2, some, :1])
    torch.testing.assert_close(alone[0, 0], loss(score, target)[1, 0])


@every_loss
@pytest.mark.parametrize("labels", [[], [1.0], [1.0, 1.0], [0.0, 1.0]], ids=["none", "one", "equal", "two"])
def test_dates_with_hardly_a_label_send_no_nan_back(loss, labels):
    score = torch.randn(2, 5, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.full((2, 5, 1), NAN)
    target[0] = torch.arange(5.0).unsqueeze(1)
    target[1, : len(labels), 0] = torch.tensor(labels)
    value = loss(score, target)
    assert value[0].isfinite().all()
    assert value[1].isnan().item() or labels
    (gradient,) = torch.autograd.grad(value.nanmean(), score)
    assert gradient.isfinite().all()
    assert (gradient[1, len(labels) :] == 0).all()
    assert (gradient[0] != 0).any()


@every_loss
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_score_has_a_finite_loss_and_gradient(loss, value):
    _, target = cross_sections()
    score = torch.full(target.shape, value, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(score, target).nanmean(), score)
    assert loss(score, target).isfinite().all()
    assert gradient.isfinite().all()


@every_loss
def test_half_precision_scores_are_judged_in_float32(loss):
    score, target = cross_sections()
    half = score.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, target)
    assert value.dtype is torch.float32
    torch.testing.assert_close(value, loss(half.float(), target))


def test_dates_are_averaged_before_horizons_and_weights_have_mean_one():
    term = torch.tensor([[1.0, 10.0, NAN, NAN], [3.0, NAN, NAN, NAN]])

    def average(*weights):
        return over_dates_and_horizons(term, torch.tensor(weights, dtype=torch.float32)).item()

    assert average(1, 1, 1, 1) == pytest.approx((2 + 10) / 2)
    assert average(3, 1, 1, 1) == pytest.approx((3 * 2 + 10) / 4)
    assert average(30, 10, 0, 70) == pytest.approx((3 * 2 + 10) / 4)
    assert average(0, 1, 0, 0) == pytest.approx(10)
    assert math.isnan(average(0, 0, 1, 1))


def test_a_horizon_without_weight_has_no_gradient_and_missing_ones_no_nan():
    score = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    target[:, :, 2] = NAN
    over_dates_and_horizons(rank_mse(score, target), torch.tensor([1.0, 0.0, 5.0, 2.0])).backward()
    assert score.grad.isfinite().all()
    assert [(score.grad[..., h] != 0).any().item() for h in range(4)] == [True, False, False, True]


def test_the_pairwise_loss_of_a_step_draws_its_partners_from_the_generator(monkeypatch):
    monkeypatch.setattr(losses, "PARTNERS", 3)
    score, target = cross_sections()
    torch.manual_seed(5)
    shifts = pair_shifts(STOCKS, 3)
    torch.manual_seed(5)
    first, second = (losses.sampled_pairwise(score, target) for _ in range(2))
    torch.testing.assert_close(first, pairwise_logistic(score, target, shifts))
    assert not torch.equal(first, second)
