"""One page of a morning: the ends of the list, what moved, and of what it was made; opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gogooku_kedro.columns import HORIZONS, horizon_name, score_column
from gogooku_kedro.daily.publication import REASONS
from gogooku_kedro.daily.ranking import change_column, rank_column
from gogooku_kedro.report.formats import html_templates

SHOWN = 20
MOVED = 10


def render_page(ranking: pd.DataFrame, facts: Mapping[str, Any], horizon: int) -> str:
    """Return the HTML page of a ranking.

    Args:
        ranking: As `schemas.Ranking` describes it, in the order of the list.
        facts: What is published beside it.
        horizon: Of the list, in sessions.
    """
    session, name = ranking["date"].iloc[0], horizon_name(horizon)
    rows = _rows(ranking, horizon)
    half = min(SHOWN, len(rows) // 2)
    moved = [row for row in rows if row["change"] is not None and row["change"] != 0]
    before = facts["before"] or "none"
    return (
        html_templates()
        .get_template("ranking.html.j2")
        .render(
            title=f"Ranking after {session:%Y-%m-%d}",
            subtitle=f"{len(ranking):,} stocks in the order of the score {name} ahead",
            facts=[
                ("session", f"{session:%Y-%m-%d (%A)}"),
                ("prices", facts["source"]),
                ("tradable", f"{int(ranking['tradable'].sum()):,} of {len(ranking):,}"),
                ("model", f"{facts['model'][:12]}, {facts['scored_by']}"),
                ("features", f"{facts['n_features']}, manifest {facts['feature_hash'][:12]}"),
                ("ranking before", before),
            ],
            horizons=[horizon_name(h) for h in HORIZONS],
            horizon=name,
            named=any(row["name"] for row in rows),
            top=rows[:half],
            bottom=rows[len(rows) - half :][::-1],
            moved=sorted(moved, key=lambda row: -abs(row["change"]))[:MOVED],
        )
    )


def _rows(ranking: pd.DataFrame, horizon: int) -> list[dict[str, Any]]:
    rows = []
    for row in ranking.to_dict("records"):
        change = row[change_column(horizon)]
        rows.append(
            {
                "rank": row[rank_column(horizon)],
                "change": None if pd.isna(change) else float(change),
                "scores": [row[score_column(h)] for h in HORIZONS],
                "reasons": [row[name] for name in REASONS if row[name]],
                **{name: row[name] for name in ("code", "name", "sector", "tradable")},
            }
        )
    return rows
