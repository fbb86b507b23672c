"""Fetch what is missing from J-Quants; the key is looked up here and is no parameter and no dataset."""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from kedro.utils import find_kedro_project

from gogooku_kedro.params import JQuantsParams

if TYPE_CHECKING:
    from gogooku_kedro.jquants.audit import Finding
    from gogooku_kedro.jquants.client import JQuantsClient
    from gogooku_kedro.jquants.fetch import Wanted

Partitions = Any
"""A `jquants.store.Store`: naming the class here would import the official client with every command."""


class JQuantsStopped(click.ClickException, RuntimeError):
    """A fetch that could not go on; the command line prints the sentence without a traceback."""


def fetch_market(store: Partitions, params: JQuantsParams) -> dict[str, Any]:
    """Fetch the partitions that the store lacks, and say what was done."""
    from gogooku_kedro.jquants.fetch import Budget, Fetch, FetchStopped

    budget = Budget(params.max_calls, params.max_minutes)
    try:
        return Fetch(make_client(params), store, wanted(params), budget).run().as_dict()
    except (FetchStopped, ValueError) as error:
        raise JQuantsStopped(str(error)) from error


def audit_store(store: Partitions, params: JQuantsParams, probes: int | None) -> list["Finding"]:
    """Return what is wrong with the stored partitions; `probes` sessions are held against the service too."""
    from gogooku_kedro.jquants import audit
    from gogooku_kedro.jquants.fetch import schedule_of
    from gogooku_kedro.jquants.plans import PLANS
    from gogooku_kedro.jquants.store import OK
    from gogooku_kedro.jquants.work import Span, tokyo_time

    now, aims = tokyo_time(time.time()), wanted(params)
    try:
        span = Span.within(PLANS[params.plan].window(now), aims.start, aims.events_start, aims.end)
        schedule = schedule_of(store, span, now, aims.refetch)
        found = audit.audit(store, schedule, PLANS[params.plan].tables(aims.tables))
        if probes:
            stored = [unit for unit, entry in store.entries("bars").items() if entry.status == OK]
            broken = {finding.unit for finding in found if finding.kind == "damaged"}
            units = [unit for unit in audit.spread_units(stored, probes) if unit not in broken]
            found += audit.probe(make_client(params), store, units)
    except (RuntimeError, ValueError) as error:
        raise JQuantsStopped(str(error)) from error
    return found


def repair_store(store: Partitions, params: JQuantsParams, found: Sequence["Finding"]) -> list["Finding"]:
    """Fetch the partitions of findings, and return what is wrong afterwards."""
    from gogooku_kedro.jquants.endpoints import ENDPOINTS
    from gogooku_kedro.jquants.fetch import Fetch, FetchStopped

    try:
        fetch = Fetch(make_client(params), store, wanted(params))
        for name in ENDPOINTS:
            fetch.fetch_units(ENDPOINTS[name], sorted({f.unit for f in found if f.table == name}))
    except (FetchStopped, ValueError) as error:
        raise JQuantsStopped(str(error)) from error
    return audit_store(store, params, None)


def make_client(params: JQuantsParams) -> "JQuantsClient":
    """Return the client of the user's key.

    Raises:
        JQuantsStopped: There is no key, or the address would send it unencrypted.
    """
    from gogooku_kedro.jquants.client import JQuantsClient, KeyRejected, api_key
    from gogooku_kedro.jquants.plans import PLANS

    project = find_kedro_project(Path.cwd()) or Path.cwd()
    try:
        return JQuantsClient(api_key(Path(project)), PLANS[params.plan], params.base_url)
    except (KeyRejected, ValueError) as error:
        raise JQuantsStopped(str(error)) from None


def wanted(params: JQuantsParams) -> "Wanted":
    """Return what the settings ask for."""
    from gogooku_kedro.jquants.fetch import Wanted

    start, events_start, end = (_day(day) for day in (params.start, params.events_start, params.end))
    return Wanted(tuple(params.tables), start, events_start, end, params.refetch_sessions, params.bulk)


def _day(day: date | str) -> pd.Timestamp | None:
    return None if day == "auto" else pd.Timestamp(day)
