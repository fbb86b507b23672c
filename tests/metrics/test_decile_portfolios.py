from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.metrics.decile_portfolios import (
    decile_legs,
    decile_means,
    decile_numbers,
    long_only,
    long_short,
    long_short_targets,
    overlapping,
    portfolio_returns,
)
from gogooku_kedro.metrics.rank_ic import row_ranks

RISING = np.arange(10.0)


def test_each_leg_sums_to_one_and_the_high_score_is_bought() -> None:
    weights = long_short_targets(row_ranks(np.arange(40.0)[None]))[0]
    assert weights[:4].tolist() == [-0.25] * 4
    assert weights[36:].tolist() == [0.25] * 4
    assert np.abs(weights[4:36]).sum() == 0.0


@pytest.mark.parametrize(("codes", "leg"), [(5, 1), (9, 1), (10, 1), (15, 2), (25, 3), (35, 4), (200, 20), (1005, 101)])
def test_both_deciles_hold_the_same_number_of_stocks(codes: int, leg: int) -> None:
    top, bottom = decile_legs(row_ranks(np.arange(float(codes))[None]))
    assert (top.sum(), bottom.sum()) == (leg, leg)


@pytest.mark.parametrize("codes", [*range(5, 130), 201, 500, 999, 1000, 1001, 1005, 2011])
def test_deciles_are_those_of_pandas(codes: int) -> None:
    score = np.random.default_rng(codes).permutation(codes).astype(float)
    expected = pd.qcut(score, 10, labels=False) + 1
    ranks = row_ranks(score[None])
    np.testing.assert_array_equal(decile_numbers(ranks)[0], expected)
    top, bottom = decile_legs(ranks)
    np.testing.assert_array_equal(top[0], expected == 10)
    np.testing.assert_array_equal(bottom[0], expected == 1)
    means, by_pandas = decile_means(score[None], score[None])[0], pd.Series(score).groupby(expected).mean()
    np.testing.assert_allclose(means, by_pandas.reindex(range(1, 11)))


def test_fifteen_stocks_by_hand() -> None:
    # Edges at 1.4, 2.8, 4.2, ..., 12.6 stocks from the lowest: two stocks at either end.
    deciles = decile_numbers(row_ranks(np.arange(15.0)[None]))[0]
    assert deciles.tolist() == [1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 10]


def test_a_stock_on_an_edge_belongs_to_the_decile_below() -> None:
    deciles = decile_numbers(row_ranks(np.arange(11.0)[None]))[0]
    assert deciles.tolist() == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_tied_stocks_stay_together_and_a_constant_score_fills_neither_end() -> None:
    tied = row_ranks(np.array([[0.0, 0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 14, 14]]))
    top, bottom = decile_legs(tied)
    # Ranks 2, 2, 2 are 1 of 14 places up, within 1.4; ranks 14 are 13 up, beyond 12.6.
    assert np.flatnonzero(bottom[0]).tolist() == [0, 1, 2]
    assert np.flatnonzero(top[0]).tolist() == [12, 13, 14]
    wide = row_ranks(np.array([[0.0] * 5 + [5.0, 6, 7, 8, 9] + [14.0] * 5]))
    assert not np.any(decile_legs(wide))  # their mean place is outside the outer deciles
    assert set(decile_numbers(row_ranks(np.ones((1, 15))))[0]) == {5}


def test_a_negated_score_has_the_mirrored_deciles_where_no_stock_is_on_an_edge() -> None:
    score = np.random.default_rng(3).integers(0, 12, (50, 25)).astype(float)
    top, bottom = decile_legs(row_ranks(score))
    below, above = decile_legs(row_ranks(-score))
    np.testing.assert_array_equal(top, above)
    np.testing.assert_array_equal(bottom, below)


def test_constant_score_and_tiny_universe_hold_nothing() -> None:
    assert not long_short_targets(row_ranks(np.full((1, 20), 0.3))).any()
    assert not long_short_targets(row_ranks(np.arange(4.0)[None])).any()


