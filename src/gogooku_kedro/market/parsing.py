"""Values of a source's columns as dates, codes, numbers and flags, or an error showing the rows."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, cast

import numpy as np
import pandas as pd

from gogooku_kedro.typing import BoolArray

_FLAGS = 0.9  # share of zeros and ones that makes a column of flags
CodeStyle = Literal["auto", "tse", "as_is"]

MISSING_TEXT = ("", "na", "n/a", "nan", "null", "none", "#n/a", "nat", "<na>")
_DASHES = re.compile(r"[-\u2010-\u2015\u2212\u30fc\u2500]+")  # a lone dash of any width means: no value
_THOUSANDS = r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"
_CURRENCY = r"^([+-]?)\s*(?:[¥￥$€£₩]|JPY|USD|EUR)\s*|\s*(?:円|株|JPY|USD|EUR)$"
_SCALED = re.compile(r"^([+-]?[\d.,]+)\s*([KMBkmb千万億]|百万)$")
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "千": 1e3, "万": 1e4, "百万": 1e6, "億": 1e8}
_YEAR_FIRST = re.compile(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})(?:[T (].*)?")
_JAPANESE = re.compile(r"(\d{4})年\s*(\d{1,2})月\s*(\d{1,2})日")
_ERA = re.compile(r"(令和|平成|昭和|[RHS])\s*(元|\d{1,2})[年./-]\s*(\d{1,2})[月./-]\s*(\d{1,2})日?(.*)")
_ERA_BEFORE_FIRST = {"令和": 2018, "R": 2018, "平成": 1988, "H": 1988, "昭和": 1925, "S": 1925}
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})((?:[T (].*)?)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMED = re.compile(
    r"(?:[a-z]{3,9},? )?(?:(?P<first>\d{1,2})(?:st|nd|rd|th)?[- ,]+)?(?P<month>[a-z]{3,9})\.?[- ,]+"
    r"(?:(?P<second>\d{1,2})(?:st|nd|rd|th)?[- ,]+)?(?P<year>\d{4})",
    re.IGNORECASE,
)
_UTC_OFFSET = re.compile(r".*\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})")
_ZERO_OFFSET = re.compile(r".*(?:Z|[+-]00:?00)")
_SPREADSHEET_TEXT = re.compile(r"^(?:'(?=.)|=\"(?=.*\"$))(.*?)\"?$")  # '1301 and ="1301" keep a code text
_WHOLE = re.compile(r"(\d+)\.0+")
_TSE_CODE = re.compile(
    r"(?:(?:TYO|TSE|JP):)?([1-9][0-9A-Z][0-9][0-9A-Z])([0-9]?)(?:\.(?:T|JP|TYO|TSE)|[ -]J[PT](?: EQUITY)?|-TYO)?"
)
_EPOCH = re.compile(r"([1-9]\d{8,9})(\d{3})?(?:\.0+)?")  # seconds or milliseconds
_EPOCH_FROM, _EPOCH_TO = 157_766_400, 1_893_456_000  # 1975 and 2030: later numbers may be YYYYMMDDHH


def parse_dates(values: pd.Series, *, source: str, timezone: str = "Asia/Tokyo", column: str = "date") -> pd.Series:
    """Return the local session date of every stamp as datetime64[ns], NaT where absent.

    - A stamp in UTC is converted to `timezone` and its date taken there.
    - A stamp with another zone or offset, or with none, is local already: its date part is the session.
    - Text puts the year first (2024-01-04, 2024/1/4, 20240104, 2024年1月4日, 令和6年1月4日, with or
      without a time) or names the month (4-Jan-2024); whole numbers are read as YYYYMMDD, of
      nine digits or more as seconds or milliseconds since 1970.
    - Day or month first, with the year last, is read where the column shows which: 31/12/2023 can only
      be day first. 01/02/2024 alone is refused because its order is unknown.

    Args:
        values: Text, date, datetime or whole-number stamps.
        source: File or table name for messages.
        timezone: IANA name of the market's time zone.
        column: Name of the column for messages.

    Raises:
        ValueError: A value is not such a date; the first five are shown.
    """
    positions, distinct = pd.factorize(values)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        aware = pd.DatetimeIndex(distinct)
        aware = aware.tz_convert(timezone) if str(aware.tz) in ("UTC", "UTC+00:00") else aware
        stamps = aware.tz_localize(None).normalize()
    elif pd.api.types.is_datetime64_dtype(values.dtype):
        stamps = pd.DatetimeIndex(distinct).normalize()
    else:
        order = year_last_order(distinct)
        if order in ("either", "neither"):
            _refuse_order(values, order, source, column)
        stamps = pd.DatetimeIndex([_one_date(_year_first(value, order), timezone) for value in distinct])
    parsed = stamps.as_unit("ns").to_numpy()
    out = np.full(len(values), np.datetime64("NaT"), dtype="datetime64[ns]")
    out[positions >= 0] = parsed[positions[positions >= 0]]
    blank = _is_blank(values) if not pd.api.types.is_datetime64_any_dtype(values.dtype) else None
    bad = np.isnat(out) & (positions >= 0) & (True if blank is None else ~blank)
    if bad.any():
        raise ValueError(
            f"{source}: column {column!r} has values that are not dates with the year in four digits: "
            f"{first_rows(values, bad)}. Write them as YYYY-MM-DD, or name their form in the catalog entry of a CSV "
            'file, such as load_args: {date_format: "%d/%m/%y"}'
        )
    return pd.Series(out, index=values.index, name="date")


def year_last_order(values: Iterable[object]) -> str:
    """Return which order dates with the year last have: `day` or `month` first, `either`, `neither`; "" without such.

    Args:
        values: Stamps as the source has them.
    """
    found = [match for value in values if isinstance(value, str) and (match := _YEAR_LAST.fullmatch(_plain(value)))]
    if not found:
        return ""
    day = all(int(match[3]) <= len(_MONTHS) for match in found)
    month = all(int(match[1]) <= len(_MONTHS) for match in found)
    return "either" if day and month else "day" if day else "month" if month else "neither"


def _refuse_order(values: pd.Series, order: str, source: str, column: str) -> None:
    late = values.map(lambda value: _YEAR_LAST.fullmatch(_plain(str(value))) is not None).to_numpy(dtype=bool)
    what = "may be day or month first" if order == "either" else "are neither all day first nor all month first"
    raise ValueError(
        f"{source}: column {column!r} has dates that {what}: {first_rows(values, late)}. Say which in the catalog "
        "entry of a CSV file, load_args: {dayfirst: true} or {dayfirst: false}, or write them as YYYY-MM-DD."
    )


def _year_first(value: object, order: str) -> object:
    """Return a date in text with its year first, any other value as it is."""
    if not isinstance(value, str):
        return value
    text = _plain(value)
    last = _YEAR_LAST.fullmatch(text)
    if last:
        day, month = (last[1], last[3]) if order == "day" else (last[3], last[1])
        return f"{last[4]}-{month}-{day}{last[5]}"
    era = _ERA.fullmatch(text)
    if era:
        year = _ERA_BEFORE_FIRST[era[1]] + (1 if era[2] == "元" else int(era[2]))
        return f"{year}-{era[3]}-{era[4]}"
    named = _MONTH_NAMED.fullmatch(text)
    if named and named["month"][:3].lower() in _MONTHS and bool(named["first"]) != bool(named["second"]):
        return f"{named['year']}-{_MONTHS.index(named['month'][:3].lower()) + 1}-{named['first'] or named['second']}"
    return value


def _plain(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip()


def parse_codes(values: pd.Series, *, source: str, code_style: CodeStyle = "auto") -> pd.Series:
    """Return issue codes as text, missing where absent.

    Whole numbers become their digits (7203.0 and '7203.0' are '7203'); NA, NAN, NULL, TRUE and 1E5 are
    codes, and so are leading zeros. Tokyo codes get the five characters of J-Quants: `.T`, `.JP`,
    ` JP Equity`, `TYO:` and the like are cut off and a four-character code gets the '0' of the ordinary share
    ('7203', 7203, '7203.T' and '72030' are '72030'; '130A' is '130A0').

    Args:
        values: Codes as text or numbers.
        source: File or table name for messages.
        code_style: `auto` treats the codes as Tokyo codes only when every one of them looks like
            one (first character 1-9, digits third, letters or digits second and fourth), so
            foreign tickers ('AAPL', '00700', '005930') stay as they are; `tse` insists; `as_is`
            only makes text.

    Raises:
        ValueError: `code_style` is unknown, or is `tse` and a code is not a Tokyo code.
    """
    if code_style not in ("auto", "tse", "as_is"):
        raise ValueError(f"code_style is {code_style!r}; write 'auto', 'tse' or 'as_is'.")
    positions, distinct = pd.factorize(values)
    texts = [_code_text(value) for value in distinct]
    matches = [_TSE_CODE.fullmatch(text.upper()) for text in texts]
    known = [text != "" for text in texts]
    foreign = [t for t, m, k in zip(texts, matches, known, strict=True) if k and m is None]
    if code_style == "tse" and foreign:
        raise ValueError(
            f"{source}: column 'code' has {len(foreign)} codes that are not Tokyo codes, for "
            f"example {foreign[:5]}. Use code_style 'as_is' for other markets."
        )
    if code_style != "as_is" and not foreign:
        texts = [m.group(1) + (m.group(2) or "0") if m else "" for m in matches]
    table = np.array([*texts, ""], dtype=object)  # position -1 is the last one: absent
    table[table == ""] = np.nan
    return pd.Series(table[positions], index=values.index, name="code", dtype="str")


def code_note(values: pd.Series, codes: pd.Series) -> str | None:
    """Return a sentence that shows how codes are written here, None where it is as the source writes them.

    Args:
        values: Codes of the source.
        codes: What `parse_codes` made of them.
    """
    distinct = values.drop_duplicates().dropna()
    texts = parse_codes(distinct, source="", code_style="as_is")
    written = codes.loc[distinct.index]
    differ = (texts.notna() & (texts != written)).to_numpy()
    if not differ.any():
        return None
    theirs, ours = texts[differ].iloc[0], written[differ].iloc[0]
    return f"codes have the five characters of J-Quants: {theirs} is {ours} in every table and page; commands take both"


def parse_numbers(values: pd.Series, *, source: str, scaled: bool = False) -> pd.Series:
    """Return a column as float64, NaN where absent.

    Blank text, dashes of any width, 'NA', 'null' and the like are absent; '1,234.5' is 1234.5, and
    full-width digits are digits. A currency sign or unit is left out ('¥1,234', '1,234円', '500株').

    Args:
        values: Numbers or text.
        source: File or table name for messages.
        scaled: Whether amounts such as 1.2M, 350K or 12万 are numbers, as volumes are written.

    Raises:
        ValueError: A value is no finite number; the first five are shown with their rows.
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.astype("float64")
        bad = np.isinf(numbers.to_numpy())
    else:
        blank = _is_blank(values)
        text = plain_text(values).mask(pd.Series(blank, index=values.index))
        numbers = pd.to_numeric(text, errors="coerce").astype("float64")
        unread = numbers.isna().to_numpy() & ~blank
        if unread.any():
            bare = text.where(unread).str.replace(_CURRENCY, r"\1", regex=True)
            unit = bare.str.extract(_SCALED, expand=True) if scaled else None
            bare = bare if unit is None else unit[0].fillna(bare)
            whole = bare.where(bare.str.fullmatch(_THOUSANDS)).str.replace(",", "", regex=False)
            clean = pd.to_numeric(whole.fillna(bare), errors="coerce").astype("float64")
            scale = 1.0 if unit is None else unit[1].str.lower().map(_SCALES).astype("float64").fillna(1.0)
            numbers = numbers.fillna(clean * scale)
        bad = (numbers.isna().to_numpy() & ~blank) | np.isinf(numbers.to_numpy())
    if bad.any():
        raise ValueError(
            f"{source}: column {values.name!r} has {int(bad.sum())} values that are not numbers: "
            f"{first_rows(values, bad)}. Clean the file, or map another column."
        )
    return numbers


