import logging

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm, rankdata

from gogooku_kedro.features import (
    LeakError,
    check_features,
    compute_features,
    feature_manifest,
    make_labels,
    manifest_hash,
    membership,
    normalise,
    split_mask,
    split_sessions,
)


@pytest.fixture(scope="module")
def world(panel_factory):
    panel = panel_factory(300, 40, seed=5)
    raw = compute_features(panel, ["returns", "volume"])
    labels = make_labels(panel, [1, 5], "next_open")
    split = split_sessions(
        panel["date"].values,
        train_end="auto",
        valid_end="auto",
        purge_sessions=6,
        warmup=120,
        max_horizon=5,
        entry="next_open",
    )
    return panel, raw, membership(panel, min_history=20), labels, split


def test_honest_features_pass_and_are_reported(world):
    _, raw, member, labels, split = world
    report = check_features(normalise(raw, member), labels, split, cap=0.3)
    assert len(report) == len(raw.data_vars) * 2
    assert report["rank_ic"].abs().max() < 0.2
    assert not report["constant"].any()


def test_a_feature_made_of_the_label_is_caught_by_name(world):
    _, raw, member, labels, split = world
    canary = labels["ret"].sel(horizon=5, drop=True)
    x = normalise(raw.assign(canary=canary), member)
    with pytest.raises(LeakError, match=r"'canary' \(\+1\.00 at 5 sessions\)") as caught:
        check_features(x, labels, split, cap=0.3)
    assert "return_1d" not in str(caught.value)


def test_a_negative_leak_is_caught_too(world):
    _, raw, member, labels, split = world
    x = normalise(raw.assign(mirror=-labels["ret"].sel(horizon=1, drop=True)), member)
    with pytest.raises(LeakError, match=r"'mirror' \(-1\.00 at 1 sessions\)"):
        check_features(x, labels, split, cap=0.3)


def test_the_test_part_is_never_read(world):
    panel, raw, member, labels, split = world
    in_test = xr.DataArray(split_mask(split, panel["date"].values, "test"), dims="date")
    late = labels["ret"].sel(horizon=5, drop=True).where(in_test, raw["return_1d"])
    report = check_features(normalise(raw.assign(late=late), member), labels, split, cap=0.3)
    same = report.set_index(["feature", "horizon"])["rank_ic"]
    assert same["late", 5] == pytest.approx(same["return_1d", 5])


def test_the_rank_ic_equals_the_daily_correlation(world):
    panel, raw, member, labels, split = world
    report = check_features(normalise(raw, member), labels, split, cap=0.9)

    def scores(values):
        return norm.ppf((rankdata(values) - 0.5) / len(values))

    daily = []
    for t in np.flatnonzero(split_mask(split, panel["date"].values, "valid")):
        x, y = raw["return_5d"].values[t], labels["ret"].values[t, :, 0]
        inside = member.values[t]
        x = np.where(np.isfinite(x), x, np.nan)
        ranked = np.zeros(len(x))
        known = inside & np.isfinite(x)
        ranked[known] = scores(x[known])
        pair = inside & np.isfinite(y)
        daily.append(np.corrcoef(ranked[pair], scores(y[pair]))[0, 1])
    found = report.query("feature == 'return_5d' and horizon == 1")["rank_ic_valid"].item()
    assert found == pytest.approx(np.mean(daily), abs=1e-5)


def test_constant_features_are_named(world, caplog):
    _, raw, member, labels, split = world
    x = normalise(raw.assign(flat=xr.zeros_like(raw["return_1d"])), member)
    with caplog.at_level(logging.WARNING):
        report = check_features(x, labels, split, cap=0.3)
    assert report.loc[report["constant"], "feature"].unique().tolist() == ["flat"]
    assert any("flat" in message for message in caplog.messages)


@pytest.mark.parametrize("cap", [0.0, 1.5])
def test_the_cap_is_a_correlation(world, cap):
    _, raw, member, labels, split = world
    with pytest.raises(ValueError, match=r"features\.leak_cap"):
        check_features(normalise(raw, member), labels, split, cap=cap)


def test_the_manifest_describes_the_columns_in_order(world):
    panel, raw, *_ = world
    manifest = feature_manifest(panel, ["returns", "volume"], normalisation="gaussian_rank", clip=5.0)
    assert [entry["name"] for entry in manifest["features"]] == list(raw.data_vars)
    assert manifest["n_features"] == len(raw.data_vars)
    assert manifest["warmup"] == 120
    assert manifest["families"] == ["returns", "volume"]
    assert manifest["dropped"] == {}
    assert len(manifest["channels"]) == 5


def test_the_hash_knows_names_order_look_back_and_normalisation():
    entries = [
        {"name": "a", "family": "returns", "lookback": 1},
        {"name": "b", "family": "returns", "lookback": 2},
    ]
    renamed = [entries[0] | {"name": "c"}, entries[1]]
    longer = [entries[0] | {"lookback": 9}, entries[1]]
    rank = {"normalisation": "gaussian_rank", "clip": 5.0}
    hashes = [
        manifest_hash(entries, **rank),
        manifest_hash(entries[::-1], **rank),
        manifest_hash(renamed, **rank),
        manifest_hash(longer, **rank),
        manifest_hash(entries, normalisation="robust_z", clip=5.0),
        manifest_hash(entries, normalisation="gaussian_rank", clip=8.0),
    ]
    assert len(set(hashes)) == len(hashes)
    assert manifest_hash(list(entries), normalisation="gaussian_rank", clip=5) == hashes[0]
