"""Weekly trading by type of investor (J-Quants `equities/investor-types`) as daily series."""

import numpy as np
import pandas as pd

from gogooku_kedro.market.asof import ABSENT, KnownRows, SessionAxis, figure, highest_so_far
from gogooku_kedro.market.event_tables import EventTable
from gogooku_kedro.typing import FloatArray, IntArray

CLASSES = {
    "proprietary": "Prop",
    "individual": "Ind",
    "foreign": "Frgn",
    "securities": "SecCo",
    "investment_trust": "InvTr",
    "business": "BusCo",
    "other_corporation": "OthCo",
    "insurance": "InsCo",
    "bank": "Bank",
    "trust_bank": "TrstBnk",
    "other_financial": "OthFin",
}
"""The classes that add up to the whole market, and their prefix in the table."""

FOLLOWED = ("foreign", "individual", "trust_bank", "investment_trust", "business", "proprietary")
REQUIRED = (
    *("PubDate", "EnDate", "Section"),
    *(f"{prefix}{side}" for prefix in CLASSES.values() for side in ("Tot", "Bal")),
)
LARGE = ("TSE1st", "TSEPrime")
"""Section of the large companies before and after 2022-04-04."""

MAX_AGE = 15
"""Sessions after which a week's figures count as unknown."""


def investor_flow_series(investor_flows: pd.DataFrame, axis: SessionAxis) -> dict[str, FloatArray]:
    """Return what was known on each session about the latest published week.

    A week is usable from the next session after its PubDate; of several publications of a week the
    last one then known counts. Sections are added up, the union TokyoNagoya left out.

    Args:
        investor_flows: J-Quants V2 investor-types rows, thousand yen.
        axis: Sessions of the panel.

    Returns:
        `(date,)` float64 by name, NaN before the first publication and where the latest one is more
        than 15 sessions old: flow_{class}_balance (buying minus selling) and flow_{class}_turnover
        (buying plus selling) for the followed classes, flow_total_turnover, flow_imbalance (sum of
        |balance| over all classes), flow_breadth (share of the classes that buy more than they
        sell), flow_{large,small}_foreign_{balance,turnover} (1st Section or Prime; the others),
        flow_sessions_since (0 on the first session that can use the week).

    Raises:
        ValueError: A column is missing or cannot be read.
    """
    table = EventTable(investor_flows, "investor_flows", REQUIRED)
    weeks = _Weeks(table, axis)
    totals = {name: weeks.total(name) for name in weeks.columns}
    balances = np.stack([totals[f"{name}_balance"] for name in CLASSES])
    turnovers = np.stack([totals[f"{name}_turnover"] for name in CLASSES])
    series = {f"flow_{name}_{part}": totals[f"{name}_{part}"] for name in FOLLOWED for part in ("balance", "turnover")}
    series["flow_total_turnover"] = turnovers.sum(axis=0)
    series["flow_imbalance"] = np.abs(balances).sum(axis=0)
    series["flow_breadth"] = np.where(np.isnan(balances).any(axis=0), np.nan, (balances > 0).mean(axis=0))
    for part in ("balance", "turnover"):
        large = weeks.total(f"foreign_{part}", only=LARGE)
        series[f"flow_large_foreign_{part}"] = large
        series[f"flow_small_foreign_{part}"] = totals[f"foreign_{part}"] - large
    series["flow_sessions_since"] = weeks.age
    fresh = weeks.age <= MAX_AGE
    return {name: np.where(fresh, values, np.nan) for name, values in series.items()}


class _Weeks:
    """Rows in the order of their publication, and the latest week known on each session."""

    def __init__(self, table: EventTable, axis: SessionAxis) -> None:
        published, end, section = table.days("PubDate"), table.days("EnDate"), table.text("Section")
        used = published.notna() & end.notna() & section.str.startswith("TSE")
        order = np.flatnonzero(used)[np.argsort(published[used].to_numpy(), kind="stable")]
        self._section = section.to_numpy(dtype=object)[order]
        self._end = end.to_numpy().astype("datetime64[D]").astype(np.int64)[order]
        self.columns = {
            f"{name}_{part}": table.numbers(f"{prefix}{suffix}").to_numpy(dtype=np.float64)[order]
            for name, prefix in CLASSES.items()
            for part, suffix in (("balance", "Bal"), ("turnover", "Tot"))
        }
        available = axis.next_session(published.iloc[order])
        self._bound = np.searchsorted(available, np.arange(len(axis)), side="right").astype(np.int64) - 1
        latest = highest_so_far(self._end, np.zeros(len(order), dtype=np.int64))
        self._week = self._as_of(latest)
        first = KnownRows(np.zeros(len(order), dtype=np.int64), self._end)
        since = first.first(np.zeros(len(axis), dtype=np.int64), self._week, self._bound)
        self.age = np.arange(len(axis)) - figure(available.astype(np.float64), since)

    def total(self, name: str, only: tuple[str, ...] = ()) -> FloatArray:
        """Sum over the sections of the latest week; NaN where none of them states it."""
        sections = [s for s in np.unique(self._section) if not only or s in only]
        parts = [self._of_section(name, section) for section in sections]
        if not parts:
            return np.full(len(self._bound), np.nan)
        known = np.stack(parts)
        return np.where(np.isnan(known).all(axis=0), np.nan, np.nansum(known, axis=0))

    def _of_section(self, name: str, section: str) -> FloatArray:
        rows = np.flatnonzero(self._section == section)
        known = KnownRows(np.zeros(len(rows), dtype=np.int64), self._end[rows], rows)
        entry = known.last(np.zeros(len(self._bound), dtype=np.int64), self._week, self._bound)
        return figure(self.columns[name][rows], entry)

    def _as_of(self, latest: IntArray) -> IntArray:
        if len(latest) == 0:
            return np.full(len(self._bound), ABSENT, dtype=np.int64)
        return np.where(self._bound >= 0, latest[np.maximum(self._bound, 0)], ABSENT)
