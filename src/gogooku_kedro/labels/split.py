"""Split of the sessions into train, purge, valid, purge and test."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gogooku_kedro.labels.returns import Entry, entry_lag
from gogooku_kedro.typing import Array, BoolArray

Part = Literal["train", "valid", "test"]
Split = dict[str, Any]

PARTS: tuple[Part, ...] = ("train", "valid", "test")
MIN_SESSIONS = 20
AUTO_SHARES = {"split.train_end": 0.6, "split.valid_end": 0.8}


def split_sessions(
    dates: Array | pd.DatetimeIndex,
    *,
    train_end: str,
    valid_end: str,
    purge_sessions: int,
    warmup: int,
    max_horizon: int,
    entry: Entry,
) -> Split:
    """Split the sessions so that label windows of two parts never meet.

    Args:
        dates: Sessions in increasing order.
        train_end: Last date of the training part (the last session up to it), or `auto`: 60% of the
            usable sessions.
        valid_end: Last date of the validation part, or `auto`: 80% of the usable sessions. The test
            part is what follows, after the purge; the last `max_horizon` sessions of it have no
            longest label yet.
        purge_sessions: Sessions left out between two parts; at least `max_horizon` plus the entry
            lag, so that the last training label is known before the first validation session.
        warmup: Sessions at the start without complete features (the longest look-back).
        max_horizon: Longest label horizon in sessions.
        entry: `next_open` (entry lag 1) or `close` (0).

    Returns:
        `{"train": [from, to], "valid": [from, to], "test": [from, to], "purge_sessions": n}`, ISO
        dates, both ends included.

    Raises:
        ValueError: A date is not an ISO date or lies outside the usable sessions, the purge is too
            short, or a part has fewer than 20 sessions. The message names the setting, the data
            span and the fix.
    """
    sessions = pd.DatetimeIndex(dates)
    if not sessions.is_monotonic_increasing or not sessions.is_unique:
        raise ValueError("split: the panel's dates must increase; sort them and drop duplicates")
    check_purge(purge_sessions, max_horizon, entry)
    if warmup >= len(sessions):
        raise ValueError(
            f"split: {len(sessions)} sessions are no more than the warm-up of {warmup}; provide a "
            "longer history or drop the features with the longest look-back"
        )
    last_train = _last_session("split.train_end", train_end, sessions, warmup)
    last_valid = _last_session("split.valid_end", valid_end, sessions, warmup)
    bounds = {
        "train": (warmup, last_train),
        "valid": (last_train + 1 + purge_sessions, last_valid),
        "test": (last_valid + 1 + purge_sessions, len(sessions) - 1),
    }
    _check_lengths(bounds, sessions, warmup, purge_sessions)
    iso = sessions.strftime("%Y-%m-%d")
    parts = {part: [str(iso[first]), str(iso[last])] for part, (first, last) in bounds.items()}
    return {**parts, "purge_sessions": purge_sessions}


def check_purge(purge_sessions: int, max_horizon: int, entry: Entry) -> None:
    """Refuse a purge across which the label of one part would reach into the next.

    Raises:
        ValueError: `purge_sessions` is below `max_horizon` plus the entry lag.
    """
    needed = max_horizon + entry_lag(entry)
    if purge_sessions < needed:
        raise ValueError(
            f"split.purge_sessions = {purge_sessions}: labels of {max_horizon} sessions with entry "
            f"'{entry}' need at least {needed}; raise it"
        )


def split_mask(split: Mapping[str, Any], dates: npt.ArrayLike | pd.DatetimeIndex, part: Part) -> BoolArray:
    """Return which of `dates` belong to `part`, bool `(date,)`; both ends do, purged sessions never.

    Raises:
        ValueError: Unknown part, or `split` has no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part = {part!r}: choose one of {PARTS}")
    span = split.get(part)
    if not isinstance(span, Sequence) or len(span) != 2:
        raise ValueError(f"split.{part} is {span!r}; write [from, to] as ISO dates")
    first, last = (np.datetime64(edge, "ns") for edge in span)
    when = np.asarray(dates, dtype="datetime64[ns]")
    inside: BoolArray = (when >= first) & (when <= last)
    return inside


def part_range(split: Mapping[str, Any], dates: npt.ArrayLike | pd.DatetimeIndex, part: Part) -> tuple[int, int]:
    """Return the first and the last-plus-one position of a part among the sessions `dates`.

    Raises:
        ValueError: As `split_mask`.
    """
    inside = np.flatnonzero(split_mask(split, dates, part))
    return int(inside[0]), int(inside[-1]) + 1


def _last_session(path: str, value: str, sessions: pd.DatetimeIndex, warmup: int) -> int:
    if value == "auto":
        usable = len(sessions) - warmup
        return warmup + int(AUTO_SHARES[path] * usable) - 1
    try:
        end = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} = {value!r}: give an ISO date such as 2024-06-28, or auto") from error
    if not sessions[warmup] <= end <= sessions[-1]:
        raise ValueError(
            f"{path} = {value!r} lies outside the usable sessions, {_span(sessions, warmup)}; "
            "choose a date inside, or auto"
        )
    return int(sessions.searchsorted(end, side="right")) - 1


def _check_lengths(bounds: Mapping[str, tuple[int, int]], sessions: pd.DatetimeIndex, warmup: int, purge: int) -> None:
    advice = {
        "train": "move split.train_end later",
        "valid": "move split.valid_end later or split.train_end earlier",
        "test": "move split.valid_end earlier",
    }
    for part, (first, last) in bounds.items():
        length = max(last - first + 1, 0)
        if length < MIN_SESSIONS:
            raise ValueError(
                f"split: the {part} part has {length} sessions, fewer than {MIN_SESSIONS} (usable "
                f"sessions {_span(sessions, warmup)}, split.purge_sessions {purge}); "
                f"{advice[part]}, set both ends to auto, or provide a longer history"
            )


def _span(sessions: pd.DatetimeIndex, warmup: int) -> str:
    count = len(sessions) - warmup
    return f"{sessions[warmup]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d} ({count} after the warm-up of {warmup})"
