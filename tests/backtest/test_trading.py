"""The trading view: smoothing looks back only, validation alone chooses it, and costs and a delay are counted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.backtest.trading import smoothed, trading_view
from gogooku_kedro.labels.target import make_labels
from gogooku_kedro.params import EvaluationParams
from tests.backtest.small_market import events_of, make_panel, predictions, rules
from tests.walk_forward.conftest import evaluation_params

HORIZONS = (1, 5, 10, 20)


def test_smoothed_ranks_are_the_recursion_by_hand():
    score = np.array([[1.0, 2.0], [2.0, 1.0], [np.nan, 3.0], [5.0, 4.0]])
    # Ranks .5 1 | 1 .5 | -, 1 | 1 .5; a session without a score leaves the mean as it was.
    expected = [[0.5, 1.0], [0.6, 0.9], [np.nan, 0.92], [0.68, 0.836]]
    np.testing.assert_allclose(smoothed(score, 0.8), expected)
    np.testing.assert_allclose(smoothed(score, 0.0), [[0.5, 1.0], [1.0, 0.5], [np.nan, 1.0], [1.0, 0.5]])


def test_no_later_score_changes_a_smoothed_one():
    score = np.random.default_rng(0).normal(size=(30, 8))
    later = score.copy()
    later[20:] *= -1
    np.testing.assert_array_equal(smoothed(score, 0.9)[:20], smoothed(later, 0.9)[:20])


def settings() -> EvaluationParams:
    portfolio = rules().model_dump()
    trading = {"sessions": [5], "decays": [0.0, 0.9], "costs_bps": [10, 20]}
    return evaluation_params(portfolio=portfolio, trading=trading, bootstrap_samples=20)


@pytest.fixture(scope="module")
def market() -> tuple[xr.Dataset, pd.DataFrame]:
    """Twenty stocks with a drift of their own, scored by the drift and much noise that is new every session."""
    rng = np.random.default_rng(0)
    drift = np.linspace(-0.004, 0.004, 20)
    moves = drift + 0.01 * rng.normal(size=(150, 20))
    panel = make_panel(100 * np.exp(moves.cumsum(axis=0)))
    score = drift + 0.01 * rng.normal(size=(120, 20))
    scored = predictions(panel, score, HORIZONS)
    scored["split"] = np.where(scored["date"] < panel["date"].values[60], "valid", "test")
    return panel, scored


def view(panel: xr.Dataset, scored: pd.DataFrame) -> dict[str, Any]:
    labels = make_labels(panel, HORIZONS, "next_open")
    return trading_view(scored, labels, panel, events_of(panel), "next_open", settings())


def test_scores_whose_noise_is_new_every_session_are_smoothed_and_trade_less(market):
    found = view(*market)["model"]["5d"]
    assert found["decay"] == 0.9
    assert found["smoothed"]["turnover"] < 0.7 * found["plain"]["turnover"]
    for version in ("plain", "smoothed", "one_day_late"):
        at_10, at_20 = (found[version]["costs"][cost] for cost in ("10", "20"))
        low, high = at_10["sharpe_net_ci"]
        assert low < at_10["sharpe_net"] < high
        assert at_20["sharpe_net"] < at_10["sharpe_net"]
    assert found["smoothed"]["costs"]["20"]["sharpe_net"] > found["plain"]["costs"]["20"]["sharpe_net"]
    assert found["one_day_late"] != found["smoothed"]


def test_the_test_part_chooses_nothing(market):
    panel, scored = market
    other = scored.copy()
    late = other["split"] == "test"
    other.loc[late, [f"score_{h}d" for h in HORIZONS]] *= -1
    before, after = view(panel, scored)["model"]["5d"], view(panel, other)["model"]["5d"]
    for name in ("decay", "valid_sharpe_net"):
        assert before[name] == after[name]
    assert before["smoothed"] != after["smoothed"]


def test_without_a_validation_part_nothing_is_shown(market):
    panel, scored = market
    assert view(panel, scored[scored["split"] == "test"]) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sessions": [7]}, "evaluation.trading.sessions"),
        ({"decays": [1.0]}, "evaluation.trading.decays"),
        ({"costs_bps": [-1]}, "evaluation.trading.costs_bps"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, said):
    written = {"sessions": [5], "decays": [0.0], "costs_bps": [10]} | changes
    with pytest.raises(ValueError, match=said):
        evaluation_params(trading=written)
