"""Price files as people have them: Parquet and CSV in many dialects and shapes become one table of bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from gogooku_kedro.market.bar_columns import REQUIRED, column_map, recognised, unknown_columns
from gogooku_kedro.market.csv_dialect import CsvTable, read_csv_table
from gogooku_kedro.market.wide_tables import field_table, is_field_table, long_bars, pairs_of

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".zip", ".csv.zip")
_WITHOUT_CODE = tuple(name for name in REQUIRED if name != "code")


def price_files(path: Path) -> list[Path]:
    """Return the files that a path means, sorted: itself, the price files of a folder, or those of a glob."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file() and is_price_file(file))
    if any(sign in path.name for sign in "*?[") and not path.exists():
        return sorted(file for file in path.parent.glob(path.name) if file.is_file() and is_price_file(file))
    return [path]


def is_price_file(path: Path) -> bool:
    """Return whether a file is Parquet or CSV by its name."""
    return path.name.lower().endswith((*PARQUET, *CSV))


def read_price_files(
    path: Path,
    columns: Mapping[str, str | None] | None = None,
    load_args: Mapping[str, Any] | None = None,
    extra: Sequence[str] = (),
) -> pd.DataFrame:
    """Read bars under our column names; values stay as the files have them.

    One long table (a row per date and code), a wide one (columns of field and code, as yfinance
    saves them), one long table per code in a folder or glob (the code is a column, else the file's
    name), or one wide table (date x code) per field in a folder (`close.csv`, `volume.csv`, ...).

    Args:
        path: File, folder or glob.
        columns: Their name to ours, for columns that are not recognised, or to None for a column that
            is to be left out.
        load_args: Arguments of `pandas.read_csv`; what is not among them is recognised from the file.
        extra: Further columns of a long table to take along, see `bar_columns.column_map`.

    Returns:
        Bars; attrs has source, unknown_columns, and notes where something was done to the table.

    Raises:
        ValueError: A file cannot be read or lacks a column; names file, columns and the fix.
    """
    columns, load_args = dict(columns or {}), dict(load_args or {})
    files = price_files(path)
    if len(files) == 1 and files[0] == path:
        return _read_one(path, columns, load_args, extra=extra)
    headers = {file: _names(file, load_args) for file in files}
    if not extra and all(is_field_table(names) and recognised(_stem(file)) for file, names in headers.items()):
        tables = {str(recognised(_stem(file))): _whole(file, load_args) for file in files}
        return _attributed(field_table(tables), str(path), [], [])
    frames = [_read_one(file, columns, load_args, code=_stem(file), extra=extra) for file in files]
    unknown = list(dict.fromkeys(name for frame in frames for name in frame.attrs["unknown_columns"]))
    notes = [note for frame in frames for note in frame.attrs.get("notes", [])]
    for frame in frames:
        frame.attrs = {}
    return _attributed(pd.concat(frames, ignore_index=True), str(path), unknown, [f"{len(files)} files", *notes])


def long_table(frame: pd.DataFrame, columns: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Return a table of bars in memory as `read_price_files` returns one of a file.

    Args:
        frame: Date and code in columns or in the index; or columns of two levels, field and code, as
            yfinance returns them.
        columns: As for `read_price_files`.

    Raises:
        ValueError: A column is missing or ambiguous.
    """
    source = str(frame.attrs.get("source", "DataFrame"))
    table = frame.reset_index() if any(name is not None for name in frame.index.names) else frame.copy()
    table.columns = pd.Index([str(name) for name in table.columns])
    names = list(table.columns)
    pairs = pairs_of(names)
    if pairs:
        bars, unused = long_bars(table, pairs, source=source)
        return _attributed(bars, source, unused, [])
    mapping = column_map(names, columns, source=source)
    bars = table[list(mapping)].rename(columns=mapping)
    return _attributed(bars, source, unknown_columns(names, mapping), [])


def _read_one(
    path: Path,
    columns: dict[str, str | None],
    load_args: dict[str, Any],
    code: str | None = None,
    extra: Sequence[str] = (),
) -> pd.DataFrame:
    source = str(path)
    table = None if _is_parquet(path) else read_csv_table(path, load_args, columns)
    names = _parquet_names(path) if table is None else table.names
    pairs = pairs_of(names)
    if pairs and extra:
        raise ValueError(
            f"{source}: ingestion.extra_columns names {', '.join(extra)}, but this is a wide table; write one row per "
            f"date and code"
        )
    if pairs:
        bars, unused = long_bars(_body(path, table, names), pairs, source=source)
        return _attributed(bars, source, unused, [])
    if is_field_table(names) and code is None and not columns:
        raise ValueError(
            f"{source}: a table of dates by codes holds one field; found {names[:5]}. Put one such file per field, "
            "named open, high, low, close and volume, into a folder and name the folder."
        )
    mapping = column_map(names, columns, source=source, needed=_WITHOUT_CODE if code else REQUIRED, extra=extra)
    bars = _body(path, table, list(mapping), mapping).rename(columns=mapping)
    if "code" not in bars:
        bars.insert(1, "code", code)
    notes = [] if table is None else table.notes
    return _attributed(bars, source, unknown_columns(names, mapping), notes)


def _body(
    path: Path, table: CsvTable | None, names: Sequence[str], mapping: Mapping[str, str] | None = None
) -> pd.DataFrame:
    if table is not None:
        return table.body(names, mapping)
    frame: pd.DataFrame = pq.read_table(path, columns=list(names)).to_pandas(ignore_metadata=True)
    return frame[list(names)]


def _attributed(bars: pd.DataFrame, source: str, unknown: list[str], notes: list[str]) -> pd.DataFrame:
    attrs: dict[Any, Any] = {"source": source, "unknown_columns": unknown}
    bars.attrs = attrs | ({"notes": notes} if notes else {})
    return bars


def _names(path: Path, load_args: dict[str, Any]) -> list[str]:
    return _parquet_names(path) if _is_parquet(path) else read_csv_table(path, load_args).names


def _whole(path: Path, load_args: dict[str, Any]) -> pd.DataFrame:
    table = None if _is_parquet(path) else read_csv_table(path, load_args)
    names = _parquet_names(path) if table is None else table.names
    return _body(path, table, names)


def _parquet_names(path: Path) -> list[str]:
    return [str(name) for name in pq.read_schema(path).names]


def _is_parquet(path: Path) -> bool:
    if path.name.lower().endswith(PARQUET):
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _stem(path: Path) -> str:
    """Return the file's name without the endings of price files: 7203.T.csv.gz is 7203.T."""
    name = path.name
    for ending in (*CSV[3:], *PARQUET, *CSV[:3]):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
