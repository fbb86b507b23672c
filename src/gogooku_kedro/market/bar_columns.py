"""Names of the columns of daily bars: ours, those of common sources, and the map between them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

REQUIRED = ("date", "code", "open", "high", "low", "close", "volume")
OPTIONAL = (
    "turnover_value",
    "adj_factor",
    "adj_close",
    "limit_up",
    "limit_down",
    "sector",
    "market",
    "time",
)
PRICES = ("open", "high", "low", "close")
AMOUNTS = ("volume", "turnover_value")
NUMBERS = (*PRICES, "volume", "turnover_value", "adj_factor", "adj_close")
FLAGS = ("limit_up", "limit_down")
LABELS = ("sector", "market")
DAILY_BARS = (
    "date",
    "code",
    *PRICES,
    "volume",
    "turnover_value",
    "adj_factor",
    *FLAGS,
    *LABELS,
)
UNKNOWN = "n/a"
EXTRA = "extra_"
"""Before the name of a column of the user's that becomes a feature."""

# Lower case, without spaces and punctuation. J-Quants V2 and V1, the JPX competition files, Yahoo, Stooq,
# Qlib, CRSP, Compustat, Tushare, Bloomberg and Refinitiv exports, and the spellings of spreadsheets.
_ALIASES: dict[str, tuple[str, ...]] = {
    "date": (
        *("date", "datetime", "timestamp", "tradedate", "tradingdate", "exchangedate", "datadate", "t"),
        *("日付", "日付け", "日時", "年月日", "取引日", "日期"),
    ),
    "code": (
        *("code", "ticker", "tickers", "symbol", "securitiescode", "securitycode", "localcode", "instrument", "permno"),
        *("tscode", "stockcode", "銘柄コード", "証券コード", "コード", "股票代码"),
    ),
    "open": ("open", "o", "openprice", "openprc", "pxopen", "prcod", "始値", "始値円", "开盘"),
    "high": ("high", "h", "hight", "highprice", "askhi", "pxhigh", "high1", "prchd", "高値", "高値円", "最高"),
    "low": ("low", "l", "lowprice", "bidlo", "pxlow", "low1", "prcld", "安値", "安値円", "最低"),
    "close": ("close", "c", "closeprice", "prc", "pxlast", "trdprc1", "prccd", "終値", "終値円", "收盘"),
    "volume": (
        *("volume", "vo", "v", "vol", "pxvolume", "acvoluns", "cshtrd"),
        *("出来高", "出来高株", "売買高", "売買高株", "成交量"),
    ),
    "turnover_value": (
        *("turnovervalue", "va", "amount", "tradedvalue", "tradingvalue", "dollarvolume"),
        *("売買代金", "売買代金円", "売買代金千円", "成交额"),
    ),
    "adj_factor": ("adjfactor", "adjustmentfactor", "cfacpr", "ajexdi", "調整係数", "株式分割調整係数"),
    "adj_close": (
        *("adjclose", "adjc", "adjustmentclose", "adjustedclose", "adjcloseprice", "adjustedcloseprice", "closeadj"),
        *("closeadjusted", "adjprice", "adjustedprice", "adjprc"),
        *("調整後終値", "調整済終値", "調整済み終値", "調整終値", "終値調整", "終値調整値", "終値調整後", "修正後終値"),
    ),
    "limit_up": ("limitup", "ul", "upperlimit", "uplimit", "limitupprice", "ストップ高", "値幅上限", "涨停价"),
    "limit_down": ("limitdown", "ll", "lowerlimit", "downlimit", "limitdownprice", "ストップ安", "値幅下限", "跌停价"),
    "sector": ("sector", "s33nm", "sector33", "sector33name", "sector33codename", "33sectorname", "業種"),
    "market": ("market", "mktnm", "marketname", "marketcodename", "市場"),
    "time": ("time", "時刻"),
}
# Taken only where no other column has the meaning: beside an amount, a turnover is a rate.
_SECOND_CHOICE = {"turnover": "turnover_value", "price": "close", "last": "close", "lastprice": "close"}
_NUMBERED = re.compile(r"^\d+\. ")  # Alpha Vantage: 4. close
_INDEX = re.compile(r"(__index_level_\d+__)?")  # of pandas, without a name: in Parquet, and in CSV
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}


def recognised(name: str) -> str | None:
    """Return our name of a source's column, None when it is not recognised."""
    bare = _bare(name)
    if bare.startswith("adjcloseadjusted"):  # Yahoo's page appends the explanation of the column to its name
        return "adj_close"
    return _CANONICAL.get(bare) or _SECOND_CHOICE.get(bare)