def test_three_sessions_by_hand_with_two_overlapping_portfolios() -> None:
    # day 1: buy J, sell A; day 2: buy A, sell J; day 3: as day 1. Half of each portfolio is held.
    score = np.stack([RISING, RISING[::-1], RISING])
    ret = np.zeros((3, 10))
    ret[:, 9], ret[:, 0] = [0.02, 0.01, 0.04], [-0.02, 0.03, 0.00]
    portfolio = long_short(score, ret, horizon=2, cost_bps=10.0)
    # W_1 = (J +0.5, A -0.5); W_2 = 0 as the two portfolios cancel; W_3 = 0
    np.testing.assert_allclose(portfolio.gross, [0.02, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(portfolio.turnover, [0.5, 0.5, 0.0], atol=1e-15)
    np.testing.assert_allclose(portfolio.cost, [0.001, 0.001, 0.0], atol=1e-15)
    np.testing.assert_allclose(portfolio.net, [0.019, -0.001, 0.0], atol=1e-15)


def test_three_sessions_by_hand_with_a_daily_portfolio() -> None:
    score = np.stack([RISING, RISING[::-1], RISING[::-1]])
    ret = np.zeros((3, 10))
    ret[:, 9], ret[:, 0] = [0.02, 0.01, 0.04], [-0.02, 0.03, 0.00]
    portfolio = long_short(score, ret, horizon=1, cost_bps=20.0)
    np.testing.assert_allclose(portfolio.gross, [0.04, 0.02, -0.04], atol=1e-15)
    np.testing.assert_allclose(portfolio.turnover, [1.0, 2.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(portfolio.net, [0.036, 0.012, -0.04], atol=1e-15)


def test_exposure_builds_up_over_the_holding_period() -> None:
    targets = long_short_targets(row_ranks(np.tile(RISING, (6, 1))))
    held = overlapping(targets, 4)
    np.testing.assert_allclose(np.abs(held).sum(axis=1), [0.5, 1.0, 1.5, 2.0, 2.0, 2.0])


def test_stock_without_its_first_return_is_not_entered() -> None:
    ret = np.full((1, 10), 0.01)
    ret[0, 9] = np.nan
    with_gap = long_short(RISING[None], ret, 1, 0.0)
    ret[0, 9], ret[0, 8] = 0.01, 0.51
    assert with_gap.gross[0] == pytest.approx(0.0)  # second best is bought instead
    assert long_short(RISING[None], ret, 1, 0.0).gross[0] == pytest.approx(0.0)


def test_held_position_that_cannot_be_marked_earns_nothing_that_day() -> None:
    score = np.stack([RISING, np.full(10, np.nan)])
    ret = np.full((2, 10), 0.03)
    ret[0, 0] = 0.0
    ret[1, 9] = np.nan
    portfolio = long_short(score, ret, horizon=2, cost_bps=0.0)
    assert portfolio.gross[1] == pytest.approx(-0.5 * 0.03)  # only the short leg is marked


def test_session_without_any_return_is_missing_and_not_zero() -> None:
    ret = np.full((2, 10), 0.01)
    ret[1] = np.nan
    portfolio = long_short(np.stack([RISING, RISING]), ret, 1, 10.0)
    assert np.isnan([portfolio.gross[1], portfolio.net[1], portfolio.turnover[1], portfolio.cost[1]]).all()


def test_zero_cost_leaves_gross_and_higher_cost_never_helps() -> None:
    rng = np.random.default_rng(0)
    score, ret = rng.normal(size=(30, 50)), rng.normal(0, 0.02, size=(30, 50))
    nets = [long_short(score, ret, 5, bps).net for bps in (0.0, 5.0, 10.0, 20.0)]
    np.testing.assert_array_equal(nets[0], long_short(score, ret, 5, 10.0).gross)
    for cheap, dear in pairwise(nets):
        assert (dear < cheap).all()


def test_negated_score_earns_the_opposite_before_costs() -> None:
    rng = np.random.default_rng(1)
    score, ret = rng.normal(size=(20, 30)), rng.normal(0, 0.02, size=(20, 30))
    forward, backward = long_short(score, ret, 5, 10.0), long_short(-score, ret, 5, 10.0)
    np.testing.assert_allclose(forward.gross, -backward.gross, atol=1e-15)
    np.testing.assert_allclose(forward.cost, backward.cost, atol=1e-15)


def test_long_only_is_measured_against_the_equally_weighted_universe() -> None:
    ret = np.full((1, 10), 0.01)
    ret[0, 9] = 0.11  # universe earns 0.02, the top decile 0.11
    portfolio = long_only(RISING[None], ret, 1, 10.0)
    assert portfolio.gross[0] == pytest.approx(0.09)
    assert portfolio.net[0] == pytest.approx(0.09 - 0.001)
    assert long_only(np.ones((1, 10)), ret, 1, 0.0).gross[0] == 0.0


def test_longer_holding_trades_less() -> None:
    rng = np.random.default_rng(2)
    score, ret = rng.normal(size=(100, 50)), rng.normal(0, 0.02, size=(100, 50))
    daily, monthly = (long_short(score, ret, h, 0.0).turnover.mean() for h in (1, 20))
    assert monthly < 0.4 * daily


def test_decile_means_follow_the_score() -> None:
    means = decile_means(np.arange(20.0)[None], np.arange(20.0)[None])
    np.testing.assert_allclose(means[0], np.arange(0.5, 20, 2.0))
    assert np.isnan(decile_means(np.ones((1, 20)), np.arange(20.0)[None])).all()


def test_negative_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="cost_bps is -1"):
        portfolio_returns(np.zeros((1, 3)), np.zeros((1, 3)), -1.0)
