"""A real trial of a random market: what it measures, and that nothing after the training part reaches it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.params import GraphParams, LabelsParams, SplitParams
from gogooku_kedro.pipelines.tuning import nodes
from gogooku_kedro.tuning import folds as tuning_folds
from gogooku_kedro.tuning.folds import FoldScores
from gogooku_kedro.tuning.search import Search
from gogooku_kedro.tuning.space import Settings
from gogooku_kedro.walk_forward.refit import History
from tests.conftest import settings_of
from tests.graph.conftest import graph_params
from tests.model.conftest import model_params
from tests.training.conftest import training_params
from tests.tuning.conftest import tuning_params
from tests.walk_forward.conftest import PURGE, features_params, plan

LAST = 289
"""Position of the last session of the training part, of 330."""
MODEL = model_params(gat={"edge_attributes": ["correlation", "is_self"]})


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> Search:
    folder = tmp_path_factory.mktemp("tuning")
    folds = plan(folds=1, folder=str(folder)).model_dump()
    params = tuning_params(trials=1, walk_forward=folds, export_to=None)
    training = training_params(folder, max_epochs=1, chunk_days=16, seeds=[0])
    return Search(params, Settings(MODEL, training), features_params(), ())


def split_of(history: History) -> dict[str, Any]:
    return {"train": ["2021-01-01", f"{history.panel.indexes['date'][LAST]:%Y-%m-%d}"]}


def splits_of(history: History, search: Search, **changes: Any) -> list[dict[str, Any]]:
    purge = SplitParams.model_validate(settings_of("test")["split"] | {"purge_sessions": PURGE})
    labels = LabelsParams.model_validate(settings_of("test")["labels"])
    graph: GraphParams = graph_params()
    manifest, params = history.candidate_manifest, search.params.model_copy(update=changes)
    return nodes.split_trials(history.panel, manifest, split_of(history), params, purge, labels, graph, MODEL)


def train(history: History, splits: list[dict[str, Any]], search: Search) -> dict[str, Any]:
    tables = (history.raw_features, history.panel, history.labels, history.graph_edges, history.candidate_manifest)
    return nodes.train_trials(*tables, splits, search, {"data_hash": "of the prices"})


@pytest.fixture(scope="module")
def found(history, search) -> dict[str, Any]:
    return train(history, splits_of(history, search), search)


def another_future(history: History) -> History:
    """Everything that is dated after the training part is another."""
    after = history.panel["date"] > history.panel["date"][LAST]
    rng = np.random.default_rng(5)

    def changed(data: xr.Dataset) -> xr.Dataset:
        numbers = {name: each for name, each in data.items() if each.dtype.kind == "f" and "date" in each.dims}
        return data.assign(
            {
                name: each.where(~after, each + rng.normal(size=each.shape).astype(each.dtype))
                for name, each in numbers.items()
            }
        )

    edges, last = history.graph_edges, pd.Timestamp(history.panel.indexes["date"][LAST])
    edges = edges[(edges["asof"] <= last) | (edges["source"] == edges["target"])]
    return replace(
        history,
        raw_features=changed(history.raw_features),
        panel=changed(history.panel),
        labels=changed(history.labels),
        graph_edges=edges,
    )


def test_the_folds_end_with_the_training_part(history, search):
    splits = splits_of(history, search)
    assert splits[-1]["test"][1] == split_of(history)["train"][1]
    assert len(splits) == 1


def test_folds_that_the_training_part_does_not_hold_are_refused_under_their_own_setting(history, search):
    with pytest.raises(ValueError, match=r"^tuning\.walk_forward\.folds = 9: .*up to split\.train_end$"):
        splits_of(history, search, walk_forward=plan(folds=9))


def test_a_trial_measures_the_rank_ic_of_the_test_part_of_its_fold(found, history, search, tmp_path, monkeypatch):
    (row,) = found["trials"]
    assert row["state"] == "finished"
    scored: list[pd.DataFrame] = []
    predict_parts = tuning_folds.predict_parts

    def watched(*arguments: Any) -> Any:
        scored.append(predict_parts(*arguments)[0])
        return scored[-1], None

    monkeypatch.setattr(tuning_folds, "predict_parts", watched)
    splits, settings = splits_of(history, search), search.base.at(row["settings"])
    again = FoldScores(history, splits, search.features, tmp_path)(1, settings, "trial 0")
    assert again["rank_ic"] == row["folds"][0]["rank_ic"]
    labels = history.labels["ret"].sel(horizon=5).to_series().rename("ret")
    joined = scored[0].join(labels, on=["date", "code"])
    by_hand = joined.groupby("date")[["score_5d", "ret"]].corr(method="spearman").xs("ret", level=1)["score_5d"]
    assert again["rank_ic"]["5d"] == pytest.approx(by_hand.mean())
    assert [str(day)[:10] for day in (by_hand.index[0], by_hand.index[-1])] == splits[0]["test"]
    values = list(again["rank_ic"].values())
    assert row["value"] == pytest.approx(np.mean(values))


def test_nothing_after_the_training_part_changes_a_trial(found, history, search, tmp_path, monkeypatch):
    later = another_future(history)
    splits = splits_of(later, search)
    (row,) = found["trials"]
    scored = FoldScores(later, splits, search.features, tmp_path)(1, search.base.at(row["settings"]), "trial 0")
    assert scored["rank_ic"] == row["folds"][0]["rank_ic"]
    monkeypatch.setattr(FoldScores, "__call__", lambda *_: pytest.fail("a finished trial is trained again"))
    assert train(later, splits, search) == found  # the same study


def test_other_labels_in_the_training_part_are_another_study(found, history, search, monkeypatch):
    class AskedError(Exception):
        pass

    def asked(*_: Any) -> Any:
        raise AskedError

    monkeypatch.setattr(FoldScores, "__call__", asked)
    others = replace(history, labels=history.labels.assign(ret=-history.labels["ret"]))
    with pytest.raises(AskedError):
        train(others, splits_of(others, search), search)