def parse_flags(values: pd.Series, *, source: str) -> pd.Series:
    """Return a column of 0/1, "0"/"1" or true/false as bool; absent is False.

    Raises:
        ValueError: A value is none of these; the first five are shown.
    """
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("bool")
    text = values.astype("str").str.strip().str.lower().str.removesuffix(".0")
    true = text.isin(["1", "true"]).to_numpy()
    bad = ~true & ~text.isin(["0", "false"]).to_numpy() & ~_is_blank(values)
    if bad.any():
        raise ValueError(
            f"{source}: column {values.name!r} has values that are neither 0 nor 1: {first_rows(values, bad)}."
        )
    return pd.Series(true, index=values.index, name=values.name)


def parse_limits(values: pd.Series, *, side: str, bars: Mapping[str, pd.Series], source: str) -> tuple[pd.Series, bool]:
    """Return whether each session touched its limit, and whether the column holds limit prices.

    A column of prices is told from flags by its values: all above 0 and near the close. The flag is
    then where the high reaches the upper limit, or the low the lower one.

    Args:
        values: Flags as for `parse_flags`, or limit prices.
        side: `limit_up` or `limit_down`.
        bars: Parsed high, low and close of the same rows.
        source: File or table name for messages.

    Raises:
        ValueError: Values that are neither flags nor prices; the first five are shown.
    """
    price = pd.to_numeric(plain_text(values).str.replace(",", "", regex=False), errors="coerce").astype("float64")
    close = bars["close"]
    up = side == "limit_up"
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (price / close).where((price > 0) & (close > 0)).dropna()
    stated = price.dropna()
    flags = stated.isin([0.0, 1.0])
    if stated.empty or flags.mean() > _FLAGS or ratio.empty or not _beside_close(float(ratio.median()), up):
        return parse_flags(values, source=source), False
    extreme = bars["high"] if up else bars["low"]
    reached = extreme >= price * (1 - 1e-6) if up else extreme <= price * (1 + 1e-6)
    return reached & (price > 0), True


