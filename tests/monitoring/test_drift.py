"""Stability indices of features against the training part."""

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.monitoring.drift import feature_drift, stability_index

SHAPE = (200, 60)


def drift(**features: np.ndarray):
    raw = xr.Dataset({name: (("date", "code"), values) for name, values in features.items()})
    kinds = {name: "market" if name.startswith("market") else "stock" for name in features}
    entries = [{"name": name, "family": name.split("_")[0], "kind": kind} for name, kind in kinds.items()]
    inside = np.ones(SHAPE, dtype=bool)
    inside[:, 50:] = False
    return feature_drift(raw, inside, {"features": entries}, (10, 150), 199, 20).set_index("family")


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE)


def test_the_index_by_hand():
    found = stability_index(np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    assert found == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))
    assert np.isfinite(stability_index(np.array([1.0, 0.0]), np.array([0.5, 0.5])))


def test_what_has_not_moved_lies_with_the_windows_of_the_training_part():
    found = drift(still=noise(0), far=np.where(np.arange(200)[:, None] < 170, noise(1), noise(1) + 1.0))
    assert list(found.index) == ["far", "still"]
    assert found.loc["still", "psi"] < 1.5 * found.loc["still", "usual"] < 0.1
    assert found.loc["far", "psi"] > 0.5
    assert found.loc["far", "usual"] < 0.1


def test_a_feature_that_is_missing_now_has_drifted():
    gone = noise(0)
    gone[180:] = np.nan
    found = drift(gone=gone)
    assert found.loc["gone", "psi"] > 5
    assert drift(never=np.full(SHAPE, np.nan)).loc["never", "psi"] == 0


def test_a_family_names_its_furthest_feature_and_market_features_are_left_out():
    found = drift(
        one_a=noise(0), one_b=np.where(np.arange(200)[:, None] < 180, noise(1), 3 * noise(1)), market_c=noise(2)
    )
    assert list(found.index) == ["one"]
    assert (found.loc["one", "features"], found.loc["one", "furthest"]) == (2, "one_b")


def test_rows_outside_the_universe_and_after_the_morning_do_not_count():
    outside, later = noise(0), noise(0)
    outside[:, 50:] += 9.0
    assert drift(one=outside).equals(drift(one=noise(0)))
    raw = xr.Dataset({"one": (("date", "code"), later)})
    manifest = {"features": [{"name": "one", "family": "one", "kind": "stock"}]}
    inside = np.ones(SHAPE, dtype=bool)
    before = feature_drift(raw, inside, manifest, (10, 100), 150, 20)
    later[151:] += 5.0
    assert feature_drift(raw, inside, manifest, (10, 100), 150, 20).equals(before)


def test_a_training_part_shorter_than_the_window_has_no_drift():
    raw = xr.Dataset({"one": (("date", "code"), noise(0))})
    manifest = {"features": [{"name": "one", "family": "one", "kind": "stock"}]}
    assert feature_drift(raw, np.ones(SHAPE, dtype=bool), manifest, (10, 20), 199, 20).empty
