"""Raw bars of any source become daily bars: parsed, sorted, unique, cleaned and counted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gogooku_kedro.market.adjustment import beyond, factors_from_adj_close, opened_like_split, split_like
from gogooku_kedro.market.bar_columns import (
    AMOUNTS,
    DAILY_BARS,
    EXTRA,
    FLAGS,
    LABELS,
    NUMBERS,
    PRICES,
    UNKNOWN,
    column_map,
    unknown_columns,
)
from gogooku_kedro.market.given_factors import GivenFactors, events_of, events_of_cumulative, is_cumulative
from gogooku_kedro.market.parsing import (
    CodeStyle,
    code_note,
    first_rows,
    parse_codes,
    parse_limits,
    parse_numbers,
)
from gogooku_kedro.market.quality import SPARSE, IssueLog, data_hash, missing_stock_days, thin_sessions
from gogooku_kedro.market.rules import apply_price_rules, drop_duplicates
from gogooku_kedro.market.sessions import drop_untraded_dates, keep_sessions
from gogooku_kedro.market.stamps import clock_minutes, refuse_intraday, session_stamps
from gogooku_kedro.market.universe import labels_as_of, other_products, parse_listed_issues
from gogooku_kedro.market.values import traded_value
from gogooku_kedro.typing import FloatArray

_LEVEL = "adj_level"  # a cumulative adj_factor, until it is turned into events


def standardise_bars(
    raw_bars: pd.DataFrame,
    listed_issues: pd.DataFrame | None = None,
    *,
    timezone: str = "Asia/Tokyo",
    code_style: CodeStyle = "auto",
    calendar: str | None = None,
    max_move: float = 0.5,
    split_like_jumps: bool = True,
    common_stock_only: bool = True,
    extra_columns: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Turn the bars of any source into daily bars and say what was wrong with them.

    Nothing is filled: an impossible value becomes NaN by the rule in `issue_rules.RULES`, and a row
    without prices stays, because the issue was listed. Row t of the result depends on raw rows up
    to t only, given the format of the source (how it states zones, events and values), which is decided
    once from all of it and told in the notes. Event factors come from adj_factor, else from adj_close,
    else they are 1.0. What was done is logged at INFO.

    Args:
        raw_bars: J-Quants V2 or canonical names; `attrs["source"]` names it in messages.
        listed_issues: J-Quants master (as of each date) for sector and market where the bars have
            none, and for leaving out ETF and REIT; None or empty when there is none.
        timezone: Zone in which a stamp with a UTC offset is a session date; "America/New_York"
            for a US file with UTC stamps.
        code_style: "auto", "tse" or "as_is"; see `parsing.parse_codes`.
        calendar: exchange_calendars name, such as "XTKS"; rows on other dates are dropped.
            None: every date of the source on which somebody trades is a session.
        max_move: Moves beyond it are counted as invalid jumps, a fraction.
        split_like_jumps: Whether moves inside it near a split ratio are counted as invalid jumps too.
        common_stock_only: Leave out what `listed_issues` calls ETF, REIT or other product.
        extra_columns: Further columns of numbers to keep as they are, as `extra_<name>`.

    Returns:
        daily_bars: date, code, open, high, low, close (raw), volume, turnover_value, adj_factor
            (0.5 on the ex-date of a 1:2 split), limit_up, limit_down, sector, market; sorted by
            date and code, unique on them; NaN prices mean that the issue did not trade.
        quality_report: source, rows_in, rows_out, codes, sessions, from, to, data_hash,
            unknown_columns, issues {name: {rows, codes, rule, examples}}, notes, source_state (of price
            files, else None); JSON-able.

    Raises:
        ValueError: A column or value cannot be read, or nothing trades; names file, column, rows.
    """
    source = str(raw_bars.attrs.get("source", "raw_bars"))
    log, notes = IssueLog(), list[str]()
    mapping = column_map([str(name) for name in raw_bars.columns], source=source, extra=extra_columns)
    notes += raw_bars.attrs.get("notes", [])
    bars = _parse(raw_bars, mapping, notes, source=source, timezone=timezone, code_style=code_style)
    bars = _place(bars, log, source=source)
    bars = drop_duplicates(bars, log, source=source)
    if "adj_factor" in bars and _stated_as_level(bars):
        bars = bars.rename(columns={"adj_factor": _LEVEL})
    bars = keep_sessions(bars, log, notes, calendar=calendar)
    known = None
    if listed_issues is not None and len(listed_issues):
        known = parse_listed_issues(listed_issues, timezone=timezone, code_style=code_style)
        bars = _keep_common_stock(bars, known, log) if common_stock_only else bars
    bars = apply_price_rules(bars, log, max_move=max_move, source=source)
    if not bars["close"].notna().any():
        raise ValueError(
            f"{source}: none of the {len(bars)} rows has a price and a volume above 0 (or a high "
            "above its low). Check that 'close' and 'volume' are mapped to the right columns."
        )
    bars = drop_untraded_dates(bars, log, notes, calendar=calendar)
    bars = bars.assign(turnover_value=traded_value(bars, notes, stated="turnover_value" in mapping.values()))
    bars = _with_factors(bars, log, notes, source=source)
    bars = _with_labels(bars, known, log, notes)
    _count_over_time(bars, log, max_move, split_like_jumps)
    daily_bars = bars[[*DAILY_BARS, *(f"{EXTRA}{name}" for name in extra_columns)]]
    not_used = [
        *raw_bars.attrs.get("unknown_columns", []),
        *unknown_columns(raw_bars.columns, mapping),
    ]
    report = _report(daily_bars, source=source, rows_in=len(raw_bars), not_used=not_used, log=log, notes=notes)
    report["source_state"] = raw_bars.attrs.get("source_state")
    daily_bars.attrs["source"] = source
    return daily_bars, report