def _beside_close(ratio: float, up: bool) -> bool:
    return 1.0 < ratio < 4.0 if up else 0.0 < ratio < 1.0


def first_rows(values: pd.Series, bad: BoolArray) -> str:
    """Return the first five bad values with their row numbers (0 is the first row of data)."""
    rows = np.flatnonzero(bad)[:5]
    shown = values.iloc[rows].tolist()  # Python values: 105.0, not np.float64(105.0)
    return ", ".join(f"row {row}: {value!r}" for row, value in zip(rows, shown, strict=True))


def plain_text(values: pd.Series) -> pd.Series:
    """Return values as stripped text in which full-width digits, letters and signs are plain ones."""
    positions, distinct = pd.factorize(values)
    plain = [unicodedata.normalize("NFKC", str(value)).strip().replace("\u2212", "-") for value in distinct]
    table = np.array([*plain, np.nan], dtype=object)  # position -1 is the last one: absent
    return pd.Series(table[positions], index=values.index, name=values.name, dtype="str")


def _is_blank(values: pd.Series) -> BoolArray:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return cast(BoolArray, values.isna().to_numpy())
    positions, distinct = pd.factorize(values)
    texts = [unicodedata.normalize("NFKC", str(value)).strip().lower() for value in distinct]
    blank = [text in MISSING_TEXT or _DASHES.fullmatch(text) is not None for text in texts]
    return np.array([*blank, True])[positions]


