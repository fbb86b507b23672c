"""The model that learns every day reads a label when it has matured, and not a session earlier."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gogooku_kedro.training import MarketTensors
from gogooku_kedro.training.train_seed import build_model
from gogooku_kedro.walk_forward.online import matured, online_scores
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, market_tensors, tables, training_params

DAYS = range(40, 46)
RATE = 0.01
Scores = dict[int, torch.Tensor]


def test_a_label_matures_a_session_after_its_horizon():
    assert matured(40, first=7) == [(38, 0), (34, 1), (29, 2), (19, 3)]
    assert matured(25, first=7) == [(23, 0), (19, 1), (14, 2)]  # session 4 has no whole window


@pytest.fixture(scope="module")
def score(tmp_path_factory) -> Callable[..., Scores]:
    market = market_tensors(*tables(), ATTRIBUTES)
    training = training_params(tmp_path_factory.mktemp("online"))

    def run(change: Callable[[torch.Tensor], None] | None = None, rate: float = RATE) -> Scores:
        own: MarketTensors = market
        if change is not None:
            target = market.target.clone()
            change(target)
            own = replace(market, target=target)
        torch.manual_seed(0)
        model = build_model(own, (12, 40), model_params(dropout=0.2)).eval()
        return dict(online_scores(model, own, DAYS, rate, training))

    return run


@pytest.fixture(scope="module")
def known(score) -> Scores:
    return score()


def first_difference(one: Scores, other: Scores) -> int | None:
    return next((day for day in DAYS if not torch.equal(one[day], other[day])), None)


@pytest.mark.parametrize(("horizon", "sessions"), [(0, 1), (1, 5), (2, 10), (3, 20)])
def test_a_label_moves_no_score_before_it_has_matured(known, score, horizon, sessions):
    session = 42 - sessions - 1

    def other_label(target: torch.Tensor) -> None:
        target[session, :, horizon] *= -1

    assert first_difference(known, score(other_label)) == 42


def test_no_label_that_matures_later_is_read(known, score):
    def other_labels(target: torch.Tensor) -> None:
        for k, sessions in enumerate((1, 5, 10, 20)):
            target[DAYS[-1] - sessions :, :, k] *= -1

    assert first_difference(known, score(other_labels)) is None


def test_a_repetition_gives_the_same_scores_and_a_step_moves_them(known, score):
    assert first_difference(known, score()) is None
    hardly = score(rate=1e-12)
    assert all(not torch.allclose(known[day], hardly[day], atol=1e-4) for day in DAYS)


def test_a_session_without_labels_is_scored_without_a_step(score):
    def none(target: torch.Tensor) -> None:
        target[:] = torch.nan

    frozen, hardly = score(none), score(rate=1e-12)
    for day in DAYS:
        torch.testing.assert_close(frozen[day], hardly[day], atol=1e-5, rtol=0)
