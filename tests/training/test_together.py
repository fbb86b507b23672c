"""Models that train in one loop end as each does alone."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.training import fit_ensemble, fit_model
from tests.training.conftest import TRAIN, VALID, PowerCut, assert_equal_results, training_params
from tests.training.test_ensemble import member_result

pytestmark = pytest.mark.training

SEEDS = [0, 3, 5]


def fit(market, model, settings, *callbacks):
    return fit_ensemble(market, TRAIN, VALID, "hash", model, settings, callbacks)


def assert_close_results(one, other):
    pd.testing.assert_frame_equal(one.history, other.history, rtol=1e-3, atol=1e-5)
    for name, weight in one.seed_model.weights.items():
        np.testing.assert_allclose(weight, other.seed_model.weights[name], atol=2e-5, err_msg=name)
    assert one.seed_model.training["best_epoch"] == other.seed_model.training["best_epoch"]
    assert one.seed_model.training["epochs"] == other.seed_model.training["epochs"]


def test_each_model_ends_as_if_trained_alone(market, model, tmp_path):
    settings = training_params(tmp_path, seeds=SEEDS, seeds_together=True, max_epochs=3)
    together = fit(market, model, settings)
    for position, seed in enumerate(SEEDS):
        alone = fit_model(
            market, TRAIN, VALID, "hash", model, training_params(tmp_path / "alone", seed=seed, max_epochs=3)
        )
        assert_close_results(member_result(together, position), alone)


@pytest.mark.parametrize("batch", [0, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(market, model, tmp_path, batch, seed):
    whole = fit(market, model, training_params(tmp_path / "whole", seeds=SEEDS, seeds_together=True))
    settings = training_params(tmp_path / "cut", seeds=SEEDS, seeds_together=True)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=2, batch=batch, seed=seed))
    again = fit(market, model, settings)
    for position in range(len(SEEDS)):
        assert_equal_results(member_result(again, position), member_result(whole, position))