def _one_date(value: object, timezone: str) -> pd.Timestamp:
    text = f"{value:.0f}" if isinstance(value, float) else unicodedata.normalize("NFKC", str(value)).strip()
    text = _JAPANESE.sub(r"\1-\2-\3", text)
    epoch = _EPOCH.fullmatch(text)
    if epoch and _EPOCH_FROM <= int(epoch[1]) < _EPOCH_TO:
        return pd.Timestamp(int(epoch[1]), unit="s", tz="UTC").tz_convert(timezone).tz_localize(None).normalize()
    parts = _YEAR_FIRST.fullmatch(text)
    if parts is None or (parts.group(2) == "" and len(text) < 8):
        return cast(pd.Timestamp, pd.NaT)
    try:
        if _UTC_OFFSET.fullmatch(text) and _ZERO_OFFSET.fullmatch(text):
            return pd.Timestamp(text).tz_convert(timezone).tz_localize(None).normalize()
        return pd.Timestamp(int(parts.group(1)), int(parts.group(3)), int(parts.group(4)))
    except ValueError:  # no such day, for example 2023-02-29
        return cast(pd.Timestamp, pd.NaT)


def _code_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | np.bool_):
        return str(value).upper()  # the ticker TRUE, which a reader took for a truth value
    text = unicodedata.normalize("NFKC", str(value)).strip()
    text = _SPREADSHEET_TEXT.sub(r"\1", text)
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return whole.group(1)
    return "" if text in ("", "nan", "none", "null", "None", "<NA>") else text
