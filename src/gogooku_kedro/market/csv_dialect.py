"""CSV tables of any spreadsheet: encoding, separator, header line and decimal sign are found in the file."""

import csv
import gzip
import inspect
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gogooku_kedro.market.bar_columns import LABELS, NUMBERS, PRICES, recognised
from gogooku_kedro.market.wide_tables import SEPARATOR

_SEPARATORS = (",", ";", "\t", "|")
_TITLE_LINES = 20
_SAMPLE_LINES = 1000
_SAMPLE = 2_000_000  # characters
_FOOT_ROWS = 5
_UNIT_ROWS = 3
_NULL_SHARE = 0.2  # of the bytes: text in UTF-16 without a mark
_TEXT = ("date", "code", "time", *LABELS)
_NOT_A_NUMBER = ["", "-", "--", "---", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None"]
_TOTAL = re.compile(
    r"(?:合計|総計|小計|計|平均|件数|grand total|subtotal|total|sum|average|count)s?[::]?", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(
    r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),(?:\d{1,2}|\d{4,})|[+-]?(?:\d{1,3}(?:\.\d{3})+|\d{4,}|0),\d+"
)
_EITHER = re.compile(r"[+-]?\d{1,3},\d{3}")


@dataclass(frozen=True)
class CsvTable:
    """Text of a table whose header is known.

    Attributes:
        text: Decoded text of the whole file.
        names: Column names.
        options: Arguments for `pandas.read_csv` that skip the header.
        notes: What was done to the table, for the quality report; `body` adds to them.
        dates: `date_format` or `dayfirst` of `load_args`, which hold for the column of dates.
    """

    text: str
    names: list[str]
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    dates: Mapping[str, Any] = field(default_factory=dict)

    def body(self, names: Sequence[str], mapping: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return the columns `names`; text as it stands, numbers where pandas reads them as such.

        Args:
            names: Columns to read.
            mapping: Their name to ours; without it all but the first column may be numbers.
        """
        ours = {name: (mapping or {}).get(name) for name in names}
        text = [name for name in names if ours[name] in _TEXT or (mapping is None and name == names[0])]
        options: dict[str, Any] = {
            "dtype": dict.fromkeys(text, "str"),
            "keep_default_na": False,
            "na_values": {name: [""] if name in text else _NOT_A_NUMBER for name in names},
            "low_memory": False,  # which reads in chunks and may give one column two types
            "skipinitialspace": True,
            **self.options,
        }
        frame: pd.DataFrame = pd.read_csv(io.StringIO(self.text), **options)
        frame.columns = frame.columns.astype("str").str.strip()
        table: pd.DataFrame = frame[list(names)]
        date = next((name for name in names if ours[name] == "date"), names[0])
        table = self._without_repeated_header(table, date)
        table = self._without_foot(self._without_units(table, ours), ours) if mapping else table
        return table.assign(**{date: _iso(table[date], **self.dates)}) if self.dates else table

    def _without_repeated_header(self, frame: pd.DataFrame, date: str) -> pd.DataFrame:
        again = frame[date].astype("str").str.strip() == date
        if date and again.any():
            self.notes.append(f"left out: the header, repeated in {int(again.sum())} rows")
            return frame[~again].reset_index(drop=True)
        return frame

    def _without_units(self, frame: pd.DataFrame, ours: Mapping[str, str | None]) -> pd.DataFrame:
        """Leave out rows of units, such as 円 and 株, between the header and the first bar."""
        theirs = [name for name in frame if ours[str(name)] == "date" or ours[str(name)] in PRICES]
        cells = (
            frame.head(_UNIT_ROWS)[theirs]
            .astype("object")
            .fillna("")
            .astype("str")
            .apply(lambda column: column.str.strip())
        )
        words = (cells != "").any(axis=1) & ~cells.apply(lambda column: column.str.contains(r"\d")).any(axis=1)
        units = cells.index[words.astype(int).cumprod().astype(bool)]
        if len(units):
            said = "; ".join(" ".join(filter(None, cells.loc[row])) for row in units)
            self.notes.append(f"left out below the header: {said!r}")
        kept: pd.DataFrame = frame.drop(index=units).reset_index(drop=True)
        return kept

    def _without_foot(self, frame: pd.DataFrame, ours: Mapping[str, str | None]) -> pd.DataFrame:
        theirs = {name: column for column, name in ours.items()}
        keys = [theirs[name] for name in ("date", "code") if name in theirs]
        prices = [theirs[name] for name in PRICES if name in theirs]
        foot = frame.tail(_FOOT_ROWS)
        words = foot[keys].fillna("").astype("str").apply(lambda column: column.str.strip())
        total = words.map(lambda word: _TOTAL.fullmatch(word) is not None).any(axis=1)
        no_date = ~words[theirs["date"]].str.contains(r"^\D?\d{4}", regex=True) & (words[theirs["date"]] != "")
        remark = no_date & foot[prices].isna().all(axis=1)
        lost = foot.index[total | remark]
        if len(lost):
            said = ", ".join(repr(" ".join(filter(None, words.loc[row]))) for row in lost)
            self.notes.append(f"left out below the table: {said}")
        kept: pd.DataFrame = frame.drop(index=lost)
        return kept


def read_csv_table(
    path: Path, load_args: Mapping[str, Any], columns: Mapping[str, str | None] | None = None
) -> CsvTable:
    """Read the text of a table and find its header.

    `load_args` are those of `pandas.read_csv` and hold for header and body alike. Without them the
    encoding is that of a byte order mark, UTF-8 or cp932; the header is the line among the first
    twenty with the most known column names, and the separator the one that shows it.

    Args:
        path: .csv, .txt, .tsv, also gzipped, or a .zip of one file.
        load_args: What the user knows about the file.
        columns: The user's names for columns, which count as known.

    Raises:
        ValueError: Text in another encoding, a header with a name twice, rows longer than the header, or
            decimal signs that may be separators of thousands; names the key of `load_args` to set.
    """
    given = dict(load_args)
    foreign = sorted(given.keys() - inspect.signature(pd.read_csv).parameters.keys())
    if foreign:
        raise ValueError(f"{path}: load_args has {foreign}, which pandas.read_csv does not take; such as sep, encoding")
    text = _decoded(path, given.pop("encoding", None)).replace("\r\n", "\n").replace("\r", "\n")
    given.pop("compression", None)
    dates: dict[str, Any] = {name: given.pop(name) for name in ("date_format", "dayfirst") if name in given}
    separator = given.pop("sep", given.pop("delimiter", None))
    if {"header", "skiprows", "names"} & given.keys():
        options = {"sep": separator or ",", **given}
        first = pd.read_csv(io.StringIO(text), nrows=0, **options)
        return CsvTable(text, [str(name).strip() for name in first.columns], options, dates=dates)
    lines = text[:_SAMPLE].split("\n")[: _TITLE_LINES + _SAMPLE_LINES]
    lines = lines[:-1] if len(text) > _SAMPLE else lines
    known = set(columns or {})
    at, separator = _header(lines, [separator] if separator else _SEPARATORS, known)
    rows = list(csv.reader(lines[at:], delimiter=separator))
    names = [name.strip() for name in rows[0]] if rows else []
    above = next(csv.reader(lines[at - 1 : at], delimiter=separator), []) if at else []
    names, used = _two_levels(names, rows, above)
    names = _told_apart(path, _without_empty_end(names), known)
    if len(names) == 1 and len(rows) > 1:
        raise ValueError(
            f"{path}: a table of one column, {names[0][:60]!r}. Name its separator in the catalog entry: "
            'load_args: {sep: " "}'
        )
    body = [row for row in rows[used:] if row]
    extra = _extra_fields(path, names, body)
    filled = [name or f"unnamed {position}" for position, name in enumerate(names)]
    filled[:1] = names[:1]
    options = {
        "sep": separator,
        "header": None,
        "names": [*filled, *(f"\0{position}" for position in range(extra))],
        "skiprows": at + used,
        "index_col": False,
        **_decimal_sign(path, names, body, separator, given),
        **given,
    }
    return CsvTable(text, filled, options, dates=dates)


def _iso(text: pd.Series, *, date_format: str | None = None, dayfirst: bool | None = None) -> pd.Series:
    """Return dates in text with the year first, those of another form as they are."""
    if date_format is not None:
        stamps = pd.to_datetime(text.str.strip(), format=date_format, errors="coerce")
        return stamps.map(lambda stamp: stamp.isoformat(), na_action="ignore").astype("str").fillna(text)
    order = r"\4-\3-\1" if dayfirst else r"\4-\1-\3"
    return text.str.strip().str.replace(r"^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", order, regex=True)


def _decoded(path: Path, encoding: str | None) -> str:
    data = _bytes(path)
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except LookupError:
            raise ValueError(f"{path}: load_args has the unknown encoding {encoding!r}; write such as cp932") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    head = data[:1000]
    if head and head.count(0) > _NULL_SHARE * len(head):
        return data.decode("utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be")
    for name in ("utf-8-sig", "cp932", "euc_jp"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    raise ValueError(
        f"{path}: the text is neither UTF-8, UTF-16 nor cp932. Name its encoding in the catalog entry: "
        "load_args: {encoding: latin-1}"
    )


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
            if len(members) != 1:
                raise ValueError(
                    f"{path}: the archive holds {len(members)} files {members[:5]}; unpack it and name the folder."
                )
            data = archive.read(members[0])
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _header(lines: list[str], separators: Sequence[str], known: set[str]) -> tuple[int, str]:
    """Return the line with the most known names and the separator that shows them; the first of equals."""
    best, at, separator = 0, 0, separators[0]
    for sign in separators:
        for number, line in enumerate(lines[:_TITLE_LINES]):
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=sign), [])]
            names = {recognised(cell) or (cell if cell in known else None) for cell in cells} - {None}
            if len(names) > best:
                best, at, separator = len(names), number, sign
    return at, separator


def _two_levels(names: list[str], rows: list[list[str]], above: list[str]) -> tuple[list[str], int]:
    """Return the joined names of a header of fields and codes (yfinance), and the lines it takes."""
    fields = names[1:]
    if (
        not fields
        or recognised(names[0]) in ("date", "code")
        or any(recognised(name) in (None, "date", "code") for name in set(fields))
    ):
        return names, 1
    below = [cell.strip() for cell in rows[1]] if len(rows) > 1 else []
    second = len(below) == len(names) and all(below[1:])
    codes = below if second and not below[0][:1].isdigit() else [cell.strip() for cell in above]
    if len(codes) != len(names):
        return names, 1
    used = 2 if codes is below else 1
    if len(rows) > used and recognised(rows[used][0]) == "date":
        used += 1
    return ["date", *(f"{name}{SEPARATOR}{code}" for name, code in zip(fields, codes[1:], strict=True))], used


def _without_empty_end(names: list[str]) -> list[str]:
    """Leave out what separators at the end of a header make."""
    return next((names[:end] for end in range(len(names), 0, -1) if names[end - 1] != ""), [])


def _told_apart(path: Path, names: list[str], known: set[str]) -> list[str]:
    """Return the names with repeated ones numbered (two moving averages); repeated names of bars are refused."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if any(recognised(name) or name in known for name in twice):
        raise ValueError(
            f"{path}: the header has {twice} more than once; found {names}. "
            "Rename them in the file; a column map cannot tell them apart."
        )
    return [f"{name} ({names[:at].count(name) + 1})" if name in twice else name for at, name in enumerate(names)]


def _extra_fields(path: Path, names: list[str], body: list[list[str]]) -> int:
    most = max((len(row) for row in body), default=0)
    for number, row in enumerate(body):
        if any(cell.strip() for cell in row[len(names) :]):
            raise ValueError(
                f"{path}: row {number} has {len(row)} fields and the header {len(names)}: {row[:12]}. Is a decimal "
                "comma or a comma in a text not quoted? Name separator and decimal sign in the catalog entry: "
                'load_args: {sep: ";", decimal: ","}'
            )
    return max(most - len(names), 0)


def _decimal_sign(
    path: Path, names: list[str], body: list[list[str]], separator: str, given: Mapping[str, Any]
) -> dict[str, str]:
    if "decimal" in given or "thousands" in given:
        return {}
    numbers = [position for position, name in enumerate(names) if recognised(name) in NUMBERS]
    prices = [position for position in numbers if recognised(names[position]) in PRICES]
    cells = [row[position].strip() for row in body for position in numbers if position < len(row)]
    if any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        return {"decimal": ",", "thousands": "."}
    shown = [row[position].strip() for row in body for position in prices if position < len(row)]
    shown = [cell for cell in shown if any(character.isdigit() for character in cell)]
    if separator != "," and shown and all(_EITHER.fullmatch(cell) for cell in shown):
        raise ValueError(
            f"{path}: {shown[0]!r} may be a thousand or a decimal number. Say which in the catalog entry: "
            'load_args: {decimal: ","} or load_args: {thousands: ","}'
        )
    return {}
