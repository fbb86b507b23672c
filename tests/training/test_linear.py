"""The linear path starts from a regression that knows the training part, is chosen on validation, and nothing else."""

import numpy as np
import pytest
import torch

from gogooku_kedro.training.graph_tensors import GraphTensors
from gogooku_kedro.training.linear import PENALTIES, SHARES, fit_linear, mixture, neighbour_means, refit_linear
from gogooku_kedro.training.tensors import MarketTensors

SESSIONS, STOCKS, FEATURES = 120, 40, 6
TRAIN, VALID = (0, 70), (75, 95)
OWN = torch.tensor([1.0, -0.5, 0.0, 0.0, 0.0, 0.0])
TOLD = torch.tensor([0.0, 0.0, 0.8, 0.0, 0.0, 0.0])


def ring(sessions: int = SESSIONS, stocks: int = STOCKS) -> GraphTensors:
    """Every stock hears the two beside it, the second turned round, and itself."""
    here = torch.arange(stocks)
    source = torch.cat([(here + 1) % stocks, (here - 1) % stocks, here])
    correlation = torch.cat([torch.full((stocks,), 0.5), torch.full((stocks,), -0.5), torch.ones(stocks)])
    order = torch.argsort(here.repeat(3), stable=True)
    edges = torch.stack([source, here.repeat(3)])[:, order].contiguous()
    offset, graphs = torch.tensor([0, 3 * stocks]), torch.zeros(sessions, dtype=torch.int64)
    return GraphTensors(edges, correlation[order].unsqueeze(1).contiguous(), offset, graphs)


def heard(x: torch.Tensor) -> torch.Tensor:
    """Means over the neighbours of the ring by hand."""
    return (x.roll(-1, dims=1) - x.roll(1, dims=1)) / 2


