import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm, rankdata

from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.features import CheckError, LeakError, check_features, compute_features
from gogooku_kedro.labels.split import split_mask, split_sessions
from gogooku_kedro.labels.target import make_labels

GATES = {"leak_cap": 0.3, "constant_share": 0.05, "duplicate_correlation": 0.9999, "on_failure": "fail"}
FAMILIES = ["oscillators", "volume"]


@pytest.fixture(scope="module")
def world(panel_factory):
    panel = panel_factory(420, 40, seed=5)
    raw = compute_features(panel, FAMILIES)
    labels = make_labels(panel, [1, 5], "next_open")
    split = split_sessions(
        panel["date"].values,
        train_end="auto",
        valid_end="auto",
        purge_sessions=6,
        warmup=170,
        max_horizon=5,
        entry="next_open",
    )
    return panel, raw, universe_mask(panel, min_history=20), labels, split


def entry(name, kind="stock", method="gaussian_rank", sector_neutral=False):
    own = {"name": name, "column": f"{name}_rank", "family": "f", "kind": kind, "lookback": 0}
    return own | {"normalisation": method, "sector_neutral": sector_neutral}


def check(world, raw=None, market=(), **settings):
    _, computed, in_universe, labels, split = world
    raw = computed if raw is None else raw
    manifest = {"features": [entry(n, "market" if n in market else "stock") for n in raw.data_vars]}
    return check_features(raw, in_universe, labels, split, manifest, **(GATES | settings))


def test_honest_features_pass_and_are_reported(world):
    reasons, report = check(world)
    assert reasons == {}
    assert len(report) == len(world[1].data_vars) * 2
    assert report["rank_ic"].abs().max() < 0.2
    assert (report["failed_check"] == "").all()


def test_a_feature_made_of_the_label_is_caught_by_name(world):
    canary = world[3]["ret"].sel(horizon=5, drop=True)
    with pytest.raises(LeakError, match=r"'canary' \(\+1\.00 at 5 sessions\)") as caught:
        check(world, world[1].assign(canary=canary), on_failure="drop")  # a leak is never dropped
    assert "rsi_14d" not in str(caught.value)


def test_a_negative_leak_is_caught_too(world):
    mirror = -world[3]["ret"].sel(horizon=1, drop=True)
    with pytest.raises(LeakError, match=r"'mirror' \(-1\.00 at 1 sessions\)"):
        check(world, world[1].assign(mirror=mirror))


@pytest.fixture(scope="module")
def wide_market():
    """A market of 200 stocks, of which a twentieth is a cross-section of ten; honest noise of the same shape."""
    rng = np.random.default_rng(8)
    dates = pd.bdate_range("2021-01-04", periods=160).as_unit("ns")
    coords = {"date": dates, "code": [f"{i}" for i in range(200)], "horizon": [1, 20]}
    daily = rng.normal(size=(160, 200))
    ahead = np.stack([daily, pd.DataFrame(daily).rolling(20, min_periods=1).sum()[::-1].to_numpy()], axis=-1)
    labels = xr.Dataset({"ret": (("date", "code", "horizon"), ahead)}, coords)
    split = {part: [str(dates[i].date()) for i in span] for part, span in (("train", (0, 99)), ("valid", (100, 159)))}
    in_universe = xr.DataArray(np.ones((160, 200), bool), {k: coords[k] for k in ("date", "code")})
    noise = in_universe.copy(data=rng.normal(size=(160, 200)))
    return None, xr.Dataset({"noise": noise}), in_universe, labels, split


@pytest.mark.parametrize("sign", [1, -1])
def test_a_leak_known_for_a_twentieth_of_the_stocks_is_caught(wide_market, sign):
    canary = sign * wide_market[3]["ret"].sel(horizon=1, drop=True)
    always_the_same = canary.where(np.arange(200)[None] % 20 == 0)
    others_every_day = canary.where((np.arange(160)[:, None] + np.arange(200)) % 20 == 0)
    written = r"\+" if sign > 0 else "-"
    for values in (always_the_same, others_every_day):
        with pytest.raises(LeakError, match=rf"'canary' \({written}(0\.9\d|1\.00) at 1 sessions\)"):
            check(wide_market, wide_market[1].assign(canary=values))


def test_a_leak_known_on_a_tenth_of_the_days_is_caught(wide_market):
    canary = wide_market[3]["ret"].sel(horizon=20, drop=True)
    seldom = canary.where((np.arange(160)[:, None] % 10 == 0) & (np.arange(200) % 10 == 0)[None])
    with pytest.raises(LeakError, match=r"'canary' \(\+0\.9\d at 20 sessions\)"):
        check(wide_market, wide_market[1].assign(canary=seldom), on_failure="drop")


