"""Raw bars of any source become daily bars: parsed, sorted, unique, cleaned and counted."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gogooku_kedro.market.adjustment import beyond, factors_from_adj_close, split_like
from gogooku_kedro.market.bar_columns import (
    DAILY_BARS,
    FLAGS,
    LABELS,
    NUMBERS,
    PRICES,
    UNKNOWN,
    column_map,
    unknown_columns,
)
from gogooku_kedro.market.parsing import CodeStyle, first_rows, parse_codes, parse_dates, parse_flags, parse_numbers
from gogooku_kedro.market.quality import SPARSE, IssueLog, data_hash, missing_stock_days, thin_sessions
from gogooku_kedro.market.rules import apply_price_rules, drop_duplicates
from gogooku_kedro.market.sessions import keep_sessions
from gogooku_kedro.market.universe import labels_as_of, other_products, parse_listed_issues
from gogooku_kedro.typing import FloatArray


def standardise_bars(
    raw_bars: pd.DataFrame,
    listed_issues: pd.DataFrame | None = None,
    *,
    timezone: str = "Asia/Tokyo",
    code_style: CodeStyle = "auto",
    calendar: str | None = None,
    max_move: float = 0.5,
    common_stock_only: bool = True,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Turn the bars of any source into daily bars and say what was wrong with them.

    Nothing is filled: an impossible value becomes NaN by the rule in `quality.RULES`, and a row
    without prices stays, because the issue was listed. Row t of the result depends on raw rows up
    to t only. Event factors come from adj_factor, else from adj_close, else they are 1.0.

    Args:
        raw_bars: J-Quants V2 or canonical names; `attrs["source"]` names it in messages.
        listed_issues: J-Quants master (as of each date) for sector and market where the bars have
            none, and for leaving out ETF and REIT; None or empty when there is none.
        timezone: Zone in which a stamp with a UTC offset is a session date; "America/New_York"
            for a US file with UTC stamps.
        code_style: "auto", "tse" or "as_is"; see `parsing.parse_codes`.
        calendar: exchange_calendars name, such as "XTKS"; rows on other dates are dropped.
            None: every date of the source is a session.
        max_move: Moves beyond it are counted as invalid jumps, a fraction.
        common_stock_only: Leave out what `listed_issues` calls ETF, REIT or other product.

    Returns:
        daily_bars: date, code, open, high, low, close (raw), volume, turnover_value, adj_factor
            (0.5 on the ex-date of a 1:2 split), limit_up, limit_down, sector, market; sorted by
            date and code, unique on them; NaN prices mean that the issue did not trade.
        quality_report: source, rows_in, rows_out, codes, sessions, from, to, data_hash,
            unknown_columns, issues {name: {rows, codes, rule, examples}}, notes; JSON-able.

    Raises:
        ValueError: A column or value cannot be read, or nothing trades; names file, column, rows.
    """
    source = str(raw_bars.attrs.get("source", "raw_bars"))
    log, notes = IssueLog(), list[str]()
    mapping = column_map([str(name) for name in raw_bars.columns], source=source)
    bars = _parse(raw_bars, mapping, source=source, timezone=timezone, code_style=code_style)
    bars = _place(bars, log, source=source)
    bars = drop_duplicates(bars, log, source=source)
    bars = keep_sessions(bars, log, notes, calendar=calendar)
    known = None
    if listed_issues is not None and len(listed_issues):
        known = parse_listed_issues(listed_issues, timezone=timezone, code_style=code_style)
        bars = _keep_common_stock(bars, known, log) if common_stock_only else bars
    bars = apply_price_rules(bars, log, max_move=max_move)
    if not bars["close"].notna().any():
        raise ValueError(
            f"{source}: none of the {len(bars)} rows has a price and a volume above 0 (or a high "
            "above its low). Check that 'close' and 'volume' are mapped to the right columns."
        )
    if "turnover_value" not in mapping.values():
        # Decided by the column, not by its values: whether later rows hold any must not matter.
        notes.append("turnover_value: close x volume; the source has none")
        bars = bars.assign(turnover_value=bars["close"] * bars["volume"])
    bars = _with_factors(bars, log, notes)
    bars = _with_labels(bars, known, log, notes)
    _count_over_time(bars, log, max_move)
    daily_bars = bars[list(DAILY_BARS)]
    not_used = [
        *raw_bars.attrs.get("unknown_columns", []),
        *unknown_columns(raw_bars.columns, mapping),
    ]
    report = _report(daily_bars, source=source, rows_in=len(raw_bars), not_used=not_used, log=log, notes=notes)
    daily_bars.attrs["source"] = source
    return daily_bars, report


def _parse(
    raw: pd.DataFrame,
    mapping: dict[str, str],
    *,
    source: str,
    timezone: str,
    code_style: CodeStyle,
) -> pd.DataFrame:
    theirs = {ours: name for name, ours in mapping.items()}
    raw = raw.reset_index(drop=True)
    columns: dict[str, Any] = {
        "date": parse_dates(raw[theirs["date"]], source=source, timezone=timezone),
        "code": parse_codes(raw[theirs["code"]], source=source, code_style=code_style),
    }
    for name in NUMBERS:
        if name in theirs:
            columns[name] = parse_numbers(raw[theirs[name]], source=source)
    columns.setdefault("turnover_value", np.nan)
    for name in FLAGS:
        columns[name] = parse_flags(raw[theirs[name]], source=source) if name in theirs else False
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


def _with_factors(bars: pd.DataFrame, log: IssueLog, notes: list[str]) -> pd.DataFrame:
    if "adj_factor" in bars:
        given = bars["adj_factor"].to_numpy()
        log.record("adj_factor_not_positive", bars, given <= 0)
        notes.append("adj_factor: as the source gives it")
        return bars.assign(adj_factor=np.where(given > 0, given, 1.0))
    if "adj_close" not in bars:
        notes.append("adj_factor: 1.0 throughout; the source has neither adj_factor nor adj_close")
        return bars.assign(adj_factor=1.0)
    issue, _ = pd.factorize(bars["code"], sort=True)
    order = np.lexsort((bars["date"].to_numpy(), issue))
    derived = factors_from_adj_close(issue[order], bars["close"].to_numpy()[order], bars["adj_close"].to_numpy()[order])
    back = np.argsort(order)
    bars = bars.assign(adj_factor=derived.factor[back])
    log.record("adj_factor_unsnapped", bars, derived.unsnapped[back])
    log.record("adj_factor_contradicted", bars, derived.contradicted[back])
    log.record("adj_factor_ignored", bars, derived.ignored[back])
    events = int((derived.factor != 1).sum())
    notes.append(f"adj_factor: {events} events derived from steps of adj_close / close")
    return bars


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


def _count_over_time(bars: pd.DataFrame, log: IssueLog, max_move: float) -> None:
    """Count jumps, missing stock-days and thin sessions."""
    issue, _ = pd.factorize(bars["code"], sort=True)
    order = np.lexsort((bars["date"].to_numpy(), issue))
    ratio = np.full(len(bars), np.nan)
    ratio[order] = _price_ratio(issue[order], bars.iloc[order])
    jump, like_split = beyond(ratio, max_move), split_like(ratio)
    log.record("jump_split_like", bars, jump & like_split)
    log.record("jump_other", bars, jump & ~like_split)
    log.record("jump_near_half", bars, ~jump & like_split & (ratio < 1))
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
