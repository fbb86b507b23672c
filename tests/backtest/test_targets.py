"""Who enters a leg, who may stay in it, and what a sector may weigh."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.backtest.targets import (
    best_ranked,
    cap_sectors,
    one_hot,
    portfolio_legs,
    target_weights,
    worst_ranked,
)
from gogooku_kedro.metrics.decile_portfolios import decile_legs
from gogooku_kedro.metrics.rank_ic import row_ranks
from tests.backtest.small_market import held_portfolios, one_portfolio, portfolios, random_market, rules

NAN = np.nan


@pytest.mark.parametrize("codes", [4, 5, 9, 10, 11, 15, 16, 200, 1001])
def test_a_tenth_is_the_decile_of_the_metrics(codes: int) -> None:
    score = np.random.default_rng(codes).integers(0, codes, (20, codes)).astype(float)  # with ties
    top, bottom = decile_legs(row_ranks(score))
    np.testing.assert_array_equal(best_ranked(score, shares=[0.1])[0], top)
    np.testing.assert_array_equal(worst_ranked(score, [0.1])[0], bottom)


@pytest.mark.parametrize("codes", [5, 6, 11, 15, 25, 101])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.5])
def test_a_share_is_the_outer_quantile_of_pandas(codes: int, share: float) -> None:
    score = np.random.default_rng(codes).permutation(codes).astype(float)
    of_pandas = pd.qcut(score, [0, share, 1 - share, 1] if share < 0.5 else [0, 0.5, 1], labels=False)
    np.testing.assert_array_equal(worst_ranked(score[None], [share])[0][0], of_pandas == 0)
    np.testing.assert_array_equal(best_ranked(score[None], shares=[share])[0][0], of_pandas == of_pandas.max())


def test_the_middle_stock_of_two_halves_is_in_one_of_them() -> None:
    assert worst_ranked([[1.0, 2, 3, 4, 5]], [0.5])[0][0].tolist() == [True, True, True, False, False]
    assert best_ranked([[1.0, 2, 3, 4, 5]], shares=[0.5])[0][0].tolist() == [False, False, False, True, True]
    assert not worst_ranked([[1.0] * 6], [0.5])[0].any()


def test_the_best_three_are_three_and_ties_enter_together_or_not_at_all() -> None:
    assert best_ranked([[6.0, 5, 4, 3, 2, 1]], counts=[3])[0][0].tolist() == [True] * 3 + [False] * 3
    assert best_ranked([[6.0, 5, 4, 4, 2, 1]], counts=[3])[0][0].sum() == 4  # ranks 1, 2, 3.5, 3.5
    assert best_ranked([[6.0, 5, 4, 4, 4, 4]], counts=[3])[0][0].sum() == 2  # ranks 1, 2, 4.5, ...
    assert not best_ranked([[1.0] * 6], counts=[3])[0].any()
    assert not best_ranked([[4.0, 3, 2, 1, NAN, NAN]], counts=[3])[0].any()  # fewer than five


def test_the_short_leg_is_the_bottom_of_what_can_be_borrowed() -> None:
    score, loanable = np.arange(20.0)[None], np.arange(20)[None] % 2 == 1  # 1, 3, ..., 19
    legs = portfolio_legs("long_short", score, loanable, rules())
    assert np.flatnonzero(legs.enter_short[0, 0]).tolist() == [1, 3]
    assert np.flatnonzero(legs.enter_long[0, 0]).tolist() == [16, 17, 18, 19]
    with pytest.raises(ValueError, match="portfolio is 'short_only'; choose one of"):
        portfolio_legs("short_only", score, loanable, rules())


def test_only_loanable_stocks_are_ever_short() -> None:
    _, score = random_market(8)
    loanable = np.random.default_rng(1).random(30) < 0.5
    legs = portfolio_legs("long_short", score, np.broadcast_to(loanable, score.shape), rules(hysteresis=0.4))
    assert not (legs.enter_short | legs.stay_short)[..., ~loanable].any()
    assert legs.enter_long[..., ~loanable].any()


def test_a_held_stock_stays_while_it_ranks_within_the_wider_band() -> None:
    ranks = np.array(
        [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], [9, 8, 10, 7, 6, 5, 4, 3, 2, 1], [8, 9, 10, 7, 6, 5, 4, 3, 2, 1]]
    )
    legs = portfolio_legs("long_only", ranks.astype(float), np.ones((3, 10), bool), rules(top_k=1, hysteresis=0.4))
    held = np.zeros((1, 10))
    members = []
    for day in range(3):
        long, _ = legs.members(day, held)
        members.append("".join(np.array(list("ABCDEFGHIJ"))[long[0]]))
        held = long.astype(float)
    # Day 2: A is second of ten, inside the band of two, and stays beside C. Day 3: third, and out.
    assert members == ["A", "AC", "C"]


def test_a_stock_held_short_stays_while_it_ranks_within_the_wider_band() -> None:
    scores = np.array([np.arange(10.0), [1, 0, 2, 3, 4, 5, 6, 7, 8, 9], [2, 0, 1, 3, 4, 5, 6, 7, 8, 9]])
    chosen = rules(decile_share=0.1, hysteresis=0.2)
    legs = portfolio_legs("long_short", scores, np.ones((3, 10), bool), chosen)
    held = np.zeros((1, 10))
    members = []
    for day in range(3):
        long, short = legs.members(day, held)
        members.append("".join(np.array(list("ABCDEFGHIJ"))[short[0]]))
        held = long.astype(float) - short
    # Day 2: A is second to last of ten, inside the band of two, and stays beside B. Day 3: third to last, and out.
    assert members == ["A", "AB", "B"]


def test_a_stock_held_on_one_side_is_not_kept_on_the_other() -> None:
    scores = np.arange(10.0)[None]
    legs = portfolio_legs("long_short", scores, np.ones((1, 10), bool), rules(decile_share=0.1, hysteresis=0.2))
    long, short = legs.members(0, np.where(np.arange(10) == 8, -1.0, np.where(np.arange(10) == 1, 1.0, 0.0))[None])
    assert (np.flatnonzero(long).tolist(), np.flatnonzero(short).tolist()) == ([9], [0])


def test_the_band_lowers_the_turnover() -> None:
    panel, score = random_market(9)
    for horizon, portfolio in ((1, "long_short"), (5, "long_short"), (1, "long_only")):
        narrow, wide = (
            one_portfolio(portfolios(panel, score, (horizon,), hysteresis=band), portfolio, horizon)["turnover"].mean()
            for band in (None, 0.4)
        )
        assert wide < 0.9 * narrow


def test_sectors_are_capped_and_the_excess_goes_to_the_others() -> None:
    sectors = one_hot(np.array(["bank", "bank", "food", "chip"]))
    leg = np.array([[0.3, 0.3, 0.3, 0.1]])
    # Banks fall from 0.6 to 0.4; the rest grows by 0.6 / 0.4 to 0.45 and 0.15; food is cut to 0.4 as well.
    np.testing.assert_allclose(cap_sectors(leg, sectors, 0.4), [[0.2, 0.2, 0.4, 0.2]])
    np.testing.assert_allclose(cap_sectors(leg, sectors, 0.7), leg)
    # Three sectors of at most 0.3 cannot hold it all.
    np.testing.assert_allclose(cap_sectors(leg, sectors, 0.3), [[0.15, 0.15, 0.3, 0.3]])
    np.testing.assert_array_equal(cap_sectors(np.zeros((1, 4)), sectors, 0.4), np.zeros((1, 4)))


def test_a_leg_that_the_cap_leaves_smaller_shrinks_the_other() -> None:
    sectors = one_hot(np.array(["bank", "bank", "food", "chip"]))
    long, short = np.array([[True, True, False, False]]), np.array([[False, False, True, True]])
    weights = target_weights(long, short, np.array([True]), sectors, 0.4)
    np.testing.assert_allclose(weights, [[0.2, 0.2, -0.2, -0.2]])
    alone = target_weights(long, ~long & False, np.array([False]), sectors, 0.4)
    np.testing.assert_allclose(alone, [[0.2, 0.2, 0.0, 0.0]])
    none = target_weights(long, ~long & False, np.array([True]), sectors, 0.4)
    assert not none.any()


def test_the_sector_cap_holds_every_day() -> None:
    panel, score = random_market(10, sector=[f"s{i % 4}" for i in range(30)])
    score[:, ::4] += 3.0  # one sector is everybody's darling
    groups = one_hot(panel["sector"].values.astype(str))
    for band in (None, 0.4):
        for cap, exceeded in ((0.4, False), (None, True)):
            shares = [
                share
                for day in held_portfolios(panel, score, sector_cap=cap, hysteresis=band)
                for leg in (day.weights.clip(min=0), -day.weights.clip(max=0))
                for share in (leg @ groups)[0]
            ]
            assert bool(max(shares) > 0.4 + 1e-9) is exceeded


def test_the_sector_cap_is_void_where_no_sector_is_known() -> None:
    panel, score = random_market(11)
    capped, free = (one_portfolio(portfolios(panel, score, sector_cap=cap)) for cap in (0.3, None))
    np.testing.assert_array_equal(capped["net"], free["net"])
