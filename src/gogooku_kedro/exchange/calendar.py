"""Trading sessions of the Tokyo Stock Exchange, from the exchange calendar XTKS."""

import warnings
from functools import lru_cache

import exchange_calendars
import pandas as pd

OUTAGES: tuple[pd.Timestamp, ...] = (pd.Timestamp("2020-10-01"),)
"""Days on which the exchange failed to trade: no session in XTKS, null rows in J-Quants."""


@lru_cache(maxsize=16)
def _xtks_sessions(start: str, end: str) -> pd.DatetimeIndex:
    with warnings.catch_warnings():  # the calendar library meets a deprecation of pandas 3
        warnings.filterwarnings("ignore", message="Series.values returning")
        calendar = exchange_calendars.get_calendar("XTKS", start=start, end=end)
    days: pd.DatetimeIndex = calendar.sessions
    return days


def sessions(start: str | pd.Timestamp, end: str | pd.Timestamp) -> pd.DatetimeIndex:
    """Trading sessions from `start` to `end`, both included.

    Args:
        start: First date, with or without a session.
        end: Last date, with or without a session; at most a year from today.

    Returns:
        Dates at midnight without a time zone, `datetime64[ns]`, named "date". 2020-10-01 is not
        among them.

    Raises:
        ValueError: When `end` lies before `start`, or outside the published calendar.
    """
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    if last < first:
        raise ValueError(f"end={last.date()} lies before start={first.date()}: swap or correct the dates")
    days = _xtks_sessions(f"{first - pd.Timedelta(days=14):%F}", f"{last:%F}")
    return pd.DatetimeIndex(days[days >= first], dtype="datetime64[ns]", name="date")


def business_days(start: str | pd.Timestamp, end: str | pd.Timestamp) -> pd.DatetimeIndex:
    """Days on which J-Quants serves a row for every listed issue: the sessions and the `OUTAGES`.

    Args:
        start: First date.
        end: Last date, included.

    Returns:
        Dates as in `sessions`.

    Raises:
        ValueError: As in `sessions`.
    """
    days = sessions(start, end)
    outages = [day for day in OUTAGES if pd.Timestamp(start) <= day <= pd.Timestamp(end)]
    return pd.DatetimeIndex(days.union(pd.DatetimeIndex(outages)), dtype="datetime64[ns]", name="date")


def shift_session(date: str | pd.Timestamp, by: int) -> pd.Timestamp:
    """The session `by` sessions away from `date`.

    Args:
        date: Any date; one without a session counts as the last session before it.
        by: Sessions to move: 1 is the next session, -1 the one before, 0 the last session up to
            `date`.

    Returns:
        A session.

    Raises:
        ValueError: When the session lies outside the published calendar.
    """
    day = pd.Timestamp(date)
    reach = pd.Timedelta(days=2 * abs(by) + 30)
    days = sessions(day - reach, day + reach if by > 0 else day)
    return pd.Timestamp(days[int(days.searchsorted(day, side="right")) - 1 + by])


def calendar_differences(
    observed: pd.DatetimeIndex, start: str | pd.Timestamp, end: str | pd.Timestamp
) -> pd.DatetimeIndex:
    """Dates on which an observed calendar and XTKS disagree, apart from the `OUTAGES`.

    Args:
        observed: Business days of another source, such as the J-Quants calendar.
        start: First date compared.
        end: Last date compared.

    Returns:
        The dates that only one of the two has; empty when they agree.

    Raises:
        ValueError: As in `sessions`.
    """
    window = observed[(observed >= pd.Timestamp(start)) & (observed <= pd.Timestamp(end))]
    return sessions(start, end).symmetric_difference(window).difference(pd.DatetimeIndex(OUTAGES))
