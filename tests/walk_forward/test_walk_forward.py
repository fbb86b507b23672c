"""Two folds of a random market, trained for one epoch: what they leave, and what is not done twice."""

import gc
import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.baselines import table as models
from gogooku_kedro.baselines.rules import random
from gogooku_kedro.training import fit_ensemble
from gogooku_kedro.walk_forward import models as fold_models
from gogooku_kedro.walk_forward import walk_forward as module
from gogooku_kedro.walk_forward.store import FACTS, PREDICTIONS, SEED_PREDICTIONS, FoldResult, fold_folder
from gogooku_kedro.walk_forward.walk_forward import stacked, walk_forward
from tests.model.conftest import model_params
from tests.training.conftest import PowerCut, training_params
from tests.walk_forward.conftest import (
    another_future,
    evaluation_params,
    features_params,
    fold_settings,
    history_of,
)

RAW = [
    *("model", "lightgbm", "lightgbm_own", "lightgbm_peers", "ridge", "lstm"),
    *("reversal_1d", "reversal_5d", "momentum_20d"),
]
VERSIONS = ("", "_neutral", "_pca_neutral", "_sector_neutral")
BLENDS = ("blend", "blend_baselines", "blend_pca_neutral", "blend_baselines_pca_neutral")
MODELS = {
    "random",
    "model_online",
    "model_online_pca_neutral",
    *BLENDS,
    *(f"{model}{version}" for model in RAW for version in VERSIONS),
}


def assert_equal(one: FoldResult, other: FoldResult) -> None:
    pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)
    pd.testing.assert_frame_equal(one.seed_predictions, other.seed_predictions, check_exact=True)


def not_again(*_: Any, **__: Any) -> None:
    raise AssertionError("a model is trained again")


def test_every_fold_predicts_its_test_part_with_every_model(results, splits):
    for result, split in zip(results, splits, strict=True):
        dates = result.predictions.groupby("model")["date"].agg(["min", "max"])
        assert set(dates.index) == MODELS
        first, last = map(pd.Timestamp, split["test"])
        assert (dates["min"] == first).all()
        assert (dates["max"] == last).all()
        assert set(result.predictions["split"]) == {"test"}
        assert set(result.seed_predictions["seed"]) == {0, 1}
        assert result.facts["split"] == split
        assert set(result.facts["best_epochs"]) == {"0", "1"}


def test_the_folds_are_stacked_in_order(results, splits):
    predictions, by_seed = stacked(results)
    for stack in (predictions, by_seed):
        assert next(iter(stack)) == "fold"
        spans = stack.groupby("fold")["date"].agg(["min", "max"])
        assert spans.astype(str).to_numpy().tolist() == [split["test"] for split in splits]


def test_models_of_two_folds_are_different_ones(results):
    latest = [r.predictions[r.predictions["model"] == "model"]["score_5d"].to_numpy() for r in results]
    assert not np.isin(latest[0], latest[1]).all()


def test_a_finished_fold_is_not_trained_again(results, history, splits, root, monkeypatch, caplog):
    monkeypatch.setattr(fold_models, "fit_ensemble", not_again)
    monkeypatch.setattr(module, "fold_baselines", not_again)
    with caplog.at_level(logging.INFO):
        again = walk_forward(history, splits, fold_settings(root / "elsewhere"), root)
    for one, other in zip(results, again, strict=True):
        assert_equal(one, other)
        assert one.facts == other.facts
    assert caplog.text.count("is finished already") == 2


def test_a_fold_that_was_cut_off_ends_as_if_it_had_not_been(results, history, splits, tmp_path, monkeypatch, caplog):
    def cut_off(*arguments: Any, **keywords: Any) -> Any:
        return fit_ensemble(*arguments, callbacks=[PowerCut(epoch=0, batch=1, seed=1)], **keywords)

    def trains(*arguments: Any, **keywords: Any) -> Any:
        return fit_ensemble(*arguments, **keywords)

    def resumed() -> list[FoldResult]:
        return walk_forward(history, splits[:1], fold_settings(tmp_path), tmp_path)

    monkeypatch.setattr(fold_models, "fit_ensemble", cut_off)
    with pytest.raises(RuntimeError, match="power cut"):
        resumed()
    monkeypatch.setattr(fold_models, "fit_ensemble", trains)
    monkeypatch.setattr(module, "fold_baselines", not_again)  # a second cut, after the training
    with caplog.at_level(logging.INFO), pytest.raises(AssertionError):
        resumed()
    assert "the model of seed 0 is finished already" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(fold_models, "fit_ensemble", not_again)  # the trained models lie there
    (result,) = resumed()
    assert_equal(result, results[0])
    (folder,) = tmp_path.iterdir()
    assert not (folder / "checkpoints").exists()


