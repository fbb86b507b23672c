"""Walk-forward folds: dates of training, validation and test parts that move through the history."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.features import first_session
from gogooku_kedro.labels.returns import Entry
from gogooku_kedro.labels.split import MIN_SESSIONS, Split, check_purge
from gogooku_kedro.params import GraphParams, LabelsParams, SplitParams, WalkForwardParams
from gogooku_kedro.typing import Array

Bounds = dict[str, tuple[int, int]]


def plan_folds(
    dates: Array | pd.DatetimeIndex,
    candidate_manifest: Mapping[str, Any],
    params: WalkForwardParams,
    split: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    window: int,
) -> list[Split]:
    """Return `walk_forward_splits` with the purge of the split, after the warm-up of all that looks back.

    Args:
        dates: Sessions in increasing order.
        candidate_manifest: Manifest before the checks.
        params: Section `walk_forward`.
        split: Section `split`; of it the purge.
        labels: Section `labels`.
        graph: Section `graph`.
        window: Sessions that the model looks back over.
    """
    warmup = first_session(
        candidate_manifest,
        graph_window=graph.window,
        graph_cadence=graph.cadence,
        model_window=window,
        residual_window=labels.fitted_sessions(),
    )
    return walk_forward_splits(
        dates,
        params,
        purge_sessions=split.purge_sessions,
        warmup=warmup,
        max_horizon=max(HORIZONS),
        entry=labels.entry,
    )


def walk_forward_splits(
    dates: Array | pd.DatetimeIndex,
    params: WalkForwardParams,
    *,
    purge_sessions: int,
    warmup: int,
    max_horizon: int,
    entry: Entry,
) -> list[Split]:
    """Return the split of every fold, the oldest first.

    The test parts have `test_sessions` each, follow one another without a gap and end with the last
    session. Before a test part lie, counted backwards: the gap, `valid_sessions` of validation, the gap,
    and the training part, which begins with the first usable session (`expanding`) or has
    `train_sessions` (`rolling`). The gap is the purge plus the embargo.

    The purge keeps label windows apart: the last label of a part is known before the next part begins.
    The embargo of Lopez de Prado (2018, chapter 7) leaves out training sessions that *follow* a test part,
    whose features still carry what the test part knew. Here no fold trains on a session after its own
    test part, so nothing has to go there; `embargo_sessions` widens the gap before the validation and
    the test part instead, across which features with long look-backs resemble one another.

    Args:
        dates: Sessions in increasing order.
        params: Section `walk_forward`.
        purge_sessions: Sessions left out between two parts; at least `max_horizon` plus the entry lag.
        warmup: Position of the first session that may be trained on.
        max_horizon: Longest label horizon in sessions.
        entry: `next_open` (entry lag 1) or `close` (0).

    Returns:
        `{"train": [from, to], "valid": [from, to], "test": [from, to], "purge_sessions": n,
        "embargo_sessions": n}` for each fold, ISO dates, both ends included. The last `max_horizon`
        sessions of the last test part have no longest label yet.

    Raises:
        ValueError: The dates do not increase, the purge is too short, or the history does not hold the
            folds; the message names the setting, the span and the most folds that fit.
    """
    sessions = pd.DatetimeIndex(dates)
    if not sessions.is_monotonic_increasing or not sessions.is_unique:
        raise ValueError("walk_forward: the panel's dates must increase; sort them and drop duplicates")
    check_purge(purge_sessions, max_horizon, entry)
    gap = purge_sessions + params.embargo_sessions
    _check_history(sessions, params, gap, warmup)
    iso = sessions.strftime("%Y-%m-%d")
    gaps = {"purge_sessions": purge_sessions, "embargo_sessions": params.embargo_sessions}
    splits: list[Split] = []
    for fold in range(params.folds):
        bounds = _bounds(fold, len(sessions), params, gap, warmup)
        splits.append({part: [str(iso[i]), str(iso[j])] for part, (i, j) in bounds.items()} | gaps)
    return splits


def _bounds(fold: int, n_sessions: int, params: WalkForwardParams, gap: int, warmup: int) -> Bounds:
    """First and last position of every part of a fold, counted from 0."""
    test = n_sessions - (params.folds - fold) * params.test_sessions
    valid = test - gap - params.valid_sessions
    last_train = valid - gap - 1
    first_train = warmup if params.train_sessions is None else last_train - params.train_sessions + 1
    return {
        "train": (first_train, last_train),
        "valid": (valid, test - gap - 1),
        "test": (test, test + params.test_sessions - 1),
    }


def _check_history(sessions: pd.DatetimeIndex, params: WalkForwardParams, gap: int, warmup: int) -> None:
    shortest = params.train_sessions or MIN_SESSIONS
    for_tests = len(sessions) - warmup - shortest - params.valid_sessions - 2 * gap
    if for_tests >= params.folds * params.test_sessions:
        return
    most = max(for_tests, 0) // params.test_sessions
    advice = f"at most {most} fit, lower walk_forward.folds" if most else "not even one fits"
    needed = shortest + params.valid_sessions + 2 * gap + params.folds * params.test_sessions
    raise ValueError(
        f"walk_forward.folds = {params.folds}: the first fold needs {shortest} training sessions, "
        f"{params.valid_sessions} of validation, two gaps of {gap} (purge and embargo), and all folds "
        f"{params.test_sessions} test sessions each, {needed} in all, but of {len(sessions)} sessions "
        f"{max(len(sessions) - warmup, 0)} are left after the warm-up of {warmup}; {advice}, shorten the "
        f"parts or provide a longer history"
    )
