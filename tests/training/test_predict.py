"""What a model reads to score a day: the cross-section and the graph of that day."""

import pytest
import torch

from gogooku_kedro.training.predict import encode_days, predict_days
from tests.training.conftest import STOCKS
from tests.training.short import network

pytestmark = pytest.mark.training

ABSENT, FIRST, BACK = 3, 20, 25  # the stock is out of the cross-section on sessions 20 to 24


@pytest.fixture
def trained(market, model):
    """A network, not trained, with the weights of its seed."""
    return network(market, model).eval()


def test_a_stock_is_heard_on_the_days_of_which_it_is_part_whatever_it_was_the_day_before(market, trained):
    edges = {of.day: of.edge_index for of in encode_days(trained, market, [FIRST - 1, FIRST, BACK - 1, BACK])}
    for day, here in ((FIRST - 1, True), (FIRST, False), (BACK - 1, False), (BACK, True)):
        assert bool((edges[day] == ABSENT).any()) is here
        assert edges[day].size(1) == 2 * STOCKS - (0 if here else 3)  # its loop, whom it hears, who hears it


def test_no_score_depends_on_a_stock_that_is_absent_on_the_day(market, trained):
    before = {day: score for day, score, _ in predict_days(trained, market, [FIRST - 1, FIRST], "cpu")}
    market.x[FIRST - 1, ABSENT] += 5.0  # of the day before, on which it was there
    after = {day: score for day, score, _ in predict_days(trained, market, [FIRST - 1, FIRST], "cpu")}
    others = torch.arange(STOCKS) != ABSENT
    assert torch.equal(before[FIRST][others], after[FIRST][others])
    assert not torch.equal(before[FIRST - 1][others], after[FIRST - 1][others])
