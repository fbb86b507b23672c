"""The fetched partitions as the tables that a run reads: raw prices with factors, and dated events."""

import logging

import numpy as np
import pandas as pd

from gogooku_kedro.jquants.endpoints import ENDPOINTS
from gogooku_kedro.jquants.store import Store
from gogooku_kedro.typing import IntArray

LOGGER = logging.getLogger(__name__)

TABLES = ("bars", "listed_issues", "market_index", "statements", "investor_flows", "margin_balances")

_ORDINARY = "0"  # last character of an ordinary share's code; preferred shares and the like have others
_PRO_MARKET = "0105"  # TOKYO PRO MARKET: no continuous trading
_REUSED_AFTER = 60  # sessions without a row, which a listed issue has every day
_ATTRIBUTES = ["CoName", "S17", "S33", "S33Nm", "Mkt", "MktNm", "ScaleCat", "ProdCat"]
_DATES = {"investor_flows": ("PubDate", "StDate", "EnDate"), "margin_balances": ("PubDate", "Date")}


def read_table(store: Store, name: str, as_of: float | None = None) -> pd.DataFrame:
    """Return a fetched table under its V2 names, with dates as datetime64[ns].

    `bars`: one row per ordinary share and session that the service has it listed on, prices and volume raw and NaN
    where nothing traded, AdjFactor of the ex-date. A code that comes back after 60 sessions without a row is another
    company: its rows are of the code with `-2` appended, in every table. `listed_issues`: a row per issue where
    something about it changed, from the first snapshot that says so. `statements`: every document, corrections under
    their own disclosure numbers. `investor_flows`: every publication, revisions included. What a table says of dates
    up to t does not depend on later rows.

    Args:
        store: Fetched partitions.
        name: One of `TABLES`.
        as_of: Seconds since 1970: what was fetched later, or changed since, is not seen.

    Returns:
        The table; without rows where the plan does not have it. attrs["source"] says where it lies.

    Raises:
        StoreError: A partition is damaged.
        ValueError: `name` is unknown, or no bars were fetched.
    """
    if name not in TABLES:
        raise ValueError(f"{name!r} is no table of J-Quants: choose one of {', '.join(TABLES)}")
    table = store.read(ENDPOINTS[name], as_of)
    if name == "bars" and table.empty:
        raise ValueError(
            f"no J-Quants prices in {store.folder}: run `kedro run --env jquants --pipelines=jquants` first"
        )
    day = ENDPOINTS[name].day
    for column in _DATES.get(name, (day,)):
        table[column] = pd.to_datetime(table[column].replace("", None), format="ISO8601").astype("datetime64[ns]")
    if "Code" in table and len(table):
        table = _ordinary(store, table, as_of)
        listings = _relistings(store, as_of)
        table["Code"] = _security(table, day, listings)
    if name == "listed_issues" and len(table):
        table = _changes(table)
    table = table.sort_values([day, *(["Code"] if "Code" in table else [])], kind="stable", ignore_index=True)
    table.attrs["source"] = f"J-Quants, {store.folder / name}"
    return table


def _ordinary(store: Store, table: pd.DataFrame, as_of: float | None) -> pd.DataFrame:
    listed = store.read(ENDPOINTS["listed_issues"], as_of)
    first = listed.sort_values("Date", kind="stable").drop_duplicates("Code")  # what comes later was not known
    pro = first.loc[first["Mkt"] == _PRO_MARKET, "Code"]
    ordinary = table["Code"].str.endswith(_ORDINARY) & ~table["Code"].isin(pro)
    left_out = table.loc[~ordinary, "Code"].nunique()
    if left_out:
        LOGGER.info("J-Quants: %d codes are no ordinary shares of the exchange's segments and are left out", left_out)
    return table[ordinary]


def _changes(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in which an issue's attributes are not those of its snapshot before."""
    ordered = table.sort_values(["Code", "Date"], kind="stable")
    state = pd.factorize(pd.MultiIndex.from_frame(ordered[["Code", *_ATTRIBUTES]]))[0]
    changed: IntArray = np.flatnonzero(np.r_[True, state[1:] != state[:-1]])
    return ordered.iloc[changed]


def _relistings(store: Store, as_of: float | None) -> dict[str, list[pd.Timestamp]]:
    """Dates on which a code came back, for the codes that did."""
    bars = store.read(ENDPOINTS["bars"], as_of)[["Date", "Code"]]
    session, _ = pd.factorize(bars["Date"], sort=True)
    issue, codes = pd.factorize(bars["Code"])
    order = np.lexsort((session, issue))
    gap = np.diff(session[order], prepend=0)
    again = (gap > _REUSED_AFTER) & (np.diff(issue[order], prepend=-1) == 0)
    found: dict[str, list[pd.Timestamp]] = {}
    for row in order[again]:
        found.setdefault(str(codes[issue[row]]), []).append(pd.Timestamp(bars["Date"].iloc[row]))
    return found


def _security(table: pd.DataFrame, day: str, relistings: dict[str, list[pd.Timestamp]]) -> pd.Series:
    """The code, with the number of its listing behind it from the second on."""
    codes = table["Code"].astype("str")
    for code, dates in relistings.items():
        for number, date in enumerate(dates, start=2):
            codes = codes.mask((table["Code"] == code) & (table[day] >= date), f"{code}-{number}")
    return codes
