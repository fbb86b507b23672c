import tracemalloc

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from gogooku_kedro.baselines import rows as rows_module
from gogooku_kedro.baselines.lightgbm import SETTINGS, _Binned, _sequences, fit_trees
from gogooku_kedro.baselines.ridge import fit_ridge
from gogooku_kedro.baselines.rows import LearningRows, PartRows, learning_rows
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


@pytest.fixture
def rows(market, monkeypatch) -> LearningRows:
    """Rows in blocks of 7 sessions, which end within a part."""
    monkeypatch.setattr(rows_module, "BLOCK_DATES", 7)
    x, in_universe, ret = market
    return learning_rows(x, in_universe, ret, SPLIT)


def matrix(part: PartRows) -> np.ndarray:
    return np.concatenate([part.x(block) for block in part.blocks])


def test_trees_binned_from_blocks_are_those_of_one_matrix(rows) -> None:
    trees, most = 30, {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 5, "seed": 3, "num_threads": 1}
    train = rows.parts["train"]
    assert len(train.blocks) == 9
    ours = fit_trees(rows, seed=3, max_rounds=trees, patience=trees)
    binned = lgb.Dataset(matrix(train), np.zeros(len(train.day)), params=SETTINGS | most).construct()
    for k, horizon in enumerate(rows.horizons):
        kept = np.flatnonzero(np.isfinite(train.target[:, k]))
        labelled = binned.subset(kept.tolist(), params=SETTINGS | most).construct().set_label(train.target[kept, k])
        whole = lgb.train(SETTINGS | most, labelled, num_boost_round=trees)
        theirs = [whole.predict(matrix(rows.parts["test"]), num_iteration=n) for n in range(1, trees + 1)]
        score = ours.loc[ours["split"] == "test", f"score_{horizon}d"].to_numpy()
        assert any(np.array_equal(score, each.astype(np.float32)) for each in theirs)


def test_rows_drawn_for_bins_are_in_double_precision_once() -> None:
    n_days, n_stocks, n_features = 128, 200, 50
    values = np.random.default_rng(0).standard_normal((n_days, n_stocks, n_features), dtype=np.float32)
    day, stock = (index.ravel() for index in np.indices((n_days, n_stocks)))
    part = PartRows(lambda dates: values[dates], np.zeros((len(day), 1), np.float32), day, stock)
    binned = _Binned(_sequences(part), np.zeros(len(day)), params=SETTINGS)
    tracemalloc.start()
    try:
        binned.construct()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.9 * 8 * values.size  # their row numbers are a half, a block of rows is a quarter


def test_two_horizons_at_a_time_are_what_one_is(rows) -> None:
    pd.testing.assert_frame_equal(fit_trees(rows, num_threads=1), fit_trees(rows, num_threads=2))


def test_ridge_summed_in_blocks_is_that_of_scikit_learn(rows) -> None:
    train, test = rows.parts["train"], rows.parts["test"]
    ours = fit_ridge(rows, penalties=[0.1])
    for k, horizon in enumerate(rows.horizons):
        kept = np.isfinite(train.target[:, k])
        assert 0 < kept.sum() < len(kept)
        whole = Ridge(alpha=0.1 * kept.sum()).fit(matrix(train)[kept].astype(float), train.target[kept, k])
        score = ours.loc[ours["split"] == "test", f"score_{horizon}d"]
        np.testing.assert_allclose(score, whole.predict(matrix(test)), rtol=0, atol=1e-6)