def test_what_comes_after_a_fold_changes_no_score_of_it(results, history, splits, tmp_path):
    after = int(history.panel.indexes["date"].get_loc(splits[0]["test"][1])) + 1
    later = history_of(another_future(history.panel, after))
    (result,) = walk_forward(later, splits[:1], fold_settings(tmp_path), tmp_path)
    assert_equal(result, results[0])


@pytest.mark.parametrize("name", [PREDICTIONS, SEED_PREDICTIONS, FACTS])
def test_a_damaged_fold_is_named(name, results, tmp_path):
    results[0].save(tmp_path)
    (tmp_path / name).write_bytes(b"{" if name == FACTS else b"PAR1")
    with pytest.raises(ValueError, match=rf"walk_forward\.folder: the finished fold in {tmp_path} .*remove"):
        FoldResult.load(tmp_path)


def test_the_folder_follows_data_and_settings_and_not_places(history, splits, tmp_path):
    def folder(split=splits[0], data=history, **changes):
        return fold_folder("root", split, data, fold_settings(tmp_path, **changes)).name

    own = folder()
    assert own.startswith("test_2022-01-17_2022-02-25_")
    training = {"max_epochs": 1, "chunk_days": 16, "seeds": [0, 1], "refit": "valid"}
    others = [
        folder(splits[1]),
        folder(splits[0] | {"train": ["2021-07-01", splits[0]["train"][1]]}),
        folder(model=model_params(dropout=0.1, gat={"edge_attributes": ["correlation", "is_self"]})),
        folder(training=training_params(tmp_path, **(training | {"learning_rate": 0.5}))),
        folder(training=training_params(tmp_path, **(training | {"seeds": [0, 2]}))),
        folder(features=features_params(clip=3.0)),
        folder(training=training_params(tmp_path, **(training | {"refit": "none"}))),
        folder(online_rate=None),
        folder(evaluation=evaluation_params(seed=1)),
        folder(evaluation=evaluation_params(blend="equal")),
        folder(evaluation=evaluation_params(factors={"number": 3, "window": 60, "cadence": 20})),
        folder(data=history_of(another_future(history.panel, 260))),
    ]
    assert len({own, *others}) == 1 + len(others)
    same = [
        folder(features=features_params(workers=2, memory_mb=99)),
        folder(training=training_params(tmp_path / "b", **training, keep_checkpoints=5)),
        folder(evaluation=evaluation_params(cost_bps=0, bootstrap_samples=9)),
        folder(data=history_of(another_future(history.panel, 300 + 22))),
    ]
    assert {own} == set(same)


@pytest.fixture
def no_collection_of_its_own() -> Iterator[None]:
    """Cycles, as a trainer leaves them, go when somebody collects them."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection_of_its_own")
def test_baselines_of_rows_are_fitted_without_the_tensors_of_the_fold(history, splits, tmp_path, monkeypatch):
    predict, tensors, of_rows = module.fold_predictions, [], []

    def predicted(market, *arguments):
        tensors.append(weakref.ref(market.tensors.x))
        return predict(market, *arguments)

    def fit_rows(context):
        assert tensors[0]() is None
        of_rows.append(context)
        return random(context)

    def fit_sequences(context):
        tensors.append(weakref.ref(context.tensors().x))
        return random(context)

    monkeypatch.setattr(module, "fold_predictions", predicted)
    monkeypatch.setattr(models, "fit_function", lambda model: fit_sequences if model.name == "lstm" else fit_rows)
    training = training_params(tmp_path, max_epochs=1, chunk_days=16, seeds=[0], refit="none")
    walk_forward(history, splits[:1], fold_settings(tmp_path, training=training, online_rate=None), tmp_path)
    assert len(tensors) == 2
    assert len(of_rows) == sum(bool(model.fit) for model in models.MODELS) - 1


def test_a_baseline_that_joins_the_table_is_another_fold(history, splits, tmp_path, monkeypatch):
    settings = fold_settings(tmp_path)
    before = fold_folder("root", splits[0], history, settings)
    toy = replace(models.MODELS[-1], name="toy")
    monkeypatch.setattr(models, "MODELS", (*models.MODELS, toy))
    assert fold_folder("root", splits[0], history, settings) != before


def test_one_changed_number_is_another_fold(history, splits, tmp_path):
    settings = fold_settings(tmp_path)
    changed = type(history)(
        history.raw_features.copy(deep=True),
        history.panel,
        history.labels,
        history.graph_edges,
        history.candidate_manifest,
    )
    changed.raw_features["volume_z_20d"].values[200, 3] += 1e-3
    one, other = (fold_folder("root", splits[0], data, settings) for data in (history, changed))
    assert one != other
