"""Dates of walk-forward folds: by hand, for any settings, and beside skfolio's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gogooku_kedro.labels.split import split_mask
from gogooku_kedro.params import LabelsParams, SplitParams
from gogooku_kedro.walk_forward.folds import plan_folds, walk_forward_splits
from tests.graph.conftest import graph_params
from tests.walk_forward.conftest import plan

DATES = pd.bdate_range("2021-01-04", periods=300)
RULES = {"purge_sessions": 21, "warmup": 50, "max_horizon": 20, "entry": "next_open"}


def positions(split, part, dates=DATES):
    return np.flatnonzero(split_mask(split, dates.values, part))


def test_two_expanding_folds_of_three_hundred_sessions():
    # Test parts: sessions 240 … 269 and 270 … 299. Before the first: 21 purged, 25 of validation
    # (194 … 218), 21 purged, and training from the end of the warm-up to session 172.
    splits = walk_forward_splits(DATES, plan(), **RULES)
    gaps = {"purge_sessions": 21, "embargo_sessions": 0}
    assert splits == [
        {
            "train": ["2021-03-15", "2021-09-01"],
            "valid": ["2021-10-01", "2021-11-04"],
            "test": ["2021-12-06", "2022-01-14"],
            **gaps,
        },
        {
            "train": ["2021-03-15", "2021-10-13"],
            "valid": ["2021-11-12", "2021-12-16"],
            "test": ["2022-01-17", "2022-02-25"],
            **gaps,
        },
    ]
    assert positions(splits[0], "train")[[0, -1]].tolist() == [50, 172]
    assert positions(splits[0], "valid")[[0, -1]].tolist() == [194, 218]
    assert positions(splits[0], "test")[[0, -1]].tolist() == [240, 269]


def test_a_rolling_fold_trains_on_the_last_sessions_alone():
    splits = walk_forward_splits(DATES, plan(scheme="rolling", train_sessions=100), **RULES)
    assert [split["train"] for split in splits] == [
        ["2021-04-15", "2021-09-01"],
        ["2021-05-27", "2021-10-13"],
    ]
    assert [len(positions(split, "train")) for split in splits] == [100, 100]
    assert splits[0]["test"] == ["2021-12-06", "2022-01-14"]


@pytest.mark.parametrize(("residual", "first"), [("none", 56), ("market", 90)])
def test_the_first_fold_begins_when_features_window_and_residual_targets_have_warmed_up(residual, first):
    labels = {"limit_entry": "missing", "delisting": "missing", "pca_factors": 1, "pca_cadence": 10}
    labels |= {"entry": "next_open", "residual": residual, "residual_window": 90}
    (split,) = plan_folds(
        DATES,
        {"features": [{"lookback": 50, "family": "returns"}]},
        plan(folds=1),
        SplitParams(train_end="auto", valid_end="auto", purge_sessions=21),
        LabelsParams.model_validate(labels),
        graph_params(cadence=5),
        window=6,
    )
    assert positions(split, "train")[0] == first


def test_the_embargo_widens_both_gaps():
    (split,) = walk_forward_splits(DATES, plan(folds=1, embargo_sessions=5), **RULES)
    train, valid, test = (positions(split, part) for part in ("train", "valid", "test"))
    assert (test[0] - valid[-1] - 1, valid[0] - train[-1] - 1) == (26, 26)
    assert (split["purge_sessions"], split["embargo_sessions"]) == (21, 5)


@pytest.mark.parametrize("purge", [0, 20])
def test_a_purge_shorter_than_the_longest_label_is_refused(purge):
    with pytest.raises(ValueError, match=rf"split\.purge_sessions = {purge}: labels of 20 .* at least 21"):
        walk_forward_splits(DATES, plan(), **(RULES | {"purge_sessions": purge}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 6}, r"walk_forward\.folds = 6: .*at most 5 fit, lower walk_forward\.folds"),
        ({"valid_sessions": 180}, r"walk_forward\.folds = 2: .*180 of validation.*not even one fits"),
        (
            {"scheme": "rolling", "train_sessions": 150},
            r"needs 150 training sessions, 25 of validation, two gaps of 21 .*277 in all, but of 300 "
            r"sessions 250 are left after the warm-up of 50; at most 1 fit",
        ),
    ],
)
def test_a_history_that_is_too_short_names_what_fits(changes, message):
    with pytest.raises(ValueError, match=message):
        walk_forward_splits(DATES, plan(**changes), **RULES)


def test_sessions_must_increase():
    with pytest.raises(ValueError, match="dates must increase"):
        walk_forward_splits(DATES[::-1], plan(), **RULES)


@settings(max_examples=80, deadline=None)
@given(
    n_sessions=st.integers(100, 700),
    warmup=st.integers(0, 150),
    folds=st.integers(1, 6),
    lengths=st.tuples(st.integers(20, 70), st.integers(20, 50)),
    train=st.none() | st.integers(20, 120),
    max_horizon=st.integers(1, 30),
    extra=st.tuples(st.integers(0, 5), st.integers(0, 10)),
    entry=st.sampled_from(["next_open", "close"]),
)
def test_label_windows_of_two_parts_never_meet(n_sessions, warmup, folds, lengths, train, max_horizon, extra, entry):
    dates = pd.bdate_range("2019-01-07", periods=n_sessions)
    lag = 1 if entry == "next_open" else 0
    params = plan(
        scheme="expanding" if train is None else "rolling",
        folds=folds,
        test_sessions=lengths[0],
        valid_sessions=lengths[1],
        train_sessions=train,
        embargo_sessions=extra[1],
    )
    purge = max_horizon + lag + extra[0]
    rules = {"purge_sessions": purge, "warmup": warmup, "max_horizon": max_horizon, "entry": entry}
    needed = folds * lengths[0] + lengths[1] + (train or 20) + 2 * (purge + extra[1])
    if n_sessions - warmup < needed:
        with pytest.raises(ValueError, match=r"walk_forward\.folds"):
            walk_forward_splits(dates, params, **rules)
        return
    splits = walk_forward_splits(dates, params, **rules)
    tested = []
    for split in splits:
        days = {part: positions(split, part, dates) for part in ("train", "valid", "test")}
        held = {part: {s for day in own for s in range(day, day + lag + max_horizon + 1)} for part, own in days.items()}
        assert not held["train"] & held["valid"]
        assert not held["valid"] & held["test"]
        assert not held["train"] & held["test"]
        assert len(days["train"]) == train if train else days["train"][0] == warmup
        assert days["train"][0] >= warmup
        assert (len(days["valid"]), len(days["test"])) == (lengths[1], lengths[0])
        tested += days["test"].tolist()
    assert tested == list(range(n_sessions - folds * lengths[0], n_sessions))


def skfolio_splits(first, train, gap, test, expanding=False):
    from skfolio.model_selection import WalkForward

    cv = WalkForward(test_size=test, train_size=train, purged_size=gap, expand_train=expanding)
    rows = np.arange(first, len(DATES))
    return [(rows[fitted], rows[held]) for fitted, held in cv.split(rows[:, None])]


@pytest.mark.parametrize("train", [None, 60])
def test_the_folds_are_those_of_skfolio(train):
    # skfolio walks forward from the first row, we backwards from the last session: its rows begin where our
    # first fold does. It knows no validation part, which is its test part inside our training side.
    params = plan(folds=3, scheme="expanding" if train is None else "rolling", train_sessions=train, embargo_sessions=4)
    splits = walk_forward_splits(DATES, params, **RULES)
    gap, first = 25, positions(splits[0], "train")[0]
    learned = positions(splits[0], "valid")[-1] - first + 1
    theirs = skfolio_splits(first, learned, gap, 30, expanding=train is None)
    assert len(theirs) == len(splits)
    for split, (fitted, tested) in zip(splits, theirs, strict=True):
        np.testing.assert_array_equal(positions(split, "test"), tested)
        assert [positions(split, "train")[0], positions(split, "valid")[-1]] == [fitted[0], fitted[-1]]
        ((inner, valid),) = skfolio_splits(fitted[0], len(fitted) - gap - 25, gap, 25)[:1]
        np.testing.assert_array_equal(positions(split, "train"), inner)
        np.testing.assert_array_equal(positions(split, "valid"), valid)
