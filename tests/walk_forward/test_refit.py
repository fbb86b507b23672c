"""A fold knows nothing of what comes after it, and fits nothing on its test part."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.features import LeakError
from gogooku_kedro.training import Ensemble
from gogooku_kedro.walk_forward.models import fold_baselines, fold_ensemble, fold_market
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import fold_folder
from tests.walk_forward.conftest import (
    another_future,
    features_params,
    fold_settings,
    history_of,
)


def position(history: History, date: str) -> int:
    return int(history.panel.indexes["date"].get_loc(date))


def equal_bits(one: xr.Dataset, other: xr.Dataset) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        left, right = one[name].to_numpy(), other[name].to_numpy()
        assert left.tobytes() == right.tobytes(), name


@pytest.fixture(scope="module")
def fold(history, splits):
    return history.fold(1, splits[0], features_params())


def test_a_fold_ends_with_its_test_part(fold, splits):
    end = pd.Timestamp(splits[0]["test"][1])
    assert fold.features.indexes["date"][-1] == end
    assert fold.labels.indexes["date"][-1] == end
    assert fold.graph_edges["asof"].max() <= end
    assert fold.features["x"].sel(date=slice(*splits[0]["test"])).any()


def test_what_comes_after_the_test_part_changes_no_bit_of_a_fold(history, splits, fold):
    after = position(history, splits[0]["test"][1]) + 1
    later = history_of(another_future(history.panel, after)).fold(1, splits[0], features_params())
    assert later.manifest == fold.manifest
    equal_bits(fold.features, later.features)
    pd.testing.assert_frame_equal(fold.graph_edges, later.graph_edges, check_exact=True)
    settled = fold.labels.isel(date=slice(None, after - 21))
    equal_bits(settled[["ret", "target"]], later.labels.isel(date=slice(None, after - 21))[["ret", "target"]])


def test_nothing_is_fitted_on_the_test_part(history, splits, fold, results, root, tmp_path):
    # Every row from the first test session on is another one: manifest, earlier features, and the
    # network's weights, its scales of levels and edges among them, stay the same in every bit.
    first = position(history, splits[0]["test"][0])
    later = history_of(another_future(history.panel, first)).fold(1, splits[0], features_params())
    assert later.manifest == fold.manifest
    before = slice(None, first)
    equal_bits(fold.features.isel(date=before), later.features.isel(date=before))
    assert not fold.features["x"].equals(later.features["x"])

    settings = fold_settings(tmp_path)
    market = fold_market(later, settings)
    trained = Ensemble.load(fold_folder(root, splits[0], history, settings) / "models")
    again = fold_ensemble(later, market, settings, tmp_path)
    for left, right in zip(trained.seed_models, again.seed_models, strict=True):
        assert left.weights.keys() == right.weights.keys()
        for name, weight in left.weights.items():
            assert weight.tobytes() == right.weights[name].tobytes(), name


def test_learned_baselines_of_a_fold_do_not_read_its_test_part(history, splits, fold, results, tmp_path):
    # The test part's features stay, its labels are reversed.
    outcome = fold.labels.copy(deep=True)
    late = fold.labels.indexes["date"] >= pd.Timestamp(splits[0]["test"][0])
    for name in ("ret", "target"):
        outcome[name].values[late] *= -1
    panel = history.panel.sel(date=fold.features["date"])
    changed = fold_baselines(replace(fold, labels=outcome), panel, fold_settings(tmp_path))
    changed = changed[changed["split"] == "test"].reset_index(drop=True)
    scores = results[0].predictions
    kept = scores[scores["model"].isin(changed["model"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, changed[list(kept)], check_exact=True)
    learned = {"ridge", "lightgbm", "lightgbm_own", "lightgbm_peers", "lstm"}
    assert {*learned, "reversal_1d", "random"} <= set(kept["model"])


def test_the_gates_of_a_fold_do_not_read_its_test_part(history, splits):
    # Constant from before the first fold's test part, which is the second fold's validation, on: only the
    # second fold drops it.
    name = "volume_z_20d"
    raw = history.raw_features.copy(deep=True)
    raw[name].values[position(history, splits[1]["valid"][0]) :] = 1.0
    dying = History(raw, history.panel, history.labels, history.graph_edges, history.candidate_manifest)
    first, second = (dying.fold(n, split, features_params()) for n, split in enumerate(splits, start=1))
    assert name not in first.manifest["dropped"]
    assert name in second.manifest["dropped"]
    assert first.manifest["hash"] != second.manifest["hash"]
    assert first.features.sizes["feature"] == second.features.sizes["feature"] + 1
    strict = {"on_failure": "fail", "constant_share": 0.05, "duplicate_correlation": 0.9999}
    assert dying.fold(2, splits[1], features_params(checks=strict)).manifest == second.manifest


def test_a_leak_names_the_fold(history, splits):
    noise = np.random.default_rng(0).normal(size=history.raw_features["volume_z_20d"].shape)
    answer = history.labels["ret"].sel(horizon=5, drop=True) * 50 + noise
    raw = history.raw_features.assign(volume_z_20d=answer.astype(np.float32))
    leaky = History(raw, history.panel, history.labels, history.graph_edges, history.candidate_manifest)
    with pytest.raises(LeakError, match=r"fold 1, .*features\.leak_cap = 0\.5: .*'volume_z_20d'"):
        leaky.fold(1, splits[0], features_params())
