"""With `training.refit` baselines score the test part as fitted on train and valid, like the network."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines import lstm
from gogooku_kedro.baselines.lightgbm import fit_trees
from gogooku_kedro.baselines.ridge import fit_ridge
from gogooku_kedro.baselines.rows import learning_rows
from tests.baselines import test_lstm
from tests.baselines.conftest import SPLIT, context_of

LONGER = SPLIT | {"train": [SPLIT["train"][0], SPLIT["valid"][1]]}


def trees(rows, **settings):
    return fit_trees(rows, num_threads=1, **({"max_rounds": 15} | settings))


def part(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[frame["split"] == name].reset_index(drop=True)


@pytest.mark.parametrize("fit", [fit_ridge, trees])
def test_valid_keeps_its_scores_and_test_is_scored_by_the_refit(market, fit):
    without, with_refit = (fit(learning_rows(*market, SPLIT, refit=refit)) for refit in (False, True))
    pd.testing.assert_frame_equal(part(without, "valid"), part(with_refit, "valid"), check_exact=True)
    assert not part(without, "test").equals(part(with_refit, "test"))


def test_a_refit_is_ridge_on_the_longer_training_part_at_the_chosen_penalty(market):
    again = part(fit_ridge(learning_rows(*market, SPLIT, refit=True), penalties=(0.1,)), "test")
    longer = part(fit_ridge(learning_rows(*market, LONGER), penalties=(0.1,)), "test")
    pd.testing.assert_frame_equal(again, longer, check_exact=True)


@pytest.mark.parametrize("fit", [fit_ridge, trees])
def test_a_refit_reads_no_label_of_the_test_part(market, fit):
    x, in_universe, ret = market
    late = ret.copy()
    late[96:] = -ret[96:]
    before, after = (fit(learning_rows(x, in_universe, target, SPLIT, refit=True)) for target in (ret, late))
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_an_lstm_is_trained_anew_for_the_chosen_epochs():
    features, labels = test_lstm.market()

    def fit(target: xr.Dataset, refit: bool = True) -> pd.DataFrame:
        context = context_of(features, target, xr.Dataset(), test_lstm.SPLIT, window=test_lstm.WINDOW, refit=refit)
        return lstm.fit(context, max_epochs=2)

    without, again = fit(labels, refit=False), fit(labels)
    pd.testing.assert_frame_equal(part(without, "valid"), part(again, "valid"), check_exact=True)
    assert not part(without, "test").equals(part(again, "test"))
    late = labels.copy(deep=True)
    late["target"].values[test_lstm.PARTS["test"][0] :] *= -1
    pd.testing.assert_frame_equal(again, fit(late), check_exact=True)
    assert np.isfinite(part(again, "test")["score_5d"]).all()
