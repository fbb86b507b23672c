"""Hold what was fetched against the calendar, against itself and, for some sessions, against the service."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gogooku_kedro.jquants.client import JQuantsClient
from gogooku_kedro.jquants.endpoints import ENDPOINTS
from gogooku_kedro.jquants.store import EMPTY, OK, Store, as_frame
from gogooku_kedro.jquants.work import Schedule

_NEIGHBOURS = 10  # sessions on each side
_SHORT = 0.9  # of the neighbours' median
_COUNTED = ("bars", "listed_issues")  # tables with about the same number of rows every day
_ROUNDING = 0.06  # yen: adjusted prices come with one decimal


@dataclass(frozen=True)
class Finding:
    """Something wrong with a partition.

    Attributes:
        table: Its table.
        unit: Its session, snapshot day or year.
        kind: missing, empty, short, damaged or revised.
        text: What was found.
    """

    table: str
    unit: str
    kind: str
    text: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.table} {self.unit}: {self.kind}, {self.text}"


def audit(store: Store, schedule: Schedule, tables: Sequence[str]) -> list[Finding]:
    """Return what is missing, empty, short or damaged, without asking the service.

    Args:
        store: Fetched partitions.
        schedule: Partitions that should be there.
        tables: Names of the tables, the calendar is added.
    """
    found: list[Finding] = []
    for endpoint in (ENDPOINTS[name] for name in dict.fromkeys(["calendar", *tables])):
        entries = store.entries(endpoint.name)
        for unit in schedule.units(endpoint):
            entry = entries.get(unit)
            if entry is None:
                found.append(Finding(endpoint.name, unit, "missing", "never fetched"))
            elif entry.status == EMPTY and not endpoint.may_be_empty:
                found.append(Finding(endpoint.name, unit, "empty", "the service had no rows"))
        if endpoint.name in _COUNTED:
            found += _short(endpoint.name, {unit: e.rows for unit, e in entries.items() if e.status == OK})
        damaged = store.damaged(endpoint.name)
        found += [Finding(endpoint.name, unit, "damaged", "the file is not what was stored") for unit in damaged]
    return found


def probe(client: JQuantsClient, store: Store, units: Sequence[str]) -> list[Finding]:
    """Ask the service for some sessions again and return what it has changed since they were fetched.

    One call a session shows every change of its own rows, and through its adjusted prices every factor that was
    restated between it and today; one call an affected code then says on which sessions. Statements of the
    sessions are compared too.

    Args:
        client: Asks with the limit of its plan.
        store: Fetched partitions, which are not changed.
        units: Sessions of the store.

    Raises:
        JQuantsError: The service does not answer.
        SchemaChanged: Its answer is not the table.
    """
    bars, statements = ENDPOINTS["bars"], ENDPOINTS["statements"]
    found: list[Finding] = []
    suspects: set[str] = set()
    factors = store.read(bars)[["Date", "Code", "AdjFactor"]]
    for unit in units:
        rows = client.rows(bars.path, {"date": unit})
        now, _ = bars.table(rows, unit)
        found += _changed_rows(bars.name, unit, store.read(bars, units={unit}), as_frame(now), "Code")
        suspects |= _restated(pd.DataFrame(rows), factors[factors["Date"] > unit])
        if unit in store.entries(statements.name):
            filed, _ = statements.table(client.rows(statements.path, {"date": unit}), unit)
            found += _changed_rows(
                statements.name, unit, store.read(statements, units={unit}), as_frame(filed), "DiscNo"
            )
    already = {(finding.table, finding.unit) for finding in found}
    for code in sorted(suspects):
        found += [f for f in _sessions_restated(client, code, factors) if (f.table, f.unit) not in already]
    return found


def spread_units(units: Sequence[str], count: int) -> list[str]:
    """Return `count` of the units, evenly spread, the first one among them."""
    positions = np.linspace(0, max(len(units) - 1, 0), min(count, len(units))).astype(int)
    return [units[position] for position in sorted(set(positions.tolist()))]


def _short(table: str, rows: dict[str, int]) -> list[Finding]:
    counts = pd.Series(rows, dtype="float64")
    around = counts.rolling(2 * _NEIGHBOURS + 1, center=True, min_periods=3).median()
    return [
        Finding(table, unit, "short", f"{count} rows where the sessions around have {usual:.0f}")
        for (unit, count), usual in zip(rows.items(), around, strict=True)
        if count < _SHORT * usual
    ]


def _changed_rows(table: str, unit: str, before: pd.DataFrame, now: pd.DataFrame, key: str) -> list[Finding]:
    old, new = (frame.drop_duplicates(key, keep="last").set_index(key) for frame in (before, now))
    both = old.index.intersection(new.index)
    differs = old.loc[both].ne(new.loc[both]) & ~(old.loc[both].isna() & new.loc[both].isna())
    changed = [*both[differs.any(axis=1)], *old.index.symmetric_difference(new.index)]
    if not changed:
        return []
    names = ", ".join(str(value) for value in changed[:5])
    columns = ", ".join(differs.columns[differs.any()]) or "rows"
    return [Finding(table, unit, "revised", f"{len(changed)} rows differ in {columns}: {key} {names}")]


def _restated(rows: pd.DataFrame, later: pd.DataFrame) -> set[str]:
    """Codes whose adjusted close is not the close times the stored factors of later sessions."""
    if not {"Code", "C", "AdjC"} <= set(rows):
        return set()
    product = later.groupby("Code")["AdjFactor"].prod()
    rows = rows.dropna(subset=["C", "AdjC"])
    expected = rows["C"].astype("float64") * rows["Code"].map(product).astype("float64").fillna(1.0)
    return set(rows.loc[(rows["AdjC"].astype("float64") - expected).abs() > _ROUNDING, "Code"])


def _sessions_restated(client: JQuantsClient, code: str, factors: pd.DataFrame) -> list[Finding]:
    rows = pd.DataFrame(client.rows(ENDPOINTS["bars"].path, {"code": code}))
    if rows.empty:
        return []
    now = rows.set_index("Date")["AdjFactor"].astype("float64")
    stored = factors[factors["Code"] == code].set_index("Date")["AdjFactor"]
    both = stored.index.intersection(now.index)
    changed = both[(stored[both] - now[both]).abs() > 1e-9]
    return [
        Finding("bars", str(day), "revised", f"AdjFactor of {code} is {now[day]:g}, stored {stored[day]:g}")
        for day in changed
    ]