def _parse(
    raw: pd.DataFrame,
    mapping: dict[str, str],
    notes: list[str],
    *,
    source: str,
    timezone: str,
    code_style: CodeStyle,
) -> pd.DataFrame:
    theirs = {ours: name for name, ours in mapping.items()}
    raw = raw.reset_index(drop=True)
    stamps = session_stamps(raw[theirs["date"]], source=source, timezone=timezone)
    notes += [stamps.note] if stamps.note else []
    codes = parse_codes(raw[theirs["code"]], source=source, code_style=code_style)
    notes += [note] if (note := code_note(raw[theirs["code"]], codes)) else []
    columns: dict[str, Any] = {"date": stamps.dates, "code": codes}
    minute = clock_minutes(raw[theirs["time"]]) if "time" in theirs else stamps.minute
    refuse_intraday(pd.DataFrame(columns), minute, source=source)
    for name in (*NUMBERS, *(name for name in theirs if name.startswith(EXTRA))):
        if name in theirs:
            columns[name] = parse_numbers(raw[theirs[name]], source=source, scaled=name in AMOUNTS)
    columns.setdefault("turnover_value", np.nan)
    for name in FLAGS:
        if name not in theirs:
            columns[name] = False
            continue
        columns[name], price = parse_limits(raw[theirs[name]], side=name, bars=columns, source=source)
        notes += [f"{name}: a price in this source; the flag is where the day's prices reach it"] if price else []
    for name in LABELS:
        if name in theirs:
            label = raw[theirs[name]].astype("str").str.strip()
            columns[name] = label.fillna(UNKNOWN).replace("", UNKNOWN)
    return pd.DataFrame(columns, index=raw.index)


def _place(bars: pd.DataFrame, log: IssueLog, *, source: str) -> pd.DataFrame:
    """Drop empty rows and sort by date, code and file order; a bar without a key is an error."""
    unplaced = (bars["date"].isna() | bars["code"].isna()).to_numpy()
    empty = unplaced & bars[[*PRICES, "volume"]].isna().all(axis=1).to_numpy()
    log.record("empty_row", bars, empty)
    lost = unplaced & ~empty
    if lost.any():
        column = "date" if bars["date"].isna().to_numpy()[lost].any() else "code"
        raise ValueError(
            f"{source}: {int(lost.sum())} rows have prices but no {column}: "
            f"{first_rows(bars['close'].rename('close'), lost)} (close shown). Remove or fix them."
        )
    bars = bars[~empty]
    if bars.empty:
        raise ValueError(f"{source}: no rows. Check the file or the fetched window.")
    issue, _ = pd.factorize(bars["code"], sort=True)
    order = np.lexsort((issue, bars["date"].to_numpy()))
    return bars.iloc[order].reset_index(drop=True)


