"""Adjustment factors that a source states, held against its prices: on which row, in which form."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gogooku_kedro.market.adjustment import factors_from_adj_close
from gogooku_kedro.typing import BoolArray, FloatArray

Convention = Literal["ex_date", "row_before", "inverse", "inverse_row_before", "cumulative", "adjusted_already"]

_PLAIN = 0.25  # of the log factor: smaller events cannot be told from a day's move
_MOST_MISFITS = 0.1  # of the events that can be told
_PERSISTENT = 0.5


@dataclass(frozen=True)
class GivenFactors:
    """Factors on their ex-dates, in row order, and how the source stated them.

    Attributes:
        factor: 0.5 on the ex-date of a 1:2 split, 1.0 elsewhere.
        convention: How the source states its events.
        stated: The same as read, with the events that the prices deny.
        contradicted: An event that the price on its row denies; the factor is 1.0 there.
        ignored: A step of a cumulative factor too small for an event; the factor is 1.0.
        misfits: Share of the events that can be told from a day's move and are denied, a fraction.
    """

    factor: FloatArray
    stated: FloatArray
    convention: Convention
    contradicted: BoolArray
    ignored: BoolArray
    misfits: float

    @property
    def fits(self) -> bool:
        """Whether the prices agree with the events well enough to believe them."""
        return self.misfits <= _MOST_MISFITS


def is_cumulative(code_id: NDArray[np.intp], given: FloatArray) -> bool:
    """Return whether factors are a level that persists (Tushare, CRSP) and not events on single rows.

    Args:
        code_id: Issue number of each row; rows sorted by issue, then date.
        given: Factors as stated.
    """
    now, after = given[:-1], given[1:]
    stated = (code_id[1:] == code_id[:-1]) & (now > 0) & (np.abs(now - 1) > 1e-9) & (after > 0)
    same = np.abs(after / np.where(stated, now, 1.0) - 1) < 1e-9
    return bool(stated.any() and same[stated].mean() > _PERSISTENT)


def events_of(code_id: NDArray[np.intp], close: FloatArray, given: FloatArray) -> GivenFactors:
    """Put each stated event on the row whose move it shrinks.

    How a source states events is a property of its format, decided once from all of them: on the
    ex-date, on the issue's row before it (the JPX competition files), or either as the inverse. An
    event of which the format makes a larger move than the raw price shows is not believed. Given
    the format, the factor at t depends on rows up to t only.

    Args:
        code_id: Issue number of each row; rows sorted by issue, then date.
        close: Raw close, NaN where not priced.
        given: Factor of the event stated on the row, 1.0 where there is none, positive.
    """
    early = _next_row(code_id, given)
    readings: dict[Convention, FloatArray] = {
        "ex_date": given,
        "row_before": early,
        "inverse": 1 / given,
        "inverse_row_before": 1 / early,
    }
    best: Convention = "ex_date"
    told = {name: _tell(code_id, close, factor) for name, factor in readings.items()}
    # an event on an issue's last row is still to come for a source that states it one row early
    score = {name: (int(shrinks.sum()), -int((~shrinks).sum())) for name, (_, shrinks) in told.items()}
    for name in readings:
        best = name if score[name] > score[best] else best
    rows, shrinks = told[best]
    factor = readings[best]
    contradicted = np.zeros(len(close), dtype=bool)
    for first, last in rows[~shrinks]:
        contradicted[first : last + 1] = True
    return GivenFactors(
        factor=np.where(contradicted, 1.0, factor),
        stated=factor,
        convention=best,
        contradicted=contradicted,
        ignored=np.zeros(len(close), dtype=bool),
        misfits=float((~shrinks).mean()) if len(rows) else 0.0,
    )


def events_of_cumulative(code_id: NDArray[np.intp], close: FloatArray, level: FloatArray) -> GivenFactors:
    """Turn a cumulative factor into events on their ex-dates.

    Adjusted prices are close · level (Tushare) or close / level (CRSP), whichever makes the moves at
    its steps smaller. Where neither does, the prices are adjusted already and there is no event.

    Args:
        code_id: Issue number of each row; rows sorted by issue, then date.
        close: Raw close, NaN where not priced.
        level: Cumulative factor, positive, NaN where not stated.
    """
    event = np.ones(len(close))
    rows = np.flatnonzero((close > 0) & (level > 0))
    now, before = rows[1:], rows[:-1]
    same = code_id[now] == code_id[before]
    event[now[same]] = level[before[same]] / level[now[same]]
    up, down = (_tell(code_id, close, factor)[1] for factor in (event, 1 / event))
    nothing = np.zeros(len(close), dtype=bool)
    if len(up) and max(up.mean(), down.mean()) < _MOST_MISFITS:
        return GivenFactors(np.ones(len(close)), event, "adjusted_already", nothing, nothing, 0.0)
    multiply = up.sum() >= down.sum()
    derived = factors_from_adj_close(code_id, close, close * level if multiply else close / level)
    told = up if multiply else down
    return GivenFactors(
        factor=derived.factor,
        stated=event if multiply else 1 / event,
        convention="cumulative",
        contradicted=derived.contradicted,
        ignored=derived.ignored,
        misfits=float((~told).mean()) if len(told) else 0.0,
    )


def _next_row(code_id: NDArray[np.intp], given: FloatArray) -> FloatArray:
    moved = np.ones(len(given))
    same = code_id[1:] == code_id[:-1]
    moved[1:][same] = given[:-1][same]
    return moved


def _tell(code_id: NDArray[np.intp], close: FloatArray, factor: FloatArray) -> tuple[NDArray[np.intp], BoolArray]:
    """Return first and last row of the moves with a plain event, (n, 2), and whether it shrinks them."""
    level = np.cumsum(np.log(factor))
    rows = np.flatnonzero(close > 0)
    now, before = rows[1:], rows[:-1]
    same = code_id[now] == code_id[before]
    now, before = now[same], before[same]
    event = level[now] - level[before]
    plain = np.abs(event) > _PLAIN
    now, before, event = now[plain], before[plain], event[plain]
    move = np.log(close[now] / close[before])
    return np.column_stack([before + 1, now]), np.abs(move - event) < np.abs(move)
