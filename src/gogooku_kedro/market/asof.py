"""Events on a grid of sessions: when a dated row becomes usable, and what was known then."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gogooku_kedro.typing import FloatArray, IntArray

ABSENT = -1
"""Row number that stands for "no such row"."""


class SessionAxis:
    """The sessions of a panel as positions 0, 1, …; days before the first one have negative ones.

    Which weekdays before the first session were holidays is not known to a panel, so each of them
    counts as a session there. Positions of later days do not depend on sessions after them.
    """

    def __init__(self, dates: pd.DatetimeIndex) -> None:
        self._days = dates.to_numpy().astype("datetime64[D]")
        self._first_weekday = int(weekday_number(self._days[:1])[0])

    def __len__(self) -> int:
        return len(self._days)

    @property
    def weekdays(self) -> IntArray:
        """Running number of the weekday of each session, `(date,)`."""
        return weekday_number(self._days)

    def position(self, days: pd.Series) -> IntArray:
        """Return the position of the last session on or before each day (0 for NaT)."""
        stamps = days.to_numpy().astype("datetime64[D]")
        stamps = np.where(np.isnat(stamps), self._days[0], stamps)
        inside = np.searchsorted(self._days, stamps, side="right").astype(np.int64) - 1
        before = weekday_number(stamps + 1) - 1 - self._first_weekday
        return np.where(inside >= 0, inside, np.minimum(before, -1))

    def next_session(self, days: pd.Series) -> IntArray:
        """Return the position of the first session after each day; `len(self)` when there is none."""
        return self.position(days) + 1


def weekday_number(days: NDArray[np.datetime64]) -> IntArray:
    """Return how many weekdays lie between 1970-01-01 and each day, the day itself not counted."""
    return np.busday_count(np.datetime64("1970-01-01"), days.astype("datetime64[D]")).astype(np.int64)


@dataclass(frozen=True)
class Span:
    """Where the rows of a key lie in a `KnownRows`: `first` and `last` position, -1 for none."""

    first: IntArray
    last: IntArray


class KnownRows:
    """Finds the rows that carry a (group, key), as far as they were known at a point in time.

    Rows are numbered in the order in which they became known. A lookup with bound b sees the rows
    0 … b only, so that a row that comes later cannot change its result.
    """

    def __init__(self, group: IntArray, key: IntArray, row: IntArray | None = None) -> None:
        """Index the rows.

        Args:
            group: Issue of each row, 0 or more.
            key: Period, week, … of each row, 0 or more.
            row: Row number of each entry; None: 0, 1, 2, …
        """
        self._row = np.arange(len(group), dtype=np.int64) if row is None else row
        self._keys = int(key.max(initial=0)) + 1
        self._rows = int(self._row.max(initial=0)) + 1
        packed = (group * self._keys + key) * self._rows + self._row
        self._order = np.argsort(packed, kind="stable").astype(np.int64)
        self._packed = packed[self._order]

    def span(self, group: IntArray, key: IntArray, bound: IntArray) -> Span:
        """Return the positions of the first and the last row of each (group, key) up to `bound`."""
        legal = (group >= 0) & (key >= 0) & (key < self._keys) & (bound >= 0)
        base = (group * self._keys + key) * self._rows
        first = np.searchsorted(self._packed, base)
        last = np.searchsorted(self._packed, base + np.minimum(bound, self._rows - 1), side="right") - 1
        found = legal & (last >= first)
        return Span(np.where(found, first, ABSENT), np.where(found, last, ABSENT))

    def at(self, position: IntArray) -> IntArray:
        """Return the entry (index into `group`) at each position, -1 for -1."""
        return number(self._order, position)

    def last(self, group: IntArray, key: IntArray, bound: IntArray) -> IntArray:
        """Return the entry that was the latest one about each (group, key) at `bound`, or -1."""
        return self.at(self.span(group, key, bound).last)

    def first(self, group: IntArray, key: IntArray, bound: IntArray) -> IntArray:
        """Return the entry that was the first one about each (group, key), if known at `bound`."""
        return self.at(self.span(group, key, bound).first)


def figure(values: FloatArray, rows: IntArray) -> FloatArray:
    """Return `values[rows]`, NaN where the row is -1."""
    if len(values) == 0:
        return np.full(rows.shape, np.nan)
    return np.where(rows >= 0, values[np.maximum(rows, 0)], np.nan)


def number(values: IntArray, rows: IntArray) -> IntArray:
    """Return `values[rows]`, -1 where the row is -1."""
    if len(values) == 0:
        return np.full(rows.shape, ABSENT, dtype=np.int64)
    return np.where(rows >= 0, values[np.maximum(rows, 0)], ABSENT)


def highest_so_far(values: IntArray, group: IntArray) -> IntArray:
    """Return the maximum of `values` (-1 or more) over the rows of the group so far.

    Args:
        values: One per row; rows sorted by group.
        group: Ascending.
    """
    step = int(values.max(initial=0)) + 2
    return np.maximum.accumulate(values + group * step) - group * step


def latest_rows(available: IntArray, issue: IntArray, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return which row is the last one usable on each (date, code), -1 before the first.

    Args:
        available: Position of the first session on which each row is usable; a negative one is
            usable from the first session, one beyond the last session never.
        issue: Column of each row; rows sorted by issue, then by when they became known.
        shape: Of the panel.
    """
    grid = np.full(shape, ABSENT, dtype=np.int32)
    inside = np.flatnonzero(available < shape[0])
    cell = np.maximum(available[inside], 0) * shape[1] + issue[inside]
    last = np.append(np.diff(cell) != 0, True)[: len(cell)]  # of the rows of one cell
    grid.reshape(-1)[cell[last]] = inside[last]
    return np.maximum.accumulate(grid, axis=0)


def adjustment_at(factor: FloatArray, position: IntArray, issue: IntArray) -> FloatArray:
    """Return the adjustment factor of each row's issue on its session.

    Args:
        factor: `(date, code)`, NaN where the stock did not trade.
        position: Session of each row; before the first one the factor is 1, the panel's unit.
        issue: Column of each row.

    Returns:
        The factor of the last session up to `position` on which the stock traded, 1 before its
        first: a split counts from the first trade after it.
    """
    session = np.arange(len(factor))[:, None]
    traded = np.maximum.accumulate(np.where(np.isnan(factor), ABSENT, session), axis=0)
    last = np.where(position >= 0, traded[np.clip(position, 0, len(factor) - 1), issue], ABSENT)
    return np.where(last >= 0, factor[np.maximum(last, 0), issue], 1.0)
