"""Which issues are common stock, and the sector and market that were known on each date."""

import pandas as pd

from gogooku_kedro.market.bar_columns import UNKNOWN
from gogooku_kedro.market.parsing import CodeStyle, parse_codes, parse_dates
from gogooku_kedro.typing import BoolArray

_OTHER_SECTOR = "9999"  # S33 of ETF, REIT and other products
_OTHER_MARKET = "0109"  # Mkt of the same
_COMMON_PRODUCT = "011"  # ProdCat of domestic stock, present since 2026-05-26


def parse_listed_issues(listed_issues: pd.DataFrame, *, timezone: str, code_style: CodeStyle) -> pd.DataFrame:
    """Return date, code, sector, market and common_stock, sorted by date and code.

    Args:
        listed_issues: J-Quants V2 master rows (Date, Code, S33, S33Nm, Mkt, MktNm), one per code
            and change date.
        timezone: IANA name of the market's time zone.
        code_style: As for `parsing.parse_codes`.

    Raises:
        ValueError: Date or Code is not there or cannot be read.
    """
    source = str(listed_issues.attrs.get("source", "listed_issues"))
    absent = [name for name in ("Date", "Code") if name not in listed_issues]
    if absent:
        raise ValueError(
            f"{source}: no column {absent}; found {list(listed_issues.columns)}. "
            "Use the J-Quants V2 master names: Date, Code, S33, S33Nm, Mkt, MktNm."
        )
    table = listed_issues.reset_index(drop=True)
    known = pd.DataFrame(
        {
            "date": parse_dates(table["Date"], source=source, timezone=timezone),
            "code": parse_codes(table["Code"], source=source, code_style=code_style),
            "sector": _label(table, "S33Nm", "S33"),
            "market": _label(table, "MktNm", "Mkt"),
            "common_stock": _is_common_stock(table),
        }
    )
    return known.dropna(subset=["date", "code"]).sort_values(["date", "code"], ignore_index=True)


def labels_as_of(bars: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return sector and market of each bar as last stated on or before its date.

    Args:
        bars: Frame with date and code, sorted by date.
        known: Result of `parse_listed_issues`.

    Returns:
        Columns sector and market in the row order of `bars`; "n/a" before the first statement,
        because a later one was not known then.
    """
    joined = pd.merge_asof(bars[["date", "code"]], known[["date", "code", "sector", "market"]], on="date", by="code")
    return joined[["sector", "market"]].fillna(UNKNOWN)


def other_products(bars: pd.DataFrame, known: pd.DataFrame) -> BoolArray:
    """Return the rows of ETF, REIT and other products by the first statement about the code.

    Args:
        bars: Frame with a code column.
        known: Result of `parse_listed_issues`; codes it does not name count as common stock.
    """
    first = known.drop_duplicates("code")
    other = first.loc[~first["common_stock"], "code"]
    return bars["code"].isin(other).to_numpy(dtype=bool)


def _label(table: pd.DataFrame, name: str, fallback: str) -> pd.Series:
    column = name if name in table else fallback
    if column not in table:
        return pd.Series(UNKNOWN, index=table.index, dtype="str")
    return table[column].astype("str").fillna(UNKNOWN).replace("", UNKNOWN)


def _is_common_stock(table: pd.DataFrame) -> pd.Series:
    common = pd.Series(True, index=table.index)
    if "S33" in table:
        common &= table["S33"].astype("str").ne(_OTHER_SECTOR)
    if "Mkt" in table:
        common &= table["Mkt"].astype("str").ne(_OTHER_MARKET)
    if "ProdCat" in table:
        product = table["ProdCat"].astype("str")
        common &= product.eq(_COMMON_PRODUCT) | product.isna() | product.eq("")
    return common
