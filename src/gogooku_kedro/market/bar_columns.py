"""Names of the columns of daily bars: ours, those of common sources, and the map between them."""

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
)
PRICES = ("open", "high", "low", "close")
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

# Lower case, without spaces and punctuation. J-Quants V2 and V1, the JPX competition files,
# Yahoo and Stooq exports, and the spellings of spreadsheets.
_ALIASES: dict[str, tuple[str, ...]] = {
    "date": ("date", "datetime", "timestamp", "tradedate", "tradingdate", "日付"),
    "code": (
        "code",
        "ticker",
        "tickers",
        "symbol",
        "securitiescode",
        "securitycode",
        "localcode",
        "銘柄コード",
        "コード",
    ),
    "open": ("open", "o", "openprice", "始値"),
    "high": ("high", "h", "hight", "highprice", "高値"),
    "low": ("low", "l", "lowprice", "安値"),
    "close": ("close", "c", "closeprice", "終値"),
    "volume": ("volume", "vo", "v", "vol", "出来高"),
    "turnover_value": ("turnovervalue", "turnover", "va", "売買代金"),
    "adj_factor": ("adjfactor", "adjustmentfactor"),
    "adj_close": ("adjclose", "adjc", "adjustmentclose", "adjustedclose"),
    "limit_up": ("limitup", "ul", "upperlimit"),
    "limit_down": ("limitdown", "ll", "lowerlimit"),
    "sector": (
        "sector",
        "s33nm",
        "sector33",
        "sector33name",
        "sector33codename",
        "33sectorname",
        "業種",
    ),
    "market": ("market", "mktnm", "marketname", "marketcodename", "市場"),
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}


def column_map(found: Sequence[str], explicit: Mapping[str, str] | None = None, *, source: str) -> dict[str, str]:
    """Decide which column of a source is which column of the daily bars.

    A column named in `explicit` is taken as written there; the others are recognised without
    regard to case, spaces and punctuation (`Adj Close`, `adj_close` and `AdjC` are one name).

    Args:
        found: Column names of the source, in file order.
        explicit: The user's map, their name to ours, or None.
        source: File or table name for messages.

    Returns:
        Their name to our name, for the recognised columns only, in file order.

    Raises:
        ValueError: A mapped column is not in the source, a target is not one of ours, two columns
            mean the same, or a required column is missing.
    """
    mapping = _checked_explicit(found, explicit or {}, source)
    written = set(mapping.values())
    for name in found:
        ours = _CANONICAL.get(_bare(name))
        if name not in mapping and ours is not None and ours not in written:
            mapping[name] = ours
    _reject_ambiguous(mapping, found, source)
    missing = [name for name in REQUIRED if name not in mapping.values()]
    if missing:
        raise ValueError(
            f"{source}: no column for {', '.join(missing)}; found {_listed(found)}. {_how_to_map(missing[0])}"
        )
    return {name: mapping[name] for name in found if name in mapping}


def unknown_columns(found: Iterable[str], mapping: Mapping[str, str]) -> list[str]:
    """Return the columns of a source that daily bars do not use, in file order."""
    return [str(name) for name in found if name not in mapping]


def _bare(name: str) -> str:
    return "".join(character for character in str(name).lower() if character.isalnum())


def _checked_explicit(found: Sequence[str], explicit: Mapping[str, str], source: str) -> dict[str, str]:
    absent = [name for name in explicit if name not in found]
    if absent:
        raise ValueError(
            f"{source}: the column map names {_listed(absent)}, which the file does not have; "
            f"found {_listed(found)}. Correct `columns:` in the catalog entry."
        )
    foreign = [ours for ours in explicit.values() if ours not in (*REQUIRED, *OPTIONAL)]
    if foreign:
        raise ValueError(
            f"{source}: the column map leads to {_listed(foreign)}, which daily bars do not have; "
            f"choose from {_listed((*REQUIRED, *OPTIONAL))}."
        )
    return dict(explicit)


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
