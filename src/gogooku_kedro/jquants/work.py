"""Which partitions a fetch has to ask for: what the plan serves and has published, less what the manifest holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.calendar import OUTAGES
from gogooku_kedro.exchange.calendar import sessions as exchange_sessions
from gogooku_kedro.exchange.tse import SEGMENT_REFORM
from gogooku_kedro.jquants.endpoints import ENDPOINTS, Endpoint
from gogooku_kedro.jquants.store import EMPTY, OK, Entry, Store

MARGIN_DAILY_FROM = pd.Timestamp("2026-09-25")
"""First date of the daily margin balances; before it they are of the last session of a week."""

_OPEN = ("1", "2")  # HolDiv of a whole and a half session
_FEWEST_SESSIONS = 3  # of a week with margin balances
_PATIENCE = pd.Timedelta(days=7)  # for a publication that does not come
_CALENDAR_AHEAD = pd.Timedelta(days=30)
_YEAR = pd.Timedelta(days=400)


@dataclass(frozen=True)
class Span:
    """First and last dates that are wanted: of prices, and of the events that features look back on.

    Attributes:
        start: Of the prices.
        events_start: Of statements, flows and balances.
        end: Of all.
    """

    start: pd.Timestamp
    events_start: pd.Timestamp
    end: pd.Timestamp

    @classmethod
    def within(
        cls,
        window: tuple[pd.Timestamp, pd.Timestamp],
        start: pd.Timestamp | None,
        events_start: pd.Timestamp | None,
        end: pd.Timestamp | None,
    ) -> "Span":
        """Return the wanted dates clipped to those that the plan serves; None is as much as there is.

        Without `events_start` events begin 400 days before the prices.

        Raises:
            ValueError: Nothing is left.
        """
        first, last = window
        begin, stop = max(start or first, first), min(end or last, last)
        if stop < begin:
            raise ValueError(
                f"jquants.start, jquants.end: the plan serves {first:%Y-%m-%d} to {last:%Y-%m-%d}, nothing of which "
                "is asked for; change them, or jquants.plan"
            )
        return cls(begin, max(events_start or begin - _YEAR, first), stop)

    def clipped(self, first: pd.Timestamp | None, last: pd.Timestamp | None) -> "Span":
        """Return the part of it inside a window that the service names."""
        low = [day for day in (first,) if day is not None]
        high = [day for day in (last,) if day is not None]
        return Span(max([self.start, *low]), max([self.events_start, *low]), min([self.end, *high]))


def tokyo_time(seconds: float) -> pd.Timestamp:
    """Return a moment as the clock in Tokyo shows it, without a zone."""
    return pd.Timestamp(seconds, unit="s", tz="Asia/Tokyo").tz_localize(None)


def sessions_of(calendar: pd.DataFrame, span: Span) -> pd.DatetimeIndex:
    """Return the sessions from the start of the events on, those already announced included.

    Args:
        calendar: Rows of the table `calendar`; empty: the exchange calendar XTKS is taken.
        span: Wanted dates.
    """
    if calendar.empty:
        return exchange_sessions(span.events_start, span.end + pd.Timedelta(days=14))
    days = pd.DatetimeIndex(
        pd.to_datetime(calendar.loc[calendar["HolDiv"].isin(_OPEN), "Date"]), dtype="datetime64[ns]"
    )
    return days[days >= span.events_start].sort_values().rename("date")


def calendar_differences(sessions: pd.DatetimeIndex) -> list[pd.Timestamp]:
    """Return the days on which the sessions and XTKS disagree, days on which the exchange failed left out."""
    if sessions.empty:
        return []
    return list(
        sessions.symmetric_difference(exchange_sessions(sessions[0], sessions[-1])).difference(
            pd.DatetimeIndex(OUTAGES)
        )
    )


class Schedule:
    """When each partition is published, and which ones a store lacks.

    Args:
        sessions: Past and announced sessions, sorted.
        span: Wanted dates.
        now: Time in Tokyo.
        refetch: Newest sessions that are fetched again, because they may be corrected.
    """

    def __init__(self, sessions: pd.DatetimeIndex, span: Span, now: pd.Timestamp, refetch: int) -> None:
        self._sessions, self._span, self._now, self._refetch = sessions, span, now, refetch

    @property
    def _ahead(self) -> pd.Timestamp:
        """The date up to which the calendar is needed."""
        return min(self._span.end, self._now.normalize()) + _CALENDAR_AHEAD

    def sessions_until_now(self) -> pd.DatetimeIndex:
        """Return the sessions up to today."""
        return self._sessions[self._sessions <= self._now]

    def units(self, endpoint: Endpoint) -> list[str]:
        """Return the published partitions of a table inside the wanted dates."""
        if endpoint.unit == "year":
            first = self._start(endpoint).year
            last = self._ahead.year if endpoint.name == "calendar" else min(self._span.end, self._now).year
            return [str(year) for year in range(first, last + 1)]
        return [f"{day:%Y-%m-%d}" for day in self._days(endpoint) if self._published(endpoint, day) <= self._now]

    def due(self, endpoint: Endpoint, store: Store) -> list[str]:
        """Return the partitions to ask for."""
        entries, newest = store.entries(endpoint.name), self._newest(endpoint)
        return [unit for unit in self.units(endpoint) if self._is_due(endpoint, unit, entries.get(unit), newest)]

    def query_window(self, endpoint: Endpoint) -> tuple[str, str]:
        """Return the first and last date to ask a table by year for."""
        last = self._span.end if endpoint.name != "calendar" else pd.Timestamp(f"{self._ahead.year}-12-31")
        return f"{self._start(endpoint):%Y-%m-%d}", f"{last:%Y-%m-%d}"

    def _start(self, endpoint: Endpoint) -> pd.Timestamp:
        of_prices = endpoint.name in ("bars", "listed_issues", "market_index", "sector_indices")
        return self._span.start if of_prices else self._span.events_start

    def _days(self, endpoint: Endpoint) -> pd.DatetimeIndex:
        first, last = self._start(endpoint), self._span.end
        days: pd.DatetimeIndex = self._sessions[(self._sessions >= first) & (self._sessions <= last)]
        if endpoint.unit == "snapshot":
            # The first session has one when its codes are unknown, see new_listings: a plan's window moves every day.
            month = days.month.to_numpy()
            new_month = np.diff(month, prepend=month[:1]) != 0
            snapshots: pd.DatetimeIndex = days[new_month | (days == SEGMENT_REFORM)]
            return snapshots
        if endpoint.unit == "week":
            return days[days.isin(_margin_dates(self._sessions))]
        return days

    def _published(self, endpoint: Endpoint, day: pd.Timestamp) -> pd.Timestamp:
        lag = 1 if endpoint.unit == "week" and day >= MARGIN_DAILY_FROM else endpoint.lag
        position = int(self._sessions.searchsorted(day)) + lag
        if position >= len(self._sessions):
            return pd.Timestamp.max
        return self._sessions[position] + pd.Timedelta(f"{endpoint.published}:00")

    def _is_due(self, endpoint: Endpoint, unit: str, entry: Entry | None, newest: pd.Timestamp) -> bool:
        if entry is None:
            return True
        checked = tokyo_time(entry.checked_at)
        if endpoint.unit == "year":
            expected = self._expected(endpoint, unit)
            if expected is None or entry.latest >= f"{expected:%Y-%m-%d}":
                return False
            return checked < self._published_in(endpoint, expected) + _PATIENCE
        if entry.status == EMPTY and not endpoint.may_be_empty:
            return True
        if not (endpoint.refetched or entry.status == EMPTY) or self._refetch < 2:
            return False
        day = pd.Timestamp(unit)
        position = int(self._sessions.searchsorted(day)) + self._refetch - 1
        settled = self._published(endpoint, self._sessions[position]) if position < len(self._sessions) else None
        return checked < newest and (settled is None or checked < settled)

    def _newest(self, endpoint: Endpoint) -> pd.Timestamp:
        """The time at which the newest published session of a table was published."""
        days = self._days(endpoint)[::-1]
        times = (self._published(endpoint, day) for day in days)
        return next((time for time in times if time <= self._now), pd.Timestamp.min)

    def _expected(self, endpoint: Endpoint, year: str) -> pd.Timestamp | None:
        """The latest date that a table by year should have by now, None when there is none yet."""
        if endpoint.name == "calendar":
            return min(pd.Timestamp(f"{year}-12-31"), self._ahead)
        last = min(self._span.end, pd.Timestamp(f"{year}-12-31"))
        days = self._sessions[(self._sessions <= last) & (self._sessions >= pd.Timestamp(f"{year}-01-01"))]
        if endpoint.name == "investor_flows":
            days = days[days.isin(_flow_dates(self._sessions))]
        published = [day for day in days[-10:] if self._published(endpoint, day) <= self._now]
        return published[-1] if published else None

    def _published_in(self, endpoint: Endpoint, day: pd.Timestamp) -> pd.Timestamp:
        return self._now if endpoint.name == "calendar" else self._published(endpoint, day)


def new_listings(store: Store, units: Iterable[str]) -> Iterator[str]:
    """Yield the sessions on which an issue trades that no snapshot of the listed issues names by then.

    Args:
        store: Fetched tables.
        units: Sessions to look at, sorted.
    """
    bars, master = ENDPOINTS["bars"], ENDPOINTS["listed_issues"]
    snapshots = {unit: entry for unit, entry in store.entries(master.name).items() if entry.status == OK}
    by_code = store.read(master)
    named = {unit: set(codes) for unit, codes in by_code.groupby("Date")["Code"]}
    known: set[str] = set()
    stored = store.entries(bars.name)
    for unit in sorted({*units, *snapshots}):
        known |= named.get(unit, set())
        entry = stored.get(unit)
        if entry is None or entry.status != OK:
            continue
        codes = set(store.codes(entry))
        if codes - known and unit not in snapshots:
            yield unit
        known |= codes


def _weeks(sessions: pd.DatetimeIndex) -> Any:
    days = pd.Series(sessions, index=sessions)
    return days.groupby(sessions.to_period("W"))


def _margin_dates(sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Last sessions of the weeks with three or more, and from 2026-09-25 on every session."""
    weeks = _weeks(sessions)
    weekly = pd.DatetimeIndex(weeks.max()[weeks.size() >= _FEWEST_SESSIONS])
    return weekly[weekly < MARGIN_DAILY_FROM].union(sessions[sessions >= MARGIN_DAILY_FROM])


def _flow_dates(sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The fourth session of each week, the last one of a shorter week: when investor types are published."""
    return pd.DatetimeIndex([days.iloc[min(3, len(days) - 1)] for _, days in _weeks(sessions)])
