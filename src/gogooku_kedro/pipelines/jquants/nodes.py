"""Fetch what is missing from J-Quants; the key is looked up here and is no parameter and no dataset."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from kedro.utils import find_kedro_project

from gogooku_kedro.params import JQuantsParams

if TYPE_CHECKING:
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
