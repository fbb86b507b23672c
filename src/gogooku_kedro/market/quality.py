"""What was wrong with the bars of a source, counted and said in words."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro.market.bar_columns import FLAGS, LABELS, PRICES
from gogooku_kedro.market.issue_rules import RULES
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

EXAMPLES = 5
THIN = 0.5  # of the median of the previous sessions: flagged in the panel
SPARSE = 0.9  # of the same median: reported only
MEDIAN_SESSIONS = 20


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
            "rule": RULES[name].done.replace("`", ""),
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
            "close_far_outside",
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