def column_map(
    found: Sequence[str],
    explicit: Mapping[str, str | None] | None = None,
    *,
    source: str,
    needed: Sequence[str] = REQUIRED,
    extra: Sequence[str] = (),
) -> dict[str, str]:
    """Decide which column of a source is which column of the daily bars.

    A column named in `explicit` is taken as written there, and left out where its name is None; the
    others are recognised without regard to case, spaces and punctuation (`Adj Close`, `adj_close`
    and `AdjC` are one name).

    Args:
        found: Column names of the source, in file order.
        explicit: The user's map, their name to ours or to None, or None.
        source: File or table name for messages.
        needed: Our names that must be there.
        extra: Columns of the user's to take along, by the names of the source; they get `EXTRA` before them.

    Returns:
        Their name to our name, for the recognised columns only, in file order.

    Raises:
        ValueError: A mapped column is not in the source, a target is not one of ours, two columns
            mean the same, or a required column is missing.
    """
    taken = _extra_map(found, extra, source)
    found = [name for name in found if name not in taken]
    explicit = explicit or {}
    mapping = _checked_explicit(found, explicit, source)
    open_names = {name: recognised(name) for name in found if name not in explicit}
    for second in (False, True):
        written = set(mapping.values())
        for name, ours in open_names.items():
            if ours is not None and ours not in written and second == (_bare(name) in _SECOND_CHOICE):
                mapping[name] = ours
    if "date" not in mapping.values():  # TradingView's stamp is called time
        mapping |= {name: "date" for name, ours in mapping.items() if ours == "time" and name not in explicit}
    _reject_ambiguous(mapping, found, source)
    missing = [name for name in needed if name not in mapping.values()]
    if missing:
        raise ValueError(
            f"{source}: no column for {', '.join(missing)}; found {_listed(found)}. {_how_to_map(missing[0])}"
        )
    return {name: mapping[name] for name in found if name in mapping} | taken


def unknown_columns(found: Iterable[str], mapping: Mapping[str, str]) -> list[str]:
    """Return the columns of a source that daily bars do not use, in file order; an index of pandas is none."""
    return [str(name) for name in found if name not in mapping and not _INDEX.fullmatch(str(name))]


def _extra_map(found: Sequence[str], extra: Sequence[str], source: str) -> dict[str, str]:
    """Their name to ours of the columns that become features; a frame read earlier has our names already."""
    taken = {}
    for name in extra:
        theirs = next((each for each in (name, f"{EXTRA}{name}") if each in found), None)
        if theirs is None:
            raise ValueError(
                f"{source}: ingestion.extra_columns names {name!r}, which is not there; found {_listed(found)}"
            )
        if recognised(theirs) is not None:
            raise ValueError(
                f"{source}: ingestion.extra_columns names {name!r}, which is the {recognised(theirs)} of the bars "
                f"already; leave it out there, or rename the column"
            )
        taken[theirs] = f"{EXTRA}{name}"
    return taken


def _bare(name: str) -> str:
    plain = unicodedata.normalize("NFKC", str(name)).lower()  # full-width letters are letters
    plain = _NUMBERED.sub("", plain)
    return "".join(character for character in plain if character.isalnum())


def _checked_explicit(found: Sequence[str], explicit: Mapping[str, str | None], source: str) -> dict[str, str]:
    absent = [name for name in explicit if name not in found]
    if absent:
        raise ValueError(
            f"{source}: the column map names {_listed(absent)}, which the file does not have; "
            f"found {_listed(found)}. Correct `columns:` in the catalog entry."
        )
    chosen = {name: ours for name, ours in explicit.items() if ours is not None}
    foreign = [ours for ours in chosen.values() if ours not in (*REQUIRED, *OPTIONAL)]
    if foreign:
        raise ValueError(
            f"{source}: the column map leads to {_listed(foreign)}, which daily bars do not have; "
            f"choose from {_listed((*REQUIRED, *OPTIONAL))}, or null to leave the column out."
        )
    return chosen


def _reject_ambiguous(mapping: Mapping[str, str], found: Sequence[str], source: str) -> None:
    for ours in sorted(set(mapping.values())):
        theirs = [name for name in found if mapping.get(name) == ours]
        if len(theirs) > 1:
            raise ValueError(
                f"{source}: columns {_listed(theirs)} all mean {ours!r}; found {_listed(found)}. "
                f"{_how_to_map(ours, theirs[0])}"
            )


def _how_to_map(ours: str, theirs: str = "THEIR_NAME") -> str:
    return f"Write the map in the catalog entry, their name to ours: columns: {{{theirs!r}: {ours}}}"


def _listed(names: Iterable[str]) -> str:
    return "[" + ", ".join(repr(str(name)) for name in names) + "]"