@pytest.fixture
def market() -> MarketTensors:
    """A market whose labels are linear in a stock's features and in those of its neighbours, with noise."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(SESSIONS, STOCKS, FEATURES, generator=draw)
    signal = x @ OWN + heard(x) @ TOLD
    noise = torch.randn(SESSIONS, STOCKS, 4, generator=draw) * torch.tensor([1.0, 2.0, 3.0, 5.0])
    target = signal.unsqueeze(-1) + noise
    target[::2, :9, 3] = torch.nan
    empty = torch.empty(SESSIONS, STOCKS, 0)
    columns = torch.empty(0, dtype=torch.int64)
    here = torch.ones(SESSIONS, STOCKS, dtype=torch.bool)
    return MarketTensors(x, here, empty, torch.empty(SESSIONS, 0), target, ring(), columns)


def test_neighbours_are_averaged_with_their_signs_and_without_the_stock_itself(market):
    means = neighbour_means(market, (10, 14), 0)
    torch.testing.assert_close(means, heard(market.x[10:14]))
    alike = neighbour_means(market, (10, 14), None)
    torch.testing.assert_close(alike, (market.x[10:14].roll(-1, dims=1) + market.x[10:14].roll(1, dims=1)) / 2)


def test_an_absent_neighbour_is_not_heard(market):
    market.present[12, 5] = False
    means = neighbour_means(market, (10, 14), 0)
    torch.testing.assert_close(means[2, 4], -market.x[12, 3])
    torch.testing.assert_close(means[1], heard(market.x[11:12])[0])


def test_it_finds_what_is_linear(market):
    fitted = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    assert fitted.weight.shape == (8, FEATURES)
    for of_horizon in range(4):
        own, told = fitted.weight[of_horizon], fitted.weight[4 + of_horizon]
        both, true = torch.cat([own, told]), torch.cat([OWN, TOLD])
        assert torch.cosine_similarity(both, true, dim=0) > 0.97


def adaptive_ridge(z: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """By the textbook: a ridge regression, and one more whose penalties its weights have scaled."""
    weights = np.ones(z.shape[1])
    for _ in range(2):
        scaled = z / np.sqrt(penalty * len(y) * weights.mean() / weights)  # a penalty of 1 on what is scaled
        found = np.linalg.solve(scaled.T @ scaled + np.eye(z.shape[1]), scaled.T @ y)
        found /= np.sqrt(penalty * len(y) * weights.mean() / weights)
        weights = np.sqrt(np.abs(found) / np.sqrt(np.mean(found**2)) + 0.1)
    return found


def test_a_horizon_is_half_its_own_regression_and_half_the_shorter_ones(market):
    fitted = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    z = torch.cat([market.x, heard(market.x)], dim=-1)[slice(*TRAIN)].flatten(0, 1).double().numpy()
    targets = market.target[slice(*TRAIN)].flatten(0, 1).double().numpy()
    each = []
    for h, penalty in enumerate(fitted.penalties):
        known = ~np.isnan(targets[:, h])
        weights = adaptive_ridge(z[known], targets[known, h], penalty)
        each.append(weights / np.sqrt(np.mean((z @ weights) ** 2)))
    for h in range(4):
        expected = each[h] + np.mean(each[: max(h, 1)], axis=0)
        found = torch.cat([fitted.weight[h], fitted.weight[4 + h]]).double().numpy()
        np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=2e-5)


def test_penalties_do_not_fall_with_the_horizon(market):
    penalties = fit_linear(market, TRAIN, VALID, 0, neighbours=True).penalties
    assert list(penalties) == sorted(penalties)
    assert set(penalties) <= set(PENALTIES)


def test_scores_of_the_validation_part_have_unit_variance(market):
    fitted = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    own, told = fitted.weight.split(4)
    by_hand = market.x[slice(*VALID)] @ own.T + heard(market.x[slice(*VALID)]) @ told.T
    torch.testing.assert_close(fitted.valid, by_hand)
    deviations = fitted.valid - fitted.valid.mean(dim=1, keepdim=True)
    torch.testing.assert_close(deviations.square().mean(dim=(0, 1)), torch.ones(4))


@pytest.mark.parametrize("beyond", [VALID[1], SESSIONS - 5])
def test_nothing_after_the_validation_part_is_read(market, beyond):
    before = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    for values in (market.x, market.target):
        values[beyond:] = 1e6
    market.present[beyond:] = False
    after = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    torch.testing.assert_close(after.weight, before.weight, rtol=0, atol=0)


def test_the_gap_before_validation_is_not_learned_from(market):
    before = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    market.target[TRAIN[1] : VALID[0]] = 1e6
    torch.testing.assert_close(fit_linear(market, TRAIN, VALID, 0, neighbours=True).weight, before.weight)


def test_a_refit_keeps_what_validation_chose(market):
    fitted = fit_linear(market, TRAIN, VALID, 0, neighbours=True)
    same = refit_linear(fitted, market, TRAIN, 0, neighbours=True)
    torch.testing.assert_close(same.weight, fitted.weight)
    later = refit_linear(fitted, market, (TRAIN[0], VALID[1]), 0, neighbours=True)
    assert later.penalties == fitted.penalties
    assert not torch.equal(later.weight, fitted.weight)
    torch.testing.assert_close(later.spread, fitted.spread, rtol=0, atol=0)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.randn(30, 50, 4, generator=torch.Generator().manual_seed(5))


def noise(seed: int, labels: torch.Tensor) -> torch.Tensor:
    return torch.randn(labels.shape, generator=torch.Generator().manual_seed(seed))


def test_two_scores_that_err_apart_are_averaged(labels):
    network, linear = 3 * (labels + noise(1, labels)), labels + noise(2, labels)
    mixed = mixture(network, linear / linear.flatten(0, 1).std(dim=0), labels)
    assert mixed.share == 1.0


def test_linear_scores_never_outweigh_the_network(labels):
    assert mixture(noise(1, labels), labels, labels).share == SHARES[-1] == 1.0


def test_linear_scores_that_know_nothing_are_left_out(labels):
    mixed = mixture(labels, noise(1, labels), labels)
    assert mixed.share == 0
    assert mixed.linear == (0.0,) * 4


def test_the_sum_is_on_the_scale_of_the_labels(labels):
    network, linear = 7 * (labels + noise(1, labels)), labels + noise(2, labels)
    missing = labels.masked_fill(noise(3, labels) > 1, torch.nan)
    mixed = mixture(network, linear, missing)
    known = ~missing.isnan()
    for h in range(4):
        score = mixed.network[h] * network[..., h] + mixed.linear[h] * linear[..., h]
        there = known[..., h]
        mean = (score * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True)
        x, y = (score - mean)[there].numpy(), labels[..., h][there].numpy()
        assert np.dot(x, y) / np.dot(x, x) == pytest.approx(1, abs=1e-4)


def test_what_all_scores_of_a_date_share_changes_nothing(labels):
    network, linear = labels + noise(1, labels), labels + noise(2, labels)
    by_date = 50 * torch.randn(30, 1, 4, generator=torch.Generator().manual_seed(9))
    plain, moved = mixture(network, linear, labels), mixture(network + by_date, linear, labels)
    assert plain.share == moved.share
    assert plain.network == pytest.approx(moved.network, rel=1e-3)


def test_a_sum_that_points_the_wrong_way_keeps_its_order(labels):
    """Nothing is turned round on the word of the validation part."""
    mixed = mixture(-labels, noise(1, labels), labels)
    assert min(mixed.network) > 0
    assert min(mixed.linear) >= 0
