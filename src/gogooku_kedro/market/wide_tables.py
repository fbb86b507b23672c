"""Wide tables of prices, with columns of field and code or one table per field, as long bars."""

import ast
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from gogooku_kedro.market.bar_columns import REQUIRED, recognised

Pair = tuple[str, str]
_FIELDS = ("open", "high", "low", "close", "volume")
_JOIN = re.compile(r"[|_ /:]")
_FEW = 0.2  # of the columns of a table of dates by codes
SEPARATOR = "|"


def pairs_of(names: Sequence[str]) -> dict[str, Pair]:
    """Return our field (or theirs, where it is not ours) and the code of every column of a wide table.

    Columns are tuples in text (`('Close', '7203.T')`, as Parquet has the two levels of yfinance) or
    joined names (`Close_7203.T`, `7203.T|Close`), in either order.

    Args:
        names: Column names; the first recognised as a date is no pair.

    Returns:
        Empty unless every price field is there under some code and the table has no column of codes.
    """
    if any(recognised(name) == "code" for name in names):
        return {}
    pairs = {name: pair for name in names if recognised(name) is None and (pair := _pair(name))}
    fields = {field for field, _ in pairs.values()}
    return pairs if set(_FIELDS) <= fields else {}


def long_bars(wide: pd.DataFrame, pairs: Mapping[str, Pair], *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per date and code of a wide table, and the fields that bars do not use.

    A stock without any value on a date has no row there.

    Args:
        wide: Table of dates.
        pairs: Field and code of its columns.
        source: File name for messages.

    Raises:
        ValueError: No column of dates.
    """
    date = next((name for name in wide.columns if recognised(name) == "date" or _date_level(name)), None)
    if date is None:
        raise ValueError(f"{source}: a wide table without a column of dates; found {list(wide.columns)[:5]}.")
    tables: dict[str, dict[str, pd.Series]] = {}
    unused = dict[str, None]()
    for name, (field, code) in pairs.items():
        if recognised(field) is None:
            unused[field] = None
        else:
            tables.setdefault(field, {})[code] = wide[name]
    frames = {field: pd.DataFrame(series).assign(**{"\0date": wide[date]}) for field, series in tables.items()}
    return _stack(frames, "\0date"), list(unused)


def is_field_table(names: Sequence[str]) -> bool:
    """Return whether a header is a date and codes, so that the table holds one field.

    A code may be spelt as a field is (V, C, LL).
    """
    rest = [name for name in names if not _is_date(name)]
    fields = sum(recognised(name) is not None for name in rest)
    return len(rest) == len(names) - 1 and len(rest) > 0 and fields <= _FEW * len(rest)


def _is_date(name: str) -> bool:
    return name in ("", "unnamed 0", "index") or recognised(name) == "date"


def field_table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per date and code of tables of dates by codes, one per field.

    Raises:
        ValueError: A required field has no table.
    """
    missing = [name for name in REQUIRED[2:] if name not in tables]
    if missing:
        raise ValueError(f"the folder has tables of {sorted(tables)} by date and code, but none of {missing}.")
    dated = {}
    for field, table in tables.items():
        date = next(name for name in table.columns if _is_date(name))
        dated[field] = table.rename(columns={date: "\0date"})
    return _stack(dated, "\0date")


def _stack(frames: Mapping[str, pd.DataFrame], date: str) -> pd.DataFrame:
    long = [
        frame.melt(date, var_name="code", value_name=field).set_index([date, "code"])[field]
        for field, frame in frames.items()
    ]
    bars = pd.concat(long, axis=1).reset_index().rename(columns={date: "date"})
    there = bars[[name for name in bars.columns if name not in ("date", "code")]].replace("", None).notna().any(axis=1)
    return bars[there].reset_index(drop=True)


def _pair(name: str) -> Pair | None:
    if name.startswith("("):
        try:
            parts = tuple(str(part) for part in ast.literal_eval(name))
        except (ValueError, SyntaxError):
            return None
    else:
        marks = list(_JOIN.finditer(name))
        cuts = [(name[: m.start()], name[m.end() :]) for m in (marks[:1] + marks[-1:])]
        parts = next((cut for cut in cuts if _is_field(cut[0]) or _is_field(cut[1])), ())
    if len(parts) != 2 or not all(parts):
        return None
    first, second = parts
    if _is_field(second) and (not _is_field(first) or len(second) > len(first)):  # the code may be V or C
        first, second = second, first
    ours = recognised(first)
    return (ours or first, second)


def _is_field(text: str) -> bool:
    return recognised(text) not in (None, "date", "code")


def _date_level(name: str) -> bool:
    return name.startswith("(") and "Date" in name
