"""What was wrong with the bars of a source, counted and said in words."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro.market.bar_columns import FLAGS, LABELS, PRICES
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

EXAMPLES = 5
THIN = 0.5  # of the median of the previous sessions: flagged in the panel
SPARSE = 0.9  # of the same median: reported only
MEDIAN_SESSIONS = 20

RULES = {
    "empty_row": "dropped: neither price nor volume, and no date or no code",
    "exact_duplicate": "one kept, the repetitions dropped",
    "repeated_bar": "the last kept: the same prices again, with another volume or label",
    "restated_bar": "the last kept: the same bar in another scale, restated after a split",
    "conflicting_duplicate": "none kept: the stock-day stays as one row without prices",
    "not_a_session": "dropped: the calendar has no session on that date",
    "nobody_traded": "dropped: no issue has a price on that date and no calendar calls it a session",
    "not_common_stock": "dropped: listed_issues says ETF, REIT or other product",
    "no_prices": "did not trade: row kept, prices and volume missing",
    "close_missing": "did not trade: the other prices are dropped",
    "close_not_positive": "did not trade: all prices and the volume are dropped",
    "zero_volume": "did not trade (stale quote), unless high > low; then see next",
    "zero_volume_with_range": "traded: high > low needs trades; prices kept, volume missing",
    "volume_missing": "prices kept, volume missing",
    "negative_volume": "prices kept, volume missing",
    "open_not_positive": "open missing",
    "high_not_positive": "high missing (close only when open, high and low are 0)",
    "low_not_positive": "low missing (close only when open, high and low are 0)",
    "high_below_low": "high and low missing",
    "close_above_high": "high missing: the close is the official price",
    "close_below_low": "low missing: the close is the official price",
    "open_above_high": "open missing",
    "open_below_low": "open missing",
    "far_from_close": "open, high or low more than max_move from the close: missing in the panel",
    "adj_factor_not_positive": "factor 1.0; a move beyond max_move becomes an invalid jump",
    "adj_factor_unsnapped": "factor kept as adj_close has it, though it is no simple ratio",
    "adj_factor_shifted": "moved to the issue's next row: the source states events one row early",
    "adj_factor_contradicted": "factor 1.0: the adjusted price moves more than the raw close does",
    "adj_factor_ignored": "factor 1.0: step of adj_close/close below 5-10% (rounding, dividend)",
    "jump_split_like": "invalid_jump in the panel: a split without a factor (within 3%)",
    "jump_other": "invalid_jump in the panel: move beyond max_move",
    "jump_near_half": "invalid_jump in the panel: a fall just inside max_move, within 3% of a 1:2 split",
    "jump_near_part": "invalid_jump in the panel: open and close both within 3% of a split of 3:2 or 5:3 or an inverse",
    "missing_stock_day": "left missing: no row between the first and last row of the issue",
    "thin_date": "kept and flagged: fewer than 50% of the median of the previous 20 sessions",
    "sparse_date": "kept: fewer than 90% of the median of the previous 20 sessions",
    "sector_changed": "the panel keeps the first known sector of the issue",
}


class IssueLog:
    """Counts of rows and issues (codes) per kind of defect, with up to five examples each.

    Args:
        max_examples: Examples kept per kind.
    """

    def __init__(self, max_examples: int = EXAMPLES) -> None:
        self._max_examples = max_examples
        self._issues: dict[str, dict[str, Any]] = {}

    def record(self, name: str, bars: pd.DataFrame, where: BoolArray) -> None:
        """Count the rows of `bars` in which `where` holds; zero is recorded too.

        Args:
            name: A key of `RULES`.
            bars: Frame with date and code, and the prices as the source has them.
            where: Boolean per row.
        """
        rows = np.flatnonzero(where)
        shown = bars.iloc[rows[: self._max_examples]]
        self._issues[name] = {
            "rows": len(rows),
            "codes": int(bars["code"].iloc[rows].nunique()),
            "rule": RULES[name],
            "examples": [_row_text(row) for row in shown.to_dict("records")],
        }

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return {name: {rows, codes, rule, examples}} in the order of `RULES`."""
        return {name: self._issues[name] for name in RULES if name in self._issues}


def _row_text(row: dict[Any, Any]) -> str:
    fields = [f"{name}={row[name]:g}" for name in (*PRICES, "volume") if name in row]
    date = row["date"]
    day = "no date" if pd.isna(date) else f"{date:%Y-%m-%d}"
    return " ".join([day, str(row["code"]), *fields])


