"""Which session a stamp of a bar means: its zone, and whether the bars are daily at all."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gogooku_kedro.market.parsing import parse_dates, year_last_order
from gogooku_kedro.typing import IntArray

_SUNDAY_WEEK = (
    *("Asia/Jerusalem", "Asia/Tel_Aviv", "Israel", "Asia/Riyadh", "Asia/Kuwait", "Asia/Qatar", "Asia/Bahrain"),
    *("Asia/Muscat", "Asia/Amman", "Asia/Dhaka", "Asia/Dubai", "Africa/Cairo"),
)
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6
_WEEKEND_SHARE = 0.1  # of the dates: a few special sessions on a Sunday are no shifted calendar
_INTRADAY_SHARE = 0.25  # of the stock-days
_HOUR = 60
_CLOCK = r"[T ](\d{1,2}):(\d{2})"
_HAS_OFFSET = r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True)
class Stamps:
    """Session dates of a source.

    Attributes:
        dates: Local date of every row, datetime64[ns], NaT where absent.
        minute: Minute of the day of every row, 0 where the stamp has no time.
        note: What was inferred about the zone, for the quality report, or None.
    """

    dates: pd.Series
    minute: IntArray
    note: str | None


def session_stamps(values: pd.Series, *, source: str, timezone: str) -> Stamps:
    """Return the session of every stamp, never a day early.

    Dates that fall on Sundays and never on Fridays are a day early, as stamps in UTC of midnight in
    Tokyo are. They are read again, stamps with a time but without an offset as UTC and stamps in UTC
    by their own date, and this reading is taken when it puts them on weekdays. The zone is a property
    of the format: it is decided once for the whole column.

    Args:
        values: Stamps as for `parsing.parse_dates`.
        source: File or table name for messages.
        timezone: IANA name of the market's time zone.

    Raises:
        ValueError: A value is no date, or no reading puts the dates on weekdays.
    """
    dates = parse_dates(values, source=source, timezone=timezone)
    minute = _minutes(values)
    off = _off_by_a_day(dates)
    if not off or timezone in _SUNDAY_WEEK:
        order = year_last_order(values.unique()) if values.dtype in ("object", "str") else ""
        return Stamps(
            dates, minute, f"date: {order} first, then the year last; the column allows no other" if order else None
        )
    other, reading = _second_reading(values, timezone)
    if other is not None and not _off_by_a_day(other):
        note = f"date: {reading}, because read otherwise the dates {off}"
        return Stamps(other, minute, note)
    shown = ", ".join(repr(str(value)) for value in values.head(2))
    raise ValueError(
        f"{source}: column 'date' has dates that {off} ({shown}, ...): they are a day off, as stamps in UTC cut to "
        f"dates are (ingestion.timezone is {timezone}). Write the local date of the session, or stamps with their "
        "offset such as 2024-01-04T00:00:00+09:00; where sessions are held on Sundays, name the zone of that market, "
        "such as ingestion.timezone: Asia/Jerusalem."
    )


def refuse_intraday(bars: pd.DataFrame, minute: IntArray, *, source: str) -> None:
    """Refuse bars of which a stock has several a session.

    Args:
        bars: Parsed bars with date and code.
        minute: Minute of the day of every row.
        source: File or table name for messages.

    Raises:
        ValueError: More than a quarter of the stock-days have bars at several times.
    """
    keyed = bars[["date", "code"]].assign(minute=minute).dropna()
    twice = keyed[keyed.duplicated(["date", "code"], keep=False)].drop_duplicates()
    several = twice[twice.duplicated(["date", "code"], keep=False)].sort_values(["code", "date", "minute"])
    stock_days = len(several.drop_duplicates(["date", "code"]))
    if stock_days <= _INTRADAY_SHARE * len(keyed.drop_duplicates(["date", "code"])):
        return
    step = several["minute"].diff()[several.duplicated(["date", "code"])]
    apart = int(step.median())
    kind = "hourly bars" if apart == _HOUR else f"{apart}-minute bars"
    first = several.iloc[:2]
    shown = " and ".join(f"{m // _HOUR:02d}:{m % _HOUR:02d}" for m in first["minute"])
    raise ValueError(
        f"{source}: these are {kind}, not daily ones: {stock_days} stock-days have several, for example "
        f"{first['code'].iloc[0]} on {first['date'].iloc[0]:%Y-%m-%d} at {shown}. Aggregate them to one row per code "
        "and session (first open, highest high, lowest low, last close, sum of the volume)."
    )


def _off_by_a_day(dates: pd.Series) -> str:
    """Return what is wrong with the weekdays of the dates in words, '' when nothing is."""
    days = pd.DatetimeIndex(dates.dropna().unique()).day_of_week
    share = np.bincount(days, minlength=7) / max(len(days), 1)
    if share[_SUNDAY] > _WEEKEND_SHARE and share[_FRIDAY] == 0:
        return "fall on Sundays and never on Fridays"
    if share[_SATURDAY] > _WEEKEND_SHARE and share[0] == 0:
        return "fall on Saturdays and never on Mondays"
    return ""


def _second_reading(values: pd.Series, timezone: str) -> tuple[pd.Series | None, str]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_localize(None).dt.normalize().astype("datetime64[ns]"), "stamps by the date they show"
    if pd.api.types.is_datetime64_dtype(values.dtype):
        stamps, aware = values, pd.Series(False, index=values.index)
    else:
        text = values.astype("str")
        aware = text.str.contains(_HAS_OFFSET, regex=True, na=False)
        stamps = pd.to_datetime(text.str.replace(r"(?:Z|[+-]\d{2}:?\d{2})$", "", regex=True), errors="coerce")
    if aware.all():
        return stamps.dt.normalize().astype("datetime64[ns]"), "stamps by the date they show"
    if aware.any() or (stamps.dropna() == stamps.dropna().dt.normalize()).all():
        return None, ""
    local = stamps.dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)
    return local.dt.normalize().astype("datetime64[ns]"), f"stamps without an offset read as UTC in {timezone}"


def _minutes(values: pd.Series) -> IntArray:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        stamped: IntArray = (values.dt.hour * _HOUR + values.dt.minute).fillna(0).to_numpy(dtype=np.int64)
        return stamped
    if pd.api.types.is_numeric_dtype(values.dtype):
        return np.zeros(len(values), dtype=np.int64)
    positions, distinct = pd.factorize(values)
    clock = pd.Series([str(value) for value in distinct], dtype="str").str.extract(_CLOCK)
    minute = clock.astype("float64").fillna(0.0)
    table = np.append((minute[0] * _HOUR + minute[1]).to_numpy(dtype=np.int64), 0)
    result: IntArray = table[positions]
    return result


def clock_minutes(values: pd.Series) -> IntArray:
    """Return the minute of the day of a column of times (093000, 09:30, 930), 0 where there is none."""
    digits = values.astype("str").str.replace(r"\.0+$", "", regex=True).str.replace(r"\D", "", regex=True)
    number = pd.to_numeric(digits, errors="coerce").fillna(0).to_numpy(dtype=np.int64)
    number = np.where(digits.str.len().fillna(0).to_numpy() > 4, number // 100, number)
    minute: IntArray = number // 100 * _HOUR + number % 100
    return minute
