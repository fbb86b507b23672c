"""Which dates of a source are sessions of its exchange."""

import warnings

import numpy as np
import pandas as pd

from gogooku_kedro.market.quality import IssueLog, trailing_median
from gogooku_kedro.typing import Float32Array

_CROSS_SECTION = 5  # issues from which on a date without a trade is no matter of single halts


def keep_sessions(bars: pd.DataFrame, log: IssueLog, notes: list[str], *, calendar: str | None) -> pd.DataFrame:
    """Return the rows that lie on sessions; the others are dropped and counted.

    An adjustment event on a dropped date (J-Quants has rows on 2020-10-01, the day of the outage)
    takes effect on the issue's next row.

    Args:
        bars: Parsed bars sorted by date and code.
        log: Where to count.
        notes: Gets a sentence when there is no calendar or sessions have no row at all.
        calendar: exchange_calendars name, or None: every date of the source may be a session.

    Raises:
        ValueError: The calendar is unknown or does not cover the dates.
    """
    if calendar is None:
        notes.append("no calendar: every date of the source on which somebody trades counts as a session")
        return bars
    sessions = calendar_sessions(calendar, bars["date"].iloc[0], bars["date"].iloc[-1])
    off = ~bars["date"].isin(sessions).to_numpy()
    log.record("not_a_session", bars, off)
    absent = sessions.difference(pd.DatetimeIndex(bars["date"].unique()))
    if len(absent):
        shown = ", ".join(f"{day:%Y-%m-%d}" for day in absent[:5])
        notes.append(f"{len(absent)} sessions of {calendar} have no row at all: {shown}")
    kept = bars[~off].reset_index(drop=True)
    return _carry_events(bars[off], kept) if "adj_factor" in bars else kept


def drop_untraded_dates(bars: pd.DataFrame, log: IssueLog, notes: list[str], *, calendar: str | None) -> pd.DataFrame:
    """Return the rows without the dates on which nobody traded, unless the calendar calls them sessions.

    A file without calendar is asked for its own sessions: a date is none when no issue has a price on
    it, though at least five have a row on it or (the median) traded on the sessions before. Its
    adjustment events take effect on the issues' next rows.

    Args:
        bars: Bars after the price rules, sorted by date and code.
        log: Where to count.
        notes: Gets a sentence when there are such dates.
        calendar: exchange_calendars name whose sessions stay, or None.
    """
    session, dates = pd.factorize(bars["date"], sort=True)
    traded = np.bincount(session, weights=bars["close"].notna(), minlength=len(dates)).astype(np.int64)
    listed = np.bincount(session, minlength=len(dates))
    usual = np.nan_to_num(trailing_median(traded))
    idle = (traded == 0) & (np.maximum(listed, usual) >= _CROSS_SECTION)
    if idle.any():
        shown = ", ".join(f"{day:%Y-%m-%d}" for day in pd.DatetimeIndex(dates)[idle][:5])
        kept = (
            "kept as sessions of " + str(calendar) if calendar else "no sessions; set ingestion.calendar to keep them"
        )
        notes.append(f"nobody traded on {int(idle.sum())} dates: {shown} ({kept})")
    log.record("nobody_traded", bars, idle[session] & (calendar is None))
    if calendar is not None or not idle.any():
        return bars
    rest = bars[~idle[session]].reset_index(drop=True)
    return _carry_events(bars[idle[session]], rest) if "adj_factor" in bars else rest


def calendar_sessions(name: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the sessions of an exchange from `first` to `last`, datetime64[ns] without zone.

    Args:
        name: exchange_calendars name, such as "XTKS".
        first: First date.
        last: Last date, included.

    Raises:
        ValueError: The calendar is unknown or does not cover the dates.
    """
    import exchange_calendars  # noqa: PLC0415 - half a second that a run without calendar saves

    try:
        with warnings.catch_warnings():  # the calendar library meets a deprecation of pandas 3
            warnings.filterwarnings("ignore", message="Series.values returning")
            days = exchange_calendars.get_calendar(name, start=first - pd.Timedelta(days=14), end=last)
    except (exchange_calendars.errors.CalendarError, ValueError) as error:
        raise ValueError(
            f"calendar is {name!r} for {first:%Y-%m-%d}..{last:%Y-%m-%d}: {error} "
            "Use an exchange_calendars name such as 'XTKS' or 'XNYS', or null."
        ) from error
    sessions = pd.DatetimeIndex(days.sessions).tz_localize(None).as_unit("ns")
    return sessions[sessions >= first]


def days_to_next_session(name: str, dates: pd.DatetimeIndex) -> Float32Array:
    """Return the calendar days from each session to the next one of the exchange's calendar, `(date,)`.

    Known in advance: holidays are set years before. NaN where the calendar ends.

    Args:
        name: exchange_calendars name.
        dates: Sessions in increasing order.

    Raises:
        ValueError: The calendar is unknown or does not cover the dates.
    """
    try:
        sessions = calendar_sessions(name, dates[0], dates[-1] + pd.Timedelta(days=20))
    except ValueError:  # the calendar may end soon after the data
        sessions = calendar_sessions(name, dates[0], dates[-1])
    following = sessions.searchsorted(dates, side="right")
    days = np.full(len(dates), np.nan, dtype=np.float32)
    known = following < len(sessions)
    days[known] = (sessions[following[known]] - dates[known]) / pd.Timedelta(days=1)
    return days


def _carry_events(dropped: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    events = dropped.loc[dropped["adj_factor"].fillna(1) != 1, ["date", "code", "adj_factor"]]
    if events.empty or kept.empty:
        return kept
    rows = kept[["date", "code"]].assign(row=np.arange(len(kept)))
    effect = pd.merge_asof(events, rows, on="date", by="code", direction="forward").dropna()
    factor = kept["adj_factor"].fillna(1).to_numpy(copy=True)
    np.multiply.at(factor, effect["row"].to_numpy(dtype=np.intp), effect["adj_factor"].to_numpy())
    return kept.assign(adj_factor=factor)
