import numpy as np
import pytest

from gogooku_kedro.market.adjustment import beyond, chain_link, factors_from_adj_close, previous_priced, split_like

NAN = np.nan


def derive(close, adj_close, issue=None):
    issue = np.zeros(len(close), dtype=np.intp) if issue is None else np.array(issue)
    return factors_from_adj_close(issue, np.array(close, float), np.array(adj_close, float))


def test_a_split_of_one_into_two_is_a_half_on_its_ex_date():
    derived = derive([1000, 1010, 505, 500], [500, 505, 505, 500])
    assert derived.factor.tolist() == [1, 1, 0.5, 1]


def test_a_consolidation_of_ten_into_one_is_ten_on_its_ex_date():
    assert derive([50, 51, 520], [500, 510, 520]).factor.tolist() == [1, 1, 10]


def test_a_split_far_below_the_rounding_of_the_adjusted_price_is_exact():
    # 1:100 later; adj_close has one decimal: 17.5 / 1753 is no clean ratio
    derived = derive([1753, 1742, 17.6], [17.5, 17.4, 17.6])
    assert derived.factor.tolist() == [1, 1, 0.01]
    assert not derived.unsnapped.any()


def test_rounding_of_a_low_adjusted_price_is_no_event():
    # one decimal at 1 yen: up to 5% either way on each day
    derived = derive([104, 106, 115, 125], [1.0, 1.1, 1.2, 1.3])
    assert derived.factor.tolist() == [1, 1, 1, 1]


def test_a_cash_dividend_in_adj_close_is_no_event():
    derived = derive([100, 98], [97, 98])
    assert derived.factor.tolist() == [1, 1]
    assert derived.ignored.tolist() == [False, True]


def test_a_stock_dividend_of_five_percent_is_an_event():
    assert derive([1050, 1000], [1000, 1000]).factor.tolist() == [1, pytest.approx(1 / 1.05)]


def test_a_rights_issue_at_a_crooked_ratio_is_kept_as_it_stands():
    derived = derive([2018, 1726], [1576.4, 1726])
    assert derived.factor[1] == pytest.approx(1576.4 / 2018)
    assert derived.unsnapped.tolist() == [False, True]


def test_an_adjusted_close_that_jumps_while_the_price_stands_is_not_believed():
    derived = derive([296, 296, 300], [2960, 296, 300])
    assert derived.factor.tolist() == [1, 1, 1]
    assert derived.contradicted.tolist() == [False, True, False]


def test_events_do_not_cross_issues_and_skip_rows_without_a_price():
    derived = derive([1000, NAN, 500, 300], [500, NAN, 500, 300], issue=[0, 0, 0, 1])
    assert derived.factor.tolist() == [1, 1, 0.5, 1]


def test_a_later_restatement_of_the_past_leaves_earlier_factors_alone():
    close = [1001, 1013, 507, 503]
    today = derive(close, [500.5, 506.5, 507, 503]).factor
    after_a_split_into_three = derive([*close, 169], [166.8, 168.8, 169, 167.7, 169]).factor
    assert today.tolist() == [1, 1, 0.5, 1]
    assert after_a_split_into_three.tolist() == [1, 1, 0.5, 1, 1 / 3]


def test_the_previous_price_skips_sessions_without_trade():
    price = np.array([[1, NAN], [NAN, 2], [NAN, 3], [4, 5.0]])
    assert previous_priced(price).tolist() == [[-1, -1], [0, -1], [0, 1], [0, 2]]


def test_a_jump_is_linked_as_if_the_return_were_zero():
    close = np.array([[100.0], [100], [30], [33]])
    link, jump = chain_link(close, 0.5)
    assert jump[:, 0].tolist() == [False, False, True, False]
    np.testing.assert_allclose((close * link)[:, 0], [100, 100, 100, 110])


def test_a_wrong_price_of_one_day_leaves_the_level_where_it_was():
    close = np.array([[100.0], [1000], [101], [102]])
    link, jump = chain_link(close, 0.5)
    assert jump[:, 0].tolist() == [False, True, True, False]
    np.testing.assert_allclose((close * link)[:, 0], [100, 100, 100, 100 * 102 / 101])


def test_a_jump_over_a_halt_is_measured_from_the_last_traded_price():
    link, jump = chain_link(np.array([[100.0], [NAN], [10]]), 0.5)
    assert jump[:, 0].tolist() == [False, False, True]
    assert link[2, 0] == 10


def test_exactly_max_move_is_valid_in_any_unit():
    unit = 0.3
    assert not beyond(np.array([(87 / unit) / (58 / unit), 1.5, 0.5]), 0.5).any()
    assert beyond(np.array([1.5001, 0.4999]), 0.5).all()


def test_ratios_near_whole_numbers_are_like_splits():
    ratio = np.array([2.05, 2.07, 0.5, 0.34, 9.8, 1.0, 1.5, NAN])
    assert split_like(ratio).tolist() == [True, False, True, True, True, False, False, False]


def test_decimals_that_show_later_do_not_make_an_earlier_step_an_event():
    # whole numbers so far: 21 and 20 may both be 20.5, a 5% step is rounding
    whole = derive([20, 21], [20, 20])
    finer_later = derive([20, 21, 21.123], [20, 20, 20.123])
    assert whole.factor.tolist() == [1, 1]
    assert finer_later.factor[:2].tolist() == [1, 1]
