"""A refit learns from train and valid for the chosen epochs; what is chosen on valid is of models that never saw it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.training import Ensemble, fit_ensemble, market_tensors, predict_parts
from gogooku_kedro.training.ensemble import SeedModel
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, TRAIN, VALID, PowerCut, tables, training_params

pytestmark = pytest.mark.training

TEST = (57, 60)
MODEL = model_params(dropout=0.2, linear_path={"enabled": True, "neighbours": True})
PARTS = {"valid": list(range(*VALID)), "test": list(range(*TEST))}


class CutInRefit(PowerCut):
    """Stop the process in the middle of an epoch of the refit."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if any(getattr(callback, "refit", False) for callback in trainer.callbacks):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def fit(folder: Path, *callbacks: Any, given: Any = None, **changes: Any) -> Any:
    market = market_tensors(*(given or tables()), ATTRIBUTES)
    settings = training_params(folder, max_epochs=2, refit="valid", **changes)
    return market, fit_ensemble(market, TRAIN, VALID, "hash", MODEL, settings, callbacks)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Any:
    return fit(tmp_path_factory.mktemp("refit"))


def predictions(market: Any, ensemble: Ensemble) -> pd.DataFrame:
    dates, codes = tables()[0].indexes["date"], tables()[0].indexes["code"]
    return predict_parts(ensemble, "hash", MODEL, market, PARTS, dates, codes, "cpu")[0]


def assert_same_weights(one: SeedModel, other: SeedModel) -> None:
    for name, values in one.weights.items():
        np.testing.assert_array_equal(values, other.weights[name], err_msg=name)


def test_valid_is_scored_by_the_model_that_has_not_seen_it_and_test_by_the_refit(trained):
    market, result = trained
    first, (again,) = result.ensemble, result.ensemble.refitted
    alone = predictions(market, replace(first, refitted=()))
    both = predictions(market, first)
    refit = predictions(market, Ensemble((again,)))
    for part, own in (("valid", alone), ("test", refit)):
        shown, expected = (frame[frame["split"] == part].reset_index(drop=True) for frame in (both, own))
        pd.testing.assert_frame_equal(shown, expected, check_exact=True)
    assert not both.equals(alone)
    assert not both.equals(refit)


def test_a_refit_takes_the_chosen_number_of_epochs(trained):
    _, result = trained
    (chosen,), (again,) = result.ensemble.seed_models, result.ensemble.refitted
    assert again.training["refit"]
    assert again.training["best_epoch"] == chosen.training["best_epoch"]
    assert len(again.training["losses"]) == chosen.training["best_epoch"] + 1
    assert len(chosen.training["losses"]) == 2
    assert result.ensemble.training["refit"] == "valid"
    assert list(result.history["epoch"]) == [0, 1]  # of the choice alone


def test_linear_scores_are_fitted_again_and_mixed_as_before(trained):
    _, result = trained
    (chosen,), (again,) = result.ensemble.seed_models, result.ensemble.refitted
    mixed = [each.training["mixture"] for each in (chosen, again)]
    assert mixed[0] == mixed[1]
    scales = [each.weights["linear_path.network_scale"] for each in (chosen, again)]
    np.testing.assert_array_equal(*scales)
    np.testing.assert_allclose(scales[0], mixed[0]["network"], rtol=1e-6)
    if mixed[0]["share"] > 0:
        assert not np.array_equal(*(each.weights["linear_path.weight"] for each in (chosen, again)))


def test_the_epochs_of_a_refit_are_told_as_such(tmp_path, caplog):
    with caplog.at_level("INFO", "gogooku_kedro.training"):
        fit(tmp_path)
    told = [record.epoch_progress for record in caplog.records if hasattr(record, "epoch_progress")]
    assert [facts["refit"] for facts in told[:2]] == [False, False]
    assert told[-1]["refit"]
    assert set(told[-1]["metrics"]) == {"train/loss"}


def test_a_refit_reads_no_label_of_the_test_part_and_those_of_valid(trained, tmp_path):
    features, labels, edges = tables()
    late, of_valid = labels.copy(deep=True), labels.copy(deep=True)
    late["target"].values[VALID[1] :] *= -1
    of_valid["target"].values[VALID[0] + 4 : VALID[1]] *= -1
    _, later = fit(tmp_path / "late", given=(features, late, edges))
    assert_same_weights(trained[1].ensemble.refitted[0], later.ensemble.refitted[0])
    _, other = fit(tmp_path / "valid", given=(features, of_valid, edges))
    name = next(iter(other.ensemble.refitted[0].weights))
    assert any(
        not np.array_equal(values, other.ensemble.refitted[0].weights[name])
        for name, values in trained[1].ensemble.refitted[0].weights.items()
    ), name


def test_a_refit_that_is_cut_off_goes_on_to_the_same_weights(trained, tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        fit(tmp_path, CutInRefit(epoch=0, batch=2))
    (chosen,) = (tmp_path / "checkpoints").glob("*/finished")  # the choice of the epoch is not trained again
    assert chosen.is_dir()
    _, result = fit(tmp_path)
    assert_same_weights(trained[1].ensemble.seed_models[0], result.ensemble.seed_models[0])
    assert_same_weights(trained[1].ensemble.refitted[0], result.ensemble.refitted[0])
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_refits_are_stored_beside_the_models(trained, tmp_path):
    ensemble = trained[1].ensemble
    ensemble.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "seed_0", "refit_0"}
    loaded = Ensemble.load(tmp_path)
    assert_same_weights(loaded.refitted[0], ensemble.refitted[0])
    replace(ensemble, refitted=()).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "seed_0"}


def test_refits_of_other_seeds_are_refused(trained):
    (again,) = trained[1].ensemble.refitted
    stranger = replace(again, training=again.training | {"seed": 5})
    with pytest.raises(ValueError, match=r"refits are of the seeds \[5\], the models of \[0\]"):
        replace(trained[1].ensemble, refitted=(stranger,))
