"""Filings of J-Quants `fins/summary`: results and forecasts, sorted by when they became known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.market.asof import ABSENT, SessionAxis, adjustment_at
from gogooku_kedro.market.event_tables import EventTable
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

REQUIRED = ("DiscDate", "Code", "CurPerType", "CurFYEn")
FIGURES = {
    "sales": "Sales",
    "op": "OP",
    "np": "NP",
    "total_assets": "TA",
    "equity": "Eq",
    "cfo": "CFO",
    "cash": "CashEq",
}
FORECASTS = {"sales": ("FSales", "NxFSales"), "op": ("FOP", "NxFOP"), "np": ("FNP", "NxFNp")}
DIVIDENDS = ("FDivAnn", "NxFDivAnn")

QUARTERS = {"1Q": 0, "2Q": 1, "3Q": 2, "FY": 3}
YEAR = 48
"""Distance of a period's number from that of the same quarter of the year before."""

_RESULTS = "FinancialStatements"


@dataclass(frozen=True)
class Filings:
    """Filings of the panel's issues, sorted by issue, then disclosure date, time and number.

    Attributes:
        issue: Column in the panel.
        available: Position of the first session on which it is usable, the next one after DiscDate.
        day: DiscDate as days since 1970.
        period: 4 x month of the fiscal year's end + quarter for results, -1 for other documents.
        year: Month number (since 1970) of the end of the fiscal year, -1 when unknown.
        next_year: That of the following fiscal year.
        figures: Yen by name, cumulative within the fiscal year; `shares` in adjusted shares.
        forecasts: `(row, 2)` yen by name for the running and the next fiscal year.
        dividends: `(row, 2)` yen per adjusted share, of the running and the next fiscal year.
    """

    issue: IntArray
    available: IntArray
    day: IntArray
    period: IntArray
    year: IntArray
    next_year: IntArray
    figures: dict[str, FloatArray]
    forecasts: dict[str, FloatArray]
    dividends: FloatArray

    def __len__(self) -> int:
        return len(self.issue)


def parse_statements(statements: pd.DataFrame, panel: xr.Dataset, axis: SessionAxis) -> Filings:
    """Read the filings of the panel's issues.

    Results are the documents that state sales, OP or NP and whose DocType, if it has one, names
    financial statements; every other document counts for its forecasts alone. Share counts and dividends
    per share are taken as of DiscDate and brought to the panel's adjusted shares (those of
    `adj_close`) with the adjustment of that day, so that a later split leaves them alone.

    Args:
        statements: J-Quants V2 `fins/summary` rows; values are text, "" for missing, or numbers.
            Issues that the panel does not have, and rows without a DiscDate, are ignored.
        panel: Market panel.
        axis: Its sessions.

    Raises:
        ValueError: A column is missing or cannot be read, or no issue is in the panel.
    """
    table = EventTable(statements, "statements", REQUIRED)
    issue = table.issues(panel.indexes["code"])
    disclosed, year_end = table.days("DiscDate"), table.days("CurFYEn")
    rows = _in_order(table, issue, disclosed)
    issue, disclosed = issue[rows], disclosed.iloc[rows]
    figures = {name: _numbers(table, column, rows) for name, column in FIGURES.items()}
    factor = _price_adjustment(panel)
    adjustment = adjustment_at(factor, axis.position(disclosed), issue)
    figures["shares"] = _shares(table, rows) * adjustment
    year = _month_number(year_end.iloc[rows])
    declared = _month_number(table.days("NxtFYEn").iloc[rows])
    dividends = np.stack([_numbers(table, column, rows) for column in DIVIDENDS], axis=1)
    return Filings(
        issue=issue,
        available=axis.next_session(disclosed),
        day=disclosed.to_numpy().astype("datetime64[D]").astype(np.int64),
        period=_periods(table, rows, year, figures),
        year=year,
        next_year=np.where(declared >= 0, declared, np.where(year >= 0, year + 12, ABSENT)),
        figures=figures,
        forecasts={
            name: np.stack([_numbers(table, column, rows) for column in pair], axis=1)
            for name, pair in FORECASTS.items()
        },
        dividends=dividends / adjustment[:, None],
    )


def _in_order(table: EventTable, issue: IntArray, disclosed: pd.Series) -> IntArray:
    """Rows of known issues by issue, date, time and number; what is blank comes first."""
    keys = pd.DataFrame(
        {
            "issue": issue,
            "day": disclosed,
            "time": _seconds(table.text("DiscTime")),
            "number": table.numbers("DiscNo"),
        }
    )
    keys = keys[(keys["issue"] >= 0) & keys["day"].notna()]
    ordered = keys.sort_values(["issue", "day", "time", "number"], kind="stable", na_position="first")
    return ordered.index.to_numpy(dtype=np.int64)


def _seconds(times: pd.Series) -> pd.Series:
    positions, distinct = pd.factorize(times)
    parts = pd.Series(distinct, dtype="str").str.extract(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?")
    hours, minutes, seconds = (parts[part].astype("float64") for part in range(3))
    return pd.Series((hours * 3600 + minutes * 60 + seconds.fillna(0)).to_numpy()[positions])


def _numbers(table: EventTable, column: str, rows: IntArray) -> FloatArray:
    return table.numbers(column).to_numpy(dtype=np.float64)[rows]


def _shares(table: EventTable, rows: IntArray) -> FloatArray:
    """Shares outstanding without the company's own; NaN unless positive."""
    own = np.nan_to_num(_numbers(table, "TrShFY", rows))
    outstanding = _numbers(table, "ShOutFY", rows) - own
    return np.where(outstanding > 0, outstanding, np.nan)


def _month_number(days: pd.Series) -> IntArray:
    months = days.to_numpy().astype("datetime64[M]")
    return np.where(np.isnat(months), ABSENT, months.astype(np.int64))


def _periods(table: EventTable, rows: IntArray, year: IntArray, figures: dict[str, FloatArray]) -> IntArray:
    quarter = table.text("CurPerType").map(QUARTERS).fillna(ABSENT).to_numpy(dtype=np.int64)[rows]
    kind = table.text("DocType").iloc[rows]
    profit_and_loss = np.stack([figures[name] for name in ("sales", "op", "np")])
    stated: BoolArray = np.any(~np.isnan(profit_and_loss), axis=0)
    named = kind.str.contains(_RESULTS, regex=False).to_numpy(dtype=bool)
    results = np.where(kind.eq("").to_numpy(dtype=bool), stated, named & stated)
    return np.where(results & (quarter >= 0) & (year >= 0), 4 * year + quarter, ABSENT)


def _price_adjustment(panel: xr.Dataset) -> FloatArray:
    """Raw close over adjusted close: the product of the adjustment factors to date."""
    close, adjusted = (
        panel[name].transpose("date", "code").to_numpy().astype(np.float64) for name in ("close", "adj_close")
    )
    return close / adjusted
