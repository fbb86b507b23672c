"""Fetch what is missing, one partition at a time; wherever it ends, the next run goes on from there."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from gogooku_kedro.jquants import bulk
from gogooku_kedro.jquants.client import (
    CLIENT_VERSION,
    JQuantsClient,
    JQuantsError,
    NotSubscribed,
    OutsideSubscription,
)
from gogooku_kedro.jquants.endpoints import ENDPOINTS, Endpoint, SchemaChanged
from gogooku_kedro.jquants.plans import SMALLEST_PLAN
from gogooku_kedro.jquants.store import Store, StoreError
from gogooku_kedro.jquants.work import Schedule, Span, calendar_differences, new_listings, sessions_of, tokyo_time

LOGGER = logging.getLogger(__name__)

COMPLETE, PARTIAL = "complete", "partial"
_LOG_EVERY = 60.0  # seconds


class FetchStopped(RuntimeError):
    """A fetch that could not go on; what it had fetched is stored, and the text says what to do."""


class _BudgetSpent(Exception):
    pass


@dataclass
class Budget:
    """How much one fetch may use, looked at between two partitions; None is without a limit."""

    max_calls: int | None = None
    max_minutes: float | None = None


@dataclass
class Wanted:
    """What a fetch is to bring.

    Attributes:
        tables: Names in `endpoints.ENDPOINTS`; the calendar is always fetched.
        start: First date of prices, None for the first one that the plan serves.
        events_start: First date of events, None for 400 days before.
        end: Last date, None for the newest.
        refetch: Newest sessions that are fetched again.
        bulk: Whether whole months are fetched as files where the plan has them.
    """

    tables: tuple[str, ...]
    start: pd.Timestamp | None = None
    events_start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    refetch: int = 3
    bulk: bool = True


@dataclass
class Summary:
    """What a fetch did."""

    state: str = COMPLETE
    calls: int = 0
    stored: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    empty: dict[str, list[str]] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        counts = {name: dict(getattr(self, name)) for name in ("stored", "unchanged", "left")}
        rest = {name: getattr(self, name) for name in ("state", "calls", "empty", "skipped", "notes")}
        return rest | counts


class Fetch:
    """One fetch of a client into a store.

    Args:
        client: Knows plan, rate and time.
        store: Where partitions go.
        wanted: Tables and dates.
        budget: Calls and minutes.
    """

    def __init__(self, client: JQuantsClient, store: Store, wanted: Wanted, budget: Budget | None = None) -> None:
        self._client, self._store, self._wanted = client, store, wanted
        self._budget = budget or Budget()
        self._began, self._calls_before = client.clock(), client.calls
        self.summary = Summary()
        start, events_start, end = wanted.start, wanted.events_start, wanted.end
        self._span = Span.within(client.plan.window(self._now), start, events_start, end)
        self._logged = self._began

    @property
    def _now(self) -> pd.Timestamp:
        return tokyo_time(self._client.clock())

    def run(self) -> Summary:
        """Fetch everything that is due.

        Returns:
            What was done; its state is partial when the budget ended first.

        Raises:
            FetchStopped: The service, its answers, the key or the disk do not let it go on.
        """
        try:
            self._store.remove_unrecorded()
            self._client.count_earlier(self._store.last_call())
            self._fetch(ENDPOINTS["calendar"])
            differences = calendar_differences(self.schedule().sessions_until_now())
            if differences:
                self._note(
                    f"the calendar differs from XTKS on {', '.join(f'{day:%Y-%m-%d}' for day in differences[:5])}"
                )
            for endpoint in self._tables():
                self._fetch(endpoint)
        except _BudgetSpent:
            self.summary.state = PARTIAL
        except (JQuantsError, SchemaChanged, StoreError) as error:
            raise FetchStopped(f"{error} ({self._counted()})") from error
        self.summary.calls = self._client.calls - self._calls_before
        LOGGER.info("J-Quants: %s, %s", self.summary.state, self._counted())
        return self.summary

    def schedule(self) -> Schedule:
        """Return what is published and wanted by now."""
        return schedule_of(self._store, self._span, self._now, self._wanted.refetch)

    def fetch_units(self, endpoint: Endpoint, units: Iterable[str]) -> list[str]:
        """Fetch partitions whether they are due or not; return those whose content is new.

        Raises:
            FetchStopped: As of `run`.
        """
        try:
            window = self.schedule().query_window(endpoint)
            return [unit for unit in units if self._fetch_unit(endpoint, unit, window)]
        except (JQuantsError, SchemaChanged, StoreError) as error:
            raise FetchStopped(f"{error} ({self._counted()})") from error

    def _tables(self) -> list[Endpoint]:
        chosen = [endpoint for name, endpoint in ENDPOINTS.items() if name in self._wanted.tables]
        served = self._client.plan.tables(endpoint.name for endpoint in chosen)
        for endpoint in (endpoint for endpoint in chosen if endpoint.name not in served):
            smallest = SMALLEST_PLAN[endpoint.name]
            self._skip(endpoint, f"the plan {self._client.plan.name} does not have it, {smallest} does")
        return [endpoint for endpoint in chosen if endpoint.name in served]

    def _fetch(self, endpoint: Endpoint) -> None:
        try:
            if self._wanted.bulk and self._client.plan.bulk and endpoint.name in bulk.TABLES:
                self._fetch_months(endpoint)
            self._fetch_due(endpoint, self.schedule().due(endpoint, self._store))
            if endpoint.unit == "snapshot":
                units = self.schedule().units(ENDPOINTS["bars"])
                self._fetch_due(endpoint, list(new_listings(self._store, units)))
        except NotSubscribed as error:
            self._skip(endpoint, str(error))

    def _fetch_due(self, endpoint: Endpoint, units: list[str]) -> None:
        window = self.schedule().query_window(endpoint)
        with _progress(endpoint.name, len(units)) as progress:
            for position, unit in enumerate(units):
                self._check_budget(endpoint, len(units) - position)
                self._log_time(endpoint, position, len(units))
                try:
                    self._fetch_unit(endpoint, unit, window)
                except OutsideSubscription as error:
                    self._clip(error)
                    self._fetch_due(endpoint, [u for u in self.schedule().due(endpoint, self._store) if u in units])
                    return
                progress.advance(progress.task_ids[0])

    def _fetch_unit(self, endpoint: Endpoint, unit: str, window: tuple[str, str]) -> bool:
        query = endpoint.query(unit, window)
        return self._keep(endpoint, unit, self._client.rows(endpoint.path, query), "..".join(query.values()))

    def _keep(self, endpoint: Endpoint, unit: str, rows: Any, asked: str) -> bool:
        table, notes = endpoint.table(rows, unit)
        for note in notes:
            self._note(note)
        if not len(table) and not endpoint.may_be_empty:
            self.summary.empty.setdefault(endpoint.name, []).append(unit)
            self._note(f"{endpoint.path} {unit}: no rows; asked for again by the next run")
        now = self._client.clock()
        new = self._store.write(endpoint, unit, table, now=now, client=CLIENT_VERSION, window=asked)
        (self.summary.stored if new else self.summary.unchanged)[endpoint.name] += 1
        return new

    def _fetch_months(self, endpoint: Endpoint) -> None:
        """Take whole months that the store has nothing of from the bulk files."""
        schedule = self.schedule()
        missing = [unit for unit in schedule.due(endpoint, self._store)]
        held = set(self._store.entries(endpoint.name))
        months = bulk.whole_months(missing, [unit for unit in schedule.units(endpoint) if unit in held])
        if not months:
            return
        files = bulk.monthly_files(self._client, endpoint)
        for month in (month for month in months if month in files):
            self._check_budget(endpoint, len(missing))
            rows = bulk.read_file(self._client, endpoint, files[month])
            for unit in (unit for unit in missing if unit.startswith(month)):
                self._keep(endpoint, unit, rows.get(unit, []), unit)

    def _check_budget(self, endpoint: Endpoint, left: int) -> None:
        calls, seconds = self._client.calls - self._calls_before, self._client.clock() - self._began
        spent = (self._budget.max_calls is not None and calls >= self._budget.max_calls) or (
            self._budget.max_minutes is not None and seconds >= 60 * self._budget.max_minutes
        )
        if spent:
            self.summary.left[endpoint.name] = left
            raise _BudgetSpent

    def _clip(self, error: OutsideSubscription) -> None:
        clipped = self._span.clipped(error.first, error.last)
        if clipped == self._span or clipped.end < clipped.start:
            raise error
        self._span = clipped
        self._note(f"the subscription has {clipped.start:%Y-%m-%d} to {clipped.end:%Y-%m-%d}; the rest is left out")

    def _skip(self, endpoint: Endpoint, reason: str) -> None:
        self.summary.skipped.append(endpoint.name)
        self._note(f"{endpoint.name} is left out: {reason}")

    def _note(self, text: str) -> None:
        if text not in self.summary.notes:
            self.summary.notes.append(text)
            LOGGER.warning("J-Quants: %s", text)

    def _log_time(self, endpoint: Endpoint, done: int, total: int) -> None:
        now = self._client.clock()
        if now - self._logged < _LOG_EVERY:
            return
        self._logged = now
        minutes = (total - done) * self._client.seconds_per_call(endpoint.path) / 60
        LOGGER.info("J-Quants: %s %d of %d, about %.0f minutes left", endpoint.name, done, total, minutes)

    def _counted(self) -> str:
        calls = self._client.calls - self._calls_before
        new, same = sum(self.summary.stored.values()), sum(self.summary.unchanged.values())
        left = f", at least {sum(self.summary.left.values())} left" if self.summary.left else ""
        return f"{calls} calls, {new} partitions stored, {same} unchanged{left}"


def schedule_of(store: Store, span: Span, now: pd.Timestamp, refetch: int) -> Schedule:
    """Return the schedule by the calendar that a store has."""
    return Schedule(sessions_of(store.read(ENDPOINTS["calendar"]), span), span, now, refetch)


def _progress(name: str, total: int) -> Progress:
    console = Console(stderr=True)
    bar = Progress(
        *Progress.get_default_columns()[:3], TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    bar.add_task(name, total=total)
    return bar
