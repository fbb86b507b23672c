"""Weekly margin balances (J-Quants `markets/margin-interest`) by issue, as known on each session."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.market.asof import KnownRows, SessionAxis, adjustment_at, figure, highest_so_far
from gogooku_kedro.market.event_tables import EventTable
from gogooku_kedro.typing import FloatArray, IntArray

VOLUMES = {
    "long": "LongVol",
    "short": "ShrtVol",
    "long_standardised": "LongStdVol",
    "short_standardised": "ShrtStdVol",
}
REQUIRED = ("Date", "Code", *VOLUMES.values())
LOANABLE = 2
"""IssType of the issues that can be sold short; 1 can be bought on margin only."""

LAGS = (1, 4, 13)
"""Weeks back of the earlier balances."""

_UNPUBLISHED_LAG = 2  # sessions from Date to publication where no PubDate is given
_MONDAY = 3  # days from 1970-01-01, a Thursday, back to a Monday


@dataclass(frozen=True)
class MarginState:
    """What each row of the table leaves known, sorted by issue and by when it became known.

    Attributes:
        issue: Column in the panel.
        available: Position of the first session on which the row is usable.
        latest: Position of the session from which the latest balance known was usable.
        values: Adjusted shares (those of `adj_volume`) by name: long, short, the standardised part
            of each, and long and short 1, 4 and 13 weeks before as `long_1w`, …; and, where the table
            has IssType, loanable: 1 for an issue that can be sold short, 0 for another.
    """

    issue: IntArray
    available: IntArray
    latest: FloatArray
    values: dict[str, FloatArray]


def known_margin_balances(margin_balances: pd.DataFrame, panel: xr.Dataset, axis: SessionAxis) -> MarginState:
    """Return what was known about each issue's margin balances after each row.

    A row is usable from the next session after its PubDate; without one (before 2026-09-25) it is
    published two sessions after its Date, hence usable from the third. The balance of n weeks
    before is the last one then known of the calendar week n weeks earlier, else of the week before
    that one (no data exist for weeks of one or two sessions), so that daily data give the same.
    Shares are as of Date and are brought to the panel's adjusted shares with that day's adjustment.

    Args:
        margin_balances: J-Quants V2 margin-interest rows, shares. Issues that the panel does not
            have, and rows without a Date, are ignored.
        panel: Market panel.
        axis: Its sessions.

    Raises:
        ValueError: A column is missing or cannot be read, or no issue is in the panel.
    """
    table = EventTable(margin_balances, "margin_balances", REQUIRED)
    issue, date, published = table.issues(panel.indexes["code"]), table.days("Date"), table.days("PubDate")
    available = np.where(
        published.notna(),
        axis.next_session(published),
        axis.position(date) + _UNPUBLISHED_LAG + 1,
    ).astype(np.int64)
    keys = pd.DataFrame({"issue": issue, "available": available, "date": date})
    keys = keys[(keys["issue"] >= 0) & keys["date"].notna()]
    rows = keys.sort_values(["issue", "available", "date"], kind="stable").index.to_numpy(dtype=np.int64)
    issue, available = issue[rows], available[rows]
    adjustment = adjustment_at(_volume_adjustment(panel), axis.position(date)[rows], issue)
    figures = {
        name: table.numbers(column).to_numpy(dtype=np.float64)[rows] * adjustment for name, column in VOLUMES.items()
    }
    if "IssType" in margin_balances:
        kind = table.numbers("IssType").to_numpy(dtype=np.float64)[rows]
        figures["loanable"] = np.where(np.isnan(kind), np.nan, kind == LOANABLE)
    day = date.to_numpy().astype("datetime64[D]").astype(np.int64)[rows]
    return _state(issue, available, day, figures)


def _state(issue: IntArray, available: IntArray, day: IntArray, figures: dict[str, FloatArray]) -> MarginState:
    bound = np.arange(len(issue), dtype=np.int64)
    newest = highest_so_far(day, issue)
    by_day, by_week = KnownRows(issue, day), KnownRows(issue, _week(day))
    now = by_day.last(issue, newest, bound)
    values = {name: figure(reported, now) for name, reported in figures.items()}
    for lag in LAGS:
        week = _week(newest) - lag
        earlier = by_week.last(issue, week, bound)
        earlier = np.where(earlier >= 0, earlier, by_week.last(issue, week - 1, bound))
        for name in ("long", "short"):
            values[f"{name}_{lag}w"] = figure(figures[name], earlier)
    first = by_day.first(issue, newest, bound)
    return MarginState(issue, available, figure(available.astype(np.float64), first), values)


def _week(day: IntArray) -> IntArray:
    return (day + _MONDAY) // 7


def _volume_adjustment(panel: xr.Dataset) -> FloatArray:
    """Adjusted over raw volume: the product of the adjustment factors to date."""
    volume, adjusted = (
        panel[name].transpose("date", "code").to_numpy().astype(np.float64) for name in ("volume", "adj_volume")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(volume > 0, adjusted / volume, np.nan)
