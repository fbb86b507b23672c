import pandas as pd
import pytest

from gogooku_kedro.baselines.lightgbm import fit_trees
from gogooku_kedro.baselines.ridge import fit_ridge
from gogooku_kedro.baselines.rows import learning_rows
from gogooku_kedro.metrics.daily import daily_metrics, summarise_metrics
from tests.baselines.conftest import SPLIT


@pytest.mark.parametrize("fit", [fit_ridge, lambda rows: fit_trees(rows, num_threads=1, max_rounds=40)])
def test_learner_finds_the_planted_signal_of_each_horizon(market, fit) -> None:
    x, in_universe, ret = market
    predictions = fit(learning_rows(x, in_universe, ret, SPLIT))
    assert set(predictions["split"]) == {"valid", "test"}
    assert len(predictions) == int(in_universe.values[66:90].sum() + in_universe.values[96:].sum())
    daily = daily_metrics(predictions, ret.to_dataset(name="ret"), 0.0)
    (numbers,) = summarise_metrics(daily, 245, replications=20)["test"].values()
    # the best rank IC is (6/pi) arcsin(rho / 2) with rho = 0.5 / sqrt(1.25): 0.43
    assert numbers["1d"]["rank_ic"] > 0.3
    assert numbers["5d"]["rank_ic"] > 0.3


@pytest.mark.parametrize("fit", [fit_ridge, lambda rows: fit_trees(rows, num_threads=1, max_rounds=20)])
def test_scores_do_not_depend_on_test_labels_or_on_stocks_outside_the_universe(market, fit) -> None:
    x, in_universe, ret = market
    first = fit(learning_rows(x, in_universe, ret, SPLIT))
    changed, features = ret.copy(), x.copy()
    changed[90:] = 99.0
    features.values[~in_universe.values] = 1e6
    changed.values[~in_universe.values] = 99.0
    second = fit(learning_rows(features, in_universe, changed, SPLIT))
    pd.testing.assert_frame_equal(first, second)


def test_labels_of_the_purge_are_not_learned(market) -> None:
    x, in_universe, ret = market
    first = fit_ridge(learning_rows(x, in_universe, ret, SPLIT))
    ret = ret.copy()
    ret[60:66] = -ret[60:66]
    pd.testing.assert_frame_equal(first, fit_ridge(learning_rows(x, in_universe, ret, SPLIT)))
