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
    found: pd.DatetimeIndex = calendar.sessions
    return found


def sessions(start: str | pd.Timestamp, end: str | pd.Timestamp) -> pd.DatetimeIndex:
    """Return the trading sessions from `start` to `end`, both included.

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
    found = _xtks_sessions(f"{first - pd.Timedelta(days=14):%F}", f"{last:%F}")
    return pd.DatetimeIndex(found[found >= first], dtype="datetime64[ns]", name="date")