def test_a_sparse_honest_feature_is_no_leak(wide_market):
    noise = wide_market[1]["noise"]
    few = (np.arange(200) % 20 == 0)[None]
    once = (np.arange(160) % 40 == 0)[:, None]  # four days of ten stocks: a mean of +-0.3 is chance
    lucky = xr.where(once & few, 0.5 * wide_market[3]["ret"].sel(horizon=1, drop=True) + noise, np.nan)
    sparse = wide_market[1].assign(sparse=noise.where(few), rare=noise.where(few & once), lucky=lucky)
    _, report = check(wide_market, sparse, on_failure="drop")
    seen = report.set_index(["feature", "horizon"])
    assert seen.loc[("sparse", 1), "pairs"] == 1600
    assert seen.loc[("rare", 1), "pairs"] == 40
    assert abs(seen.loc[("sparse", 1), "rank_ic"]) < 0.1
    assert seen.loc[("lucky", 1), "rank_ic"] > 0.3  # beyond the cap, and no more than chance does


def test_the_test_part_is_never_read(world):
    panel, raw, _, labels, split = world
    in_test = xr.DataArray(split_mask(split, panel["date"].values, "test"), dims="date")
    late = labels["ret"].sel(horizon=5, drop=True).where(in_test, raw["rsi_14d"])
    _, report = check(world, raw.assign(late=late), duplicate_correlation=1.0)
    same = report.set_index(["feature", "horizon"])["rank_ic"]
    assert same["late", 5] == pytest.approx(same["rsi_14d", 5])


def test_the_rank_ic_equals_the_daily_correlation(world):
    panel, raw, in_universe, labels, split = world
    _, report = check(world)

    def scores(values):
        return norm.ppf((rankdata(values) - 0.5) / len(values))

    daily = []
    for t in np.flatnonzero(split_mask(split, panel["date"].values, "valid")):
        x, y = raw["rsi_14d"].values[t], labels["ret"].values[t, :, 0]
        inside = in_universe.values[t]
        ranked, of_return = np.full(len(x), np.nan), np.full(len(x), np.nan)
        known, labelled = inside & np.isfinite(x), inside & np.isfinite(y)
        ranked[known], of_return[labelled] = scores(x[known]), scores(y[labelled])
        pair = known & labelled  # a missing value is no value
        daily.append(np.corrcoef(ranked[pair], of_return[pair])[0, 1])
    found = report.query("feature == 'rsi_14d' and horizon == 1")["rank_ic_valid"].item()
    assert found == pytest.approx(np.mean(daily), abs=1e-5)


def test_a_constant_feature_stops_the_run_or_is_dropped_by_name(world, caplog):
    flat = world[1].assign(flat=xr.zeros_like(world[1]["rsi_14d"]))
    with pytest.raises(CheckError, match=r"'flat' does not vary on 100\.0% of .*on_failure: drop"):
        check(world, flat)
    with caplog.at_level(logging.INFO):
        reasons, report = check(world, flat, on_failure="drop")
    assert set(reasons) == {"flat"}
    assert report.loc[report["failed_check"] != "", "feature"].unique().tolist() == ["flat"]
    assert any("'flat' is dropped" in message for message in caplog.messages)


def test_a_feature_may_be_the_same_for_all_stocks_on_a_small_share_of_the_dates(world):
    panel, raw, _, _, split = world
    learned = split_mask(split, panel["date"].values, "train") | split_mask(split, panel["date"].values, "valid")
    some = np.flatnonzero(learned)
    for count, falls in ((int(0.05 * len(some)), False), (int(0.05 * len(some)) + 1, True)):
        values = raw["rsi_14d"].copy(deep=True)
        values[some[:count]] = 0.5
        reasons, _ = check(world, raw.assign(still=values), on_failure="drop", duplicate_correlation=1.0)
        assert ("still" in reasons) == falls, count


def test_an_empty_feature_is_named(world):
    empty = world[1].assign(nothing=world[1]["rsi_14d"] * np.nan)
    with pytest.raises(CheckError, match=r"'nothing' has no value"):
        check(world, empty)


def test_the_later_of_two_duplicates_falls_whatever_its_sign_and_scale(world):
    twin = world[1].assign(twin=-3 * world[1]["rsi_14d"] + 1)
    reasons, _ = check(world, twin, on_failure="drop")
    assert reasons == {"twin": "duplicates 'rsi_14d' (correlation -1.00000)"}
    noise = np.random.default_rng(0).normal(size=twin["twin"].shape)
    near = world[1].assign(near=world[1]["rsi_14d"] + 0.02 * noise)
    assert check(world, near)[0] == {}


def test_a_feature_with_one_value_per_date_must_vary_over_time(world):
    raw, dates = world[1], world[1].sizes["date"]
    moving = xr.DataArray(np.sin(np.arange(dates)), dims="date")
    both = raw.assign(moving=moving, still=xr.ones_like(moving))
    reasons, report = check(world, both, market=("moving", "still"), on_failure="drop")
    assert set(reasons) == {"still"}
    assert report.loc[report["feature"] == "moving", "rank_ic"].isna().all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("leak_cap", 0.0), ("leak_cap", 1.5), ("constant_share", 1.0), ("duplicate_correlation", 0.0)],
)
def test_bounds_are_checked(world, setting, value):
    with pytest.raises(ValueError, match=rf"features\.\S*{setting} = {value}"):
        check(world, **{setting: value})
