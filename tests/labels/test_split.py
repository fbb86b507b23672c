import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gogooku_kedro.labels.split import split_mask, split_sessions

DATES = pd.bdate_range("2021-01-04", periods=300)
SETTINGS = {
    "train_end": "auto",
    "valid_end": "auto",
    "purge_sessions": 22,
    "warmup": 50,
    "max_horizon": 20,
    "entry": "next_open",
}


def test_parts_of_three_hundred_sessions():
    # usable: sessions 50 … 299; 60% ends at session 199, 80% at session 249
    assert split_sessions(DATES, **SETTINGS) == {
        "train": ["2021-03-15", "2021-10-08"],
        "valid": ["2021-11-10", "2021-12-17"],
        "test": ["2022-01-19", "2022-02-25"],
        "purge_sessions": 22,
    }


def test_a_part_ends_on_the_last_session_up_to_its_date():
    wanted = SETTINGS | {"train_end": "2021-10-09", "valid_end": "2021-12-19"}  # both weekends
    split = split_sessions(DATES, **wanted)
    assert split["train"][1] == "2021-10-08"
    assert split["valid"] == ["2021-11-10", "2021-12-17"]


def test_the_mask_of_a_part_covers_both_ends():
    split = split_sessions(DATES, **SETTINGS)
    masks = [split_mask(split, DATES.values, part) for part in ("train", "valid", "test")]
    assert [int(mask.sum()) for mask in masks] == [150, 28, 28]
    assert not (masks[0] & masks[1]).any()
    assert np.flatnonzero(masks[2])[[0, -1]].tolist() == [272, 299]
    with pytest.raises(ValueError, match="part = 'holdout'"):
        split_mask(split, DATES.values, "holdout")
    with pytest.raises(ValueError, match=r"split\.valid is None; write \[from, to\]"):
        split_mask({"train": split["train"]}, DATES.values, "valid")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purge_sessions": 20}, r"split\.purge_sessions = 20: .* need at least 21"),
        ({"train_end": "2030-01-01"}, r"split\.train_end = '2030-01-01'.*2021-03-15 to 2022-02-25"),
        ({"train_end": "2021-01-08"}, r"split\.train_end.*outside the usable sessions"),
        ({"valid_end": "soon"}, r"split\.valid_end = 'soon': give an ISO date"),
        ({"train_end": "2021-04-01"}, "train part has 14 sessions.*split.train_end later"),
        ({"train_end": "2021-12-01"}, "valid part has 0 sessions.*split.valid_end later"),
        ({"valid_end": "2022-01-10"}, "test part has 12 sessions.*split.valid_end earlier"),
        ({"warmup": 300}, "no more than the warm-up of 300"),
        ({"entry": "open"}, r"labels\.entry"),
    ],
)
def test_impossible_splits_name_the_setting_the_span_and_the_fix(change, message):
    with pytest.raises(ValueError, match=message):
        split_sessions(DATES, **(SETTINGS | change))


def test_a_purge_equal_to_horizon_plus_lag_is_enough():
    assert split_sessions(DATES, **(SETTINGS | {"purge_sessions": 21}))["purge_sessions"] == 21
    by_close = SETTINGS | {"purge_sessions": 20, "entry": "close"}
    assert split_sessions(DATES, **by_close)["purge_sessions"] == 20


def test_sessions_must_increase():
    with pytest.raises(ValueError, match="dates must increase"):
        split_sessions(DATES[::-1], **SETTINGS)


@settings(max_examples=60, deadline=None)
@given(
    n_sessions=st.integers(150, 600),
    warmup=st.integers(0, 120),
    max_horizon=st.integers(1, 30),
    extra=st.integers(0, 5),
    entry=st.sampled_from(["next_open", "close"]),
)
def test_label_windows_of_two_parts_never_overlap(n_sessions, warmup, max_horizon, extra, entry):
    dates = pd.bdate_range("2020-01-06", periods=n_sessions)
    lag = 1 if entry == "next_open" else 0
    purge = max_horizon + lag + extra
    sizes = {"warmup": warmup, "max_horizon": max_horizon, "entry": entry}
    automatic = {"train_end": "auto", "valid_end": "auto", "purge_sessions": purge}
    if int(0.8 * (n_sessions - warmup)) - int(0.6 * (n_sessions - warmup)) - purge < 20:
        with pytest.raises(ValueError, match="sessions, fewer than 20"):
            split_sessions(dates, **automatic, **sizes)
        return
    split = split_sessions(dates, **automatic, **sizes)
    held = {}
    for part in ("train", "valid", "test"):
        days = np.flatnonzero(split_mask(split, dates.values, part))
        held[part] = {s for day in days for s in range(day, day + lag + max_horizon + 1)}
    assert not held["train"] & held["valid"]
    assert not held["valid"] & held["test"]
    assert min(held["train"]) >= warmup
