"""What was known on a morning: every table cut at the session that it ranks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gogooku_kedro.market.parsing import parse_dates

EVENT_DAYS = ("DiscDate", "PubDate")
DAYS = (*EVENT_DAYS, "Date", "date")


def newest_session(bars: pd.DataFrame) -> pd.Timestamp:
    """Return the last date of a table of bars.

    Raises:
        ValueError: It has no rows.
    """
    if bars.empty:
        raise ValueError(f"{bars.attrs.get('source', 'raw_bars')}: no rows; fetch prices, or name a file that has some")
    newest: pd.Timestamp = _days(bars).max()
    return newest.normalize()


def known_tables(tables: Mapping[str, pd.DataFrame], session: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Return the rows of each table that are dated up to the session.

    An event is dated by its publication, and by its date where it says nothing of that; what is published on the
    session itself stays, and is usable from the next one.

    Args:
        tables: Raw tables by name.
        session: The session that is ranked.
    """
    return {name: _cut(table, session) for name, table in tables.items()}


def company_names(listed_issues: pd.DataFrame) -> pd.Series:
    """Return the name last stated of each code; without rows where the table has none."""
    if "CoName" not in listed_issues or listed_issues.empty:
        return pd.Series(dtype="str")
    last = listed_issues.sort_values("Date", kind="stable").drop_duplicates("Code", keep="last")
    return pd.Series(last["CoName"].fillna("").to_numpy(dtype=str), index=last["Code"].astype("str").to_numpy())


def _cut(table: pd.DataFrame, session: pd.Timestamp) -> pd.DataFrame:
    if table.empty or not any(name in table for name in DAYS):
        return table
    kept = table[(_days(table) < session + pd.Timedelta(days=1)).to_numpy()]
    kept.attrs = dict(table.attrs)
    return kept.reset_index(drop=True)


def _days(table: pd.DataFrame) -> pd.Series:
    source = str(table.attrs.get("source", "table"))
    found = [parse_dates(table[name], source=source, column=name) for name in DAYS if name in table]
    days = found[0]
    for further in found[1:]:
        days = days.fillna(further)
    return days
