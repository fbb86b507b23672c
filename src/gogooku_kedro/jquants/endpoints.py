"""The tables of J-Quants V2 that are fetched: path, columns, what one request covers, when it is published."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from jquantsapi import constants

_CLASSES = ("Prop", "Ind", "Frgn", "SecCo", "InvTr", "BusCo", "OthCo", "InsCo", "Bank", "TrstBnk", "OthFin")
_BLANK = ("", "-")
_V1_NAMES = {"LocalCode", "DisclosedDate", "Open", "Close", "CompanyName", "AdjustmentFactor", "PublishedDate"}


class SchemaChanged(ValueError):
    """An answer whose columns or values are not those of the table."""


@dataclass(frozen=True)
class Endpoint:
    """A table of the service.

    Attributes:
        name: What it is called here and in `jquants.tables`.
        path: Path of V2.
        unit: What one partition holds: a session, the rows of a week's last session, a snapshot of a day, or a year.
        day: Column with the date that the unit is of.
        key: Columns on which rows are unique, and by which they are sorted.
        columns: Stored columns.
        text: Those of them that are text; the others are numbers.
        required: Columns without which the table is of no use.
        published: Time of day (JST) at which a session is there.
        lag: Sessions from the date to its publication.
        refetched: Whether the last sessions are fetched again, because they may be corrected.
        may_be_empty: Whether a session without rows is usual.
    """

    name: str
    path: str
    unit: Literal["session", "week", "snapshot", "year"]
    day: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    text: tuple[str, ...]
    required: tuple[str, ...]
    published: str = "16:30"
    lag: int = 0
    refetched: bool = False
    may_be_empty: bool = False

    @property
    def schema(self) -> str:
        """Return a short hash of the stored columns, which changes when they do."""
        written = json.dumps([self.columns, self.text])
        return hashlib.sha256(written.encode()).hexdigest()[:8]

    def query(self, unit: str, window: tuple[str, str]) -> dict[str, str]:
        """Return the query for a partition: its date, or for a year the part of it inside `window`."""
        if self.unit != "year":
            return {"date": unit}
        return {"from": max(f"{unit}-01-01", window[0]), "to": min(f"{unit}-12-31", window[1])}

    @property
    def arrow_schema(self) -> pa.Schema:
        """Return names and types of the stored columns."""
        return pa.schema([(name, pa.string() if name in self.text else pa.float64()) for name in self.columns])

    def table(self, rows: Sequence[Mapping[str, Any]], unit: str) -> tuple[pa.Table, list[str]]:
        """Make rows as received a table of fixed columns and types, sorted by the key.

        Text that is missing becomes "", a number that is missing null. Unknown columns are left out, optional ones
        that are missing are empty. Of rows with an equal key, as a change between two pages leaves them, the last
        one stays.

        Args:
            rows: Objects of the answer, or the lines of a bulk file as text.
            unit: Partition that they are to be of.

        Returns:
            The table, and what was unusual about the rows, a sentence each.

        Raises:
            SchemaChanged: A required column is missing, a value is no number, or a row is of another date.
        """
        if not rows:
            return self.arrow_schema.empty_table(), []
        notes = self._check_columns({tuple(row) for row in rows})
        parsed = [
            {name: _text(row.get(name)) for name in self.text} | {self.day: as_day(row[self.day])} for row in rows
        ]
        strange = next((row[self.day] for row in parsed if not row[self.day].startswith(unit)), None)
        if strange is not None:
            raise SchemaChanged(f"{self.path}: asked for {unit}, the answer has {self.day} {strange!r}; not stored")
        last = {tuple(row[name] for name in self.key): position for position, row in enumerate(parsed)}
        if len(last) < len(rows):
            notes.append(f"{self.path} {unit}: {len(rows) - len(last)} rows came twice; the last ones are kept")
        order = [position for _, position in sorted(last.items())]
        columns = {
            name: [parsed[i][name] for i in order]
            if name in self.text
            else [self._number(rows[i].get(name), name) for i in order]
            for name in self.columns
        }
        return pa.table(columns, schema=self.arrow_schema), notes

    def _check_columns(self, kinds: set[tuple[str, ...]]) -> list[str]:
        """Hold the names of each kind of row against the table: pages may differ."""
        found = list(dict.fromkeys(name for kind in sorted(kinds) for name in kind))
        missing = [name for name in self.required if any(name not in kind for kind in kinds)]
        if missing:
            hint = " These are names of V1, which was switched off." if _V1_NAMES & set(found) else ""
            raise SchemaChanged(
                f"{self.path}: the answer has no column {', '.join(missing)}, only {', '.join(found[:8])}, …; not "
                f"stored.{hint} The service has changed: look for a new version of gogooku_kedro"
            )
        absent = [name for name in self.columns if name not in found]
        unknown = [name for name in found if name not in (*self.columns, *OFFICIAL[self.name])]
        notes = [f"{self.path}: no column {', '.join(absent)} in the answer; left empty"] if absent else []
        return notes + ([f"{self.path}: new columns {', '.join(unknown)}; they are not used"] if unknown else [])

    def _number(self, value: Any, name: str) -> float | None:
        if value is None or value in _BLANK:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SchemaChanged(f"{self.path}: {name} is {value!r} where a number belongs; not stored") from None
        return None if math.isnan(number) else number


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def as_day(value: Any) -> str:
    """Return a date as YYYY-MM-DD; the service also writes YYYYMMDD."""
    text = _text(value)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


OFFICIAL: dict[str, tuple[str, ...]] = {
    "calendar": tuple(constants.MARKETS_TRADING_CALENDAR_COLUMNS_V2),
    "bars": tuple(constants.EQ_BARS_DAILY_COLUMNS_V2),
    "listed_issues": tuple(constants.EQ_MASTER_COLUMNS_V2),
    "statements": tuple(constants.FIN_SUMMARY_COLUMNS_V2),
    "market_index": tuple(constants.INDICES_TOPIX_COLUMNS_V2),
    "sector_indices": tuple(constants.INDICES_COLUMNS_V2),
    "investor_flows": tuple(constants.EQ_INVESTOR_TYPES_COLUMNS_V2),
    "margin_balances": tuple(constants.MKT_MARGIN_INTEREST_COLUMNS_V2),
    "short_ratio": tuple(constants.MKT_SHORT_RATIO_COLUMNS_V2),
}
"""Columns that the official client knows of each table."""

_BARS = ("Date", "Code", "O", "H", "L", "C", "UL", "LL", "Vo", "Va", "AdjFactor")
_FLOWS = tuple(f"{who}{side}" for who in _CLASSES for side in ("Tot", "Bal"))

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            name="calendar",
            path="/markets/calendar",
            unit="year",
            day="Date",
            key=("Date",),
            columns=OFFICIAL["calendar"],
            text=OFFICIAL["calendar"],
            required=("Date", "HolDiv"),
        ),
        Endpoint(  # adjusted prices are restated at every split and never stored
            name="bars",
            path="/equities/bars/daily",
            unit="session",
            day="Date",
            key=("Code",),
            columns=_BARS,
            text=("Date", "Code", "UL", "LL"),
            required=tuple(name for name in _BARS if name not in ("UL", "LL", "Va")),
            refetched=True,
        ),
        Endpoint(
            name="listed_issues",
            path="/equities/master",
            unit="snapshot",
            day="Date",
            key=("Code",),
            columns=OFFICIAL["listed_issues"],
            text=OFFICIAL["listed_issues"],
            required=("Date", "Code", "S33", "Mkt"),
            published="08:00",
        ),
        Endpoint(
            name="statements",
            path="/fins/summary",
            unit="session",
            day="DiscDate",
            key=("Code", "DiscTime", "DiscNo"),
            columns=OFFICIAL["statements"],
            text=OFFICIAL["statements"],
            required=(
                "DiscDate",
                "DiscTime",
                "Code",
                "DiscNo",
                "DocType",
                "CurPerType",
                "CurFYEn",
                "Sales",
                "OP",
                "NP",
            ),
            published="18:00",
            refetched=True,
            may_be_empty=True,
        ),
        Endpoint(
            name="market_index",
            path="/indices/bars/daily/topix",
            unit="year",
            day="Date",
            key=("Date",),
            columns=OFFICIAL["market_index"],
            text=("Date",),
            required=("Date", "C"),
        ),
        Endpoint(
            name="sector_indices",
            path="/indices/bars/daily",
            unit="session",
            day="Date",
            key=("Code",),
            columns=OFFICIAL["sector_indices"],
            text=("Date", "Code"),
            required=("Date", "Code", "C"),
        ),
        Endpoint(
            name="investor_flows",
            path="/equities/investor-types",
            unit="year",
            day="PubDate",
            key=("PubDate", "EnDate", "Section"),
            columns=OFFICIAL["investor_flows"],
            text=("PubDate", "StDate", "EnDate", "Section"),
            required=("PubDate", "EnDate", "Section", *_FLOWS),
            published="18:00",
            may_be_empty=True,
        ),
        Endpoint(
            name="margin_balances",
            path="/markets/margin-interest",
            unit="week",
            day="Date",
            key=("Code",),
            columns=OFFICIAL["margin_balances"],
            text=("PubDate", "Date", "Code", "IssType"),
            required=("Date", "Code", "LongVol", "ShrtVol", "LongStdVol", "ShrtStdVol"),
            lag=2,
            may_be_empty=True,
        ),
        Endpoint(
            name="short_ratio",
            path="/markets/short-ratio",
            unit="session",
            day="Date",
            key=("S33",),
            columns=OFFICIAL["short_ratio"],
            text=("Date", "S33"),
            required=("Date", "S33"),
        ),
    )
}
"""Tables by name, in the order in which they are fetched."""
