"""From scores to portfolios: which session of the market a decision reads."""

import numpy as np
import pytest

from gogooku_kedro.backtest.portfolios import backtest_portfolios
from gogooku_kedro.labels.target import make_labels
from tests.backtest.small_market import events_of, make_panel, one_portfolio, portfolios, predictions, rules

A_BEST = np.tile(np.arange(6.0)[::-1], (2, 1))  # A is best, F is worst


@pytest.fixture
def market():
    """E cannot be borrowed on session 0, F not on session 1, D not on session 2; at the opens E rises and F falls."""
    opens = np.full((5, 6), 100.0)
    opens[2:, 5], opens[3:, 4] = 95.0, 103.0
    loanable = np.ones((5, 6))
    loanable[[0, 1, 2], [4, 5, 3]] = 0.0
    return make_panel(opens), loanable


def test_a_stock_is_sold_short_that_can_be_borrowed_on_the_session_of_the_decision(market) -> None:
    panel, loanable = market
    portfolio = one_portfolio(portfolios(panel, A_BEST, loanable=loanable))
    # Decision 0 sells F, which falls by 5%; decision 1 sells E, which rises by 3%.
    np.testing.assert_allclose(portfolio["gross"], [0.05, -0.03], atol=1e-6)


def test_a_part_that_begins_later_reads_its_own_sessions(market) -> None:
    panel, loanable = market
    later = predictions(panel, A_BEST)
    later = later[later["date"] > later["date"].min()]
    tested = backtest_portfolios(
        later, make_labels(panel, (1,), "next_open"), panel, events_of(panel, loanable), "next_open", rules(), [10.0]
    )
    np.testing.assert_allclose(one_portfolio(tested)["gross"], [-0.03], atol=1e-6)