def _keep_common_stock(bars: pd.DataFrame, known: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    other = other_products(bars, known)
    log.record("not_common_stock", bars, other)
    return bars[~other].reset_index(drop=True)


def _by_issue(bars: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row order by issue and date, and the issue number of each row in that order."""
    issue, _ = pd.factorize(bars["code"], sort=True)
    order = np.lexsort((bars["date"].to_numpy(), issue))
    return order, issue[order]


def _stated_as_level(bars: pd.DataFrame) -> bool:
    order, issue = _by_issue(bars)
    return is_cumulative(issue, bars["adj_factor"].to_numpy()[order])


def _with_factors(bars: pd.DataFrame, log: IssueLog, notes: list[str], *, source: str) -> pd.DataFrame:
    order, issue = _by_issue(bars)
    back = np.argsort(order)
    close = bars["close"].to_numpy()[order]
    if _LEVEL in bars or "adj_factor" in bars:
        return _with_given_factors(bars, log, notes, source=source)
    if "adj_close" not in bars:
        notes.append(
            "adj_factor: 1.0 throughout; the source has neither adj_factor nor adj_close, and a split smaller than "
            "3:2 cannot be told from a return"
        )
        return bars.assign(adj_factor=1.0)
    derived = factors_from_adj_close(issue, close, bars["adj_close"].to_numpy()[order])
    bars = bars.assign(adj_factor=derived.factor[back])
    log.record("adj_factor_unsnapped", bars, derived.unsnapped[back])
    log.record("adj_factor_contradicted", bars, derived.contradicted[back])
    log.record("adj_factor_ignored", bars, derived.ignored[back])
    events = int((derived.factor != 1).sum())
    notes.append(f"adj_factor: {events} events derived from steps of adj_close / close")
    return bars


_CONVENTIONS = {
    "ex_date": "as the source gives it",
    "row_before": "the source states events on the row before the ex-date; each is moved to the issue's next row",
    "inverse": "the source states new shares per old one; the inverse is taken",
    "inverse_row_before": "the source states new shares per old one on the row before the ex-date; inverted and moved",
    "cumulative": "cumulative in this source; its steps become events, those of cash dividends are left out",
    "adjusted_already": "cumulative in this source, whose prices do not move at its steps: they are adjusted already",
}


def _with_given_factors(bars: pd.DataFrame, log: IssueLog, notes: list[str], *, source: str) -> pd.DataFrame:
    order, issue = _by_issue(bars)
    back = np.argsort(order)
    close = bars["close"].to_numpy()[order]
    cumulative = _LEVEL in bars
    stated = bars[_LEVEL if cumulative else "adj_factor"].to_numpy()
    log.record("adj_factor_not_positive", bars, stated <= 0)
    level = np.where(stated > 0, stated, np.nan if cumulative else 1.0)[order]
    given = events_of_cumulative(issue, close, level) if cumulative else events_of(issue, close, level)
    if not given.fits:
        _refuse_factors(bars, given, back, source)
    if given.convention.endswith("row_before"):
        log.record("adj_factor_shifted", bars, given.factor[back] != 1)
    log.record("adj_factor_contradicted", bars, given.contradicted[back])
    log.record("adj_factor_ignored", bars, given.ignored[back])
    events = int((given.factor != 1).sum())
    count = "" if given.convention == "ex_date" else f" ({events} events)"
    notes.append(f"adj_factor: {_CONVENTIONS[given.convention]}{count}")
    return bars.assign(adj_factor=given.factor[back])


def _refuse_factors(bars: pd.DataFrame, given: GivenFactors, back: NDArray[np.intp], source: str) -> None:
    previous = bars.groupby("code")["close"].shift().to_numpy()
    rows = np.flatnonzero(given.contradicted[back])[:5]
    shown = "; ".join(
        f"{bars['date'].iloc[row]:%Y-%m-%d} {bars['code'].iloc[row]} factor {given.stated[back][row]:g}, "
        f"close {previous[row]:g} to {bars['close'].iloc[row]:g}"
        for row in rows
    )
    form = "cumulative adj_factor" if given.convention == "cumulative" else "adj_factor"
    raise ValueError(
        f"{source}: {form} does not fit the prices at {given.misfits:.0%} of its events, neither on their own row nor "
        f"one row later: {shown}. Correct the dates of the events; where the prices are adjusted already, leave the "
        "column out in the catalog entry: columns: {'THEIR_NAME': null}"
    )


def _with_labels(bars: pd.DataFrame, known: pd.DataFrame | None, log: IssueLog, notes: list[str]) -> pd.DataFrame:
    stated = labels_as_of(bars, known) if known is not None else None
    for name in LABELS:
        if name in bars:
            continue
        bars[name] = UNKNOWN if stated is None else stated[name].to_numpy()
        bars[name] = bars[name].astype("str")
        if (bars[name] == UNKNOWN).all():
            notes.append(f"no {name}: neither a column of the source nor listed_issues has it")
    sectors = bars[bars["sector"] != UNKNOWN].drop_duplicates(["code", "sector"])
    log.record("sector_changed", sectors, sectors.duplicated("code").to_numpy())
    return bars


def _count_over_time(bars: pd.DataFrame, log: IssueLog, max_move: float, split_like_jumps: bool) -> None:
    """Count jumps, missing stock-days and thin sessions."""
    order, issue = _by_issue(bars)
    ratio = np.full(len(bars), np.nan)
    ratio[order] = _price_ratio(issue, bars.iloc[order])
    jump, like_split = beyond(ratio, max_move), split_like(ratio)
    log.record("jump_split_like", bars, jump & like_split)
    log.record("jump_other", bars, jump & ~like_split)
    log.record("jump_near_half", bars, ~jump & like_split & split_like_jumps)
    opened = (bars["open"] / bars["close"]).to_numpy(copy=True)
    opened[beyond(opened, max_move)] = np.nan  # as the panel leaves it out
    log.record(
        "jump_near_part", bars, ~jump & ~like_split & opened_like_split(opened * ratio, ratio) & split_like_jumps
    )
    missing_stock_days(bars, log)
    session, _ = pd.factorize(bars["date"], sort=True)
    traded = bars["close"].notna().to_numpy()
    counts = np.bincount(session[traded], minlength=session.max() + 1)
    log.record("thin_date", bars, thin_sessions(counts)[session])
    log.record("sparse_date", bars, thin_sessions(counts, SPARSE)[session])


def _price_ratio(issue: NDArray[np.intp], bars: pd.DataFrame) -> FloatArray:
    """Adjusted close over the issue's previous adjusted close; rows by issue and date."""
    close = bars["close"].to_numpy()
    event = np.cumsum(np.log(bars["adj_factor"].to_numpy()))  # differences without event are 0
    rows = np.flatnonzero(~np.isnan(close))
    now, before = rows[1:], rows[:-1]
    same = issue[now] == issue[before]
    ratio = np.full(len(close), np.nan)
    now, before = now[same], before[same]
    ratio[now] = close[now] / close[before] / np.exp(event[now] - event[before])
    return ratio


def _report(
    bars: pd.DataFrame,
    *,
    source: str,
    rows_in: int,
    not_used: list[str],
    log: IssueLog,
    notes: list[str],
) -> dict[str, Any]:
    last = bars["date"].iloc[-1]
    codes = int(bars["code"].nunique())
    alive = int(bars.loc[bars["date"] == last, "code"].nunique())
    survival = (
        f"survivorship cannot be checked from bars: {alive} of {codes} codes have a row on the "
        "last session; a source without delisted issues looks ahead"
    )
    return {
        "source": source,
        "rows_in": rows_in,
        "rows_out": len(bars),
        "codes": codes,
        "sessions": int(bars["date"].nunique()),
        "from": f"{bars['date'].iloc[0]:%Y-%m-%d}",
        "to": f"{last:%Y-%m-%d}",
        "data_hash": data_hash(bars),
        "unknown_columns": not_used,
        "issues": log.as_dict(),
        "notes": [*notes, survival],
    }