def summary(report: Mapping[str, Any]) -> list[str]:
    """Return the report in a few lines for the terminal: sizes, what was done, what was not used."""
    issues = {name: issue["rows"] for name, issue in report["issues"].items() if issue["rows"]}
    done = {
        "dropped": (
            *("empty_row", "exact_duplicate", "repeated_bar", "restated_bar"),
            *("not_a_session", "nobody_traded", "not_common_stock"),
        ),
        "made missing": (
            "conflicting_duplicate",
            "close_missing",
            "close_not_positive",
            "zero_volume",
            "far_from_close",
        ),
        "events shifted": ("adj_factor_shifted",),
        "invalid jumps": ("jump_split_like", "jump_other", "jump_near_half", "jump_near_part"),
    }
    counts = ", ".join(f"{word} {sum(issues.get(name, 0) for name in names):,}" for word, names in done.items())
    largest = sorted(issues, key=lambda name: -issues[name])[:3]
    lines = [
        f"bars of {report['source']}: {report['rows_in']:,} rows in, {report['rows_out']:,} out, "
        f"{report['codes']:,} codes, {report['sessions']:,} sessions {report['from']} to {report['to']}",
        f"{counts}; more in the quality report (catalog entry quality_report)",
    ]
    lines += [f"{name}: {issues[name]:,} rows, {report['issues'][name]['rule']}" for name in largest]
    shown = [text.split(" open=")[0] for text in _jump_examples(report)]
    lines += [f"invalid jumps, the first: {', '.join(shown)}"] if shown else []
    lines += (
        [f"columns not used: {', '.join(map(str, report['unknown_columns']))}"] if report["unknown_columns"] else []
    )
    return [*lines, *report["notes"]]


def _jump_examples(report: Mapping[str, Any]) -> list[str]:
    names = ("jump_split_like", "jump_near_half", "jump_near_part", "jump_other")
    return [text for name in names for text in report["issues"].get(name, {}).get("examples", [])][:EXAMPLES]


def trailing_median(counts: IntArray) -> FloatArray:
    """Return the median of the previous 20 sessions (fewer at the start), NaN at the first.

    Args:
        counts: Traded issues per session, (date,).
    """
    median = pd.Series(counts).rolling(MEDIAN_SESSIONS, min_periods=1).median().shift(1)
    return median.to_numpy(dtype=np.float64)


def thin_sessions(counts: IntArray, share: float = THIN) -> BoolArray:
    """Return the sessions with fewer traded issues than `share` of the trailing median, (date,)."""
    return counts < share * trailing_median(counts)


def data_hash(bars: pd.DataFrame) -> str:
    """Return the SHA-256 of daily bars: equal for equal content, on every machine.

    Covers every column's name and values; all NaN are one NaN, -0.0 is 0.0. The index is left out.

    Args:
        bars: Daily bars in canonical order.
    """
    digest = hashlib.sha256()
    for name in bars.columns:
        digest.update(f"\x00{name}\x00".encode())
        column = bars[name]
        if name == "date":
            digest.update(column.to_numpy(dtype="datetime64[ns]").astype("<i8").tobytes())
        elif name == "code" or name in LABELS:
            positions, distinct = pd.factorize(column)
            digest.update(positions.astype("<i4").tobytes())
            digest.update("\x00".join(map(str, distinct)).encode())
        elif name in FLAGS:
            digest.update(column.to_numpy(dtype=bool).tobytes())
        else:
            values = column.to_numpy(dtype="<f8", copy=True) + 0.0
            values[np.isnan(values)] = np.nan
            digest.update(values.tobytes())
    return digest.hexdigest()


def missing_stock_days(bars: pd.DataFrame, log: IssueLog) -> None:
    """Record the sessions without a row between the first and last row of each issue.

    Args:
        bars: Daily bars; the sessions are the dates of the frame.
        log: Where to count; an example is the issue with its first missing session.
    """
    session, dates = pd.factorize(bars["date"], sort=True)
    issue, codes = pd.factorize(bars["code"], sort=True)
    order = np.lexsort((session, issue))
    session, issue = session[order], issue[order]
    gap = np.where(issue[1:] == issue[:-1], session[1:] - session[:-1] - 1, 0)
    after = np.repeat(np.arange(len(gap)), gap)
    first = np.concatenate([[0], np.cumsum(gap)[:-1]]) if len(gap) else np.array([], dtype=int)
    missing = pd.DataFrame(
        {
            "date": pd.DatetimeIndex(dates)[session[after] + 1 + np.arange(len(after)) - first[after]],
            "code": np.asarray(codes, dtype=object)[issue[after]],
        }
    )
    log.record("missing_stock_day", missing, np.ones(len(missing), dtype=bool))
