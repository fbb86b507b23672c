"""An ensemble trains a model per seed, keeps what is finished, and averages the members' ranks."""

from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from gogooku_kedro.training import Ensemble, combine, fit_ensemble, fit_model, predict_parts, run_logger
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, FitResult, PowerCut, assert_equal_results, training_params

pytestmark = pytest.mark.training

SCORES = ["score_1d", "score_5d", "score_10d", "score_20d"]


class NotAgain(pl.Callback):
    """Refuse to train the model of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_fit_start(self, trainer, pl_module) -> None:
        assert pl_module.training_params.seed != self.seed


def fit(market, model, settings, *callbacks):
    return fit_ensemble(market, TRAIN, VALID, "hash", model, settings, callbacks)


def member_result(result, position: int) -> FitResult:
    """A member of an ensemble as if it had been trained by itself."""
    bundle = result.ensemble.seed_models[position]
    history = result.history[result.history["seed"] == bundle.training["seed"]]
    return FitResult(bundle, history.drop(columns="seed").reset_index(drop=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Market, settings and an ensemble of seeds 0 and 1."""
    from tests.training.conftest import ATTRIBUTES, market_tensors, tables

    market, model = market_tensors(*tables(), ATTRIBUTES), model_params(dropout=0.2)
    settings = training_params(tmp_path_factory.mktemp("ensemble"), seeds=[0, 1], max_epochs=2)
    return market, model, fit(market, model, settings), settings


def test_every_seed_is_trained_as_if_alone(trained, tmp_path):
    market, model, result, settings = trained
    assert result.ensemble.seeds == (0, 1)
    assert list(result.history["seed"]) == [0, 0, 1, 1]
    assert result.history.columns[0] == "seed"
    for position, seed in enumerate(settings.seeds):
        alone = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path, seed=seed, max_epochs=2))
        assert_equal_results(member_result(result, position), alone)
    assert list(Path(settings.checkpoint_dir).iterdir()) == []


def test_a_finished_member_is_not_trained_again(trained, tmp_path, caplog):
    market, model, whole, _ = trained
    settings = training_params(tmp_path, seeds=[0, 1], max_epochs=2)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=1, seed=1))
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        result = fit(market, model, settings, NotAgain(seed=0))
    assert "the model of seed 0 is finished already" in caplog.text
    for position in range(2):
        assert_equal_results(member_result(result, position), member_result(whole, position))
    assert list(Path(settings.checkpoint_dir).iterdir()) == []


def test_a_finished_member_that_was_changed_is_refused(trained, tmp_path):
    market, model, _, _ = trained
    settings = training_params(tmp_path, seeds=[0, 1], max_epochs=2)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=0, seed=1))
    (weights,) = Path(settings.checkpoint_dir).glob("*/finished/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ValueError, match=rf"SHA-256 differs.*after removing {weights.parent.parent}"):
        fit(market, model, settings)


def test_the_time_budget_is_shared_out(market, model, tmp_path):
    seen = []

    class Budget(pl.Callback):
        def on_fit_start(self, trainer, pl_module) -> None:
            seen.append(pl_module.training_params.time_budget_minutes)

    settings = training_params(tmp_path, seeds=[3, 4], max_epochs=1, time_budget_minutes=30.0)
    fit(market, model, settings, Budget())
    assert seen == [15.0, 15.0]


def test_the_mlflow_metrics_of_several_members_are_told_apart(market, model, tmp_path, monkeypatch):
    prefixes = []
    monkeypatch.setattr(mlflow, "active_run", lambda: SimpleNamespace(info=SimpleNamespace(run_id="r")))
    monkeypatch.setattr(run_logger, "RunLogger", lambda uri, run_id, prefix: prefixes.append(prefix) or False)
    fit(market, model, training_params(tmp_path, seeds=[3, 4], max_epochs=1))
    fit(market, model, training_params(tmp_path, seeds=[5], max_epochs=1))
    assert prefixes == ["seed_3", "seed_4", ""]


def predictions(trained, ensemble):
    market, model, _, _ = trained
    dates = pd.bdate_range("2020-01-06", periods=market.x.size(0))
    codes = pd.Index([str(i) for i in range(market.x.size(1))])
    parts = {"valid": [44, 45], "test": [50]}
    return predict_parts(ensemble, "hash", model, market, parts, dates, codes, "cpu")


def test_a_score_is_the_mean_of_the_members_gaussian_ranks(trained):
    ensemble = trained[2].ensemble
    together, members = predictions(trained, ensemble)
    alone = [predictions(trained, Ensemble((each,)))[0] for each in ensemble.seed_models]
    assert list(members) == ["date", "code", "split", "seed", *SCORES]
    for seed, frame in enumerate(alone):
        own = members[members["seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(own.drop(columns="seed"), frame[["date", "code", "split", *SCORES]])
    for date, rows in together.groupby("date"):
        ranks = [
            norm.ppf((rankdata(frame.loc[frame["date"] == date, SCORES], axis=0) - 0.5) / len(rows)) for frame in alone
        ]
        np.testing.assert_allclose(rows[SCORES], np.mean(ranks, axis=0), atol=1e-6)
    quantiles = [name for name in together if name.startswith("q")]
    assert len(quantiles) == 12
    expected = (alone[0][quantiles] + alone[1][quantiles]) / 2
    np.testing.assert_allclose(together[quantiles], expected, atol=1e-6)


def test_a_single_member_keeps_its_own_scores(trained):
    (one, members), first = predictions(trained, Ensemble(trained[2].ensemble.seed_models[:1])), SCORES[0]
    assert one[first].to_list() == members[first].to_list()
    assert abs(one.loc[one["split"] == "test", first].std() - norm.ppf((np.arange(20) + 0.5) / 20).std()) > 1e-3


def test_too_few_stocks_to_rank_score_nothing():
    rows = {"date": pd.Timestamp("2020-01-06"), "code": list("abc"), "split": "test"}
    frames = [pd.DataFrame(rows | {name: [1.0, 2.0, 3.0] for name in SCORES}) for _ in range(2)]
    assert (combine(frames)[SCORES] == 0).all(axis=None)


def test_members_share_settings_features_and_no_seed(trained):
    first, second = trained[2].ensemble.seed_models
    with pytest.raises(ValueError, match="different seeds"):
        Ensemble((first, first))
    from dataclasses import replace

    with pytest.raises(ValueError, match="seed 1 was trained with other settings or features"):
        Ensemble((first, replace(second, feature_hash="other")))
    with pytest.raises(ValueError, match="needs a seed model"):
        Ensemble(())


def test_the_summary_of_an_ensemble(trained):
    ensemble = trained[2].ensemble
    summary = ensemble.training
    assert (summary["seeds"], summary["device"]) == ([0, 1], "cpu")
    assert summary["n_parameters"] == ensemble.seed_models[0].training["n_parameters"] > 1000
    assert summary["seconds"] == pytest.approx(sum(m.training["seconds"] for m in ensemble.seed_models), abs=0.1)
