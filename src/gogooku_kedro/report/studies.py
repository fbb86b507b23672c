"""What the pipelines beside the default one leave for the report: one file each, results and figures together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.report.results import RunFacts, parse


@dataclass(frozen=True)
class Study:
    """What one pipeline found.

    Attributes:
        run: Of which run it is.
        results: Its numbers, as the file of its own has them.
        figures: In the order of the page.
        table: Its rows, None without a table.
    """

    run: RunFacts
    results: Mapping[str, Any]
    figures: Sequence[go.Figure] = field(default_factory=tuple)
    table: pd.DataFrame | None = None


def stored_study(
    results: Mapping[str, Any], figures: Sequence[go.Figure], table: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Return what a pipeline found as JSON takes it.

    Args:
        results: Its numbers; `run` says of which run they are.
        figures: In the order of the page.
        table: A table behind them; missing cells become None.
    """
    rows = None if table is None else table.astype(object).where(table.notna(), None).to_dict("records")
    drawn = [json.loads(figure.to_json()) for figure in figures]
    return {"results": dict(results), "figures": drawn, "table": rows}


def read_study(stored: Mapping[str, Any] | None) -> Study | None:
    """Return what `stored_study` wrote; None for a pipeline that was not run."""
    if stored is None:
        return None
    results, table = stored["results"], stored["table"]
    return Study(
        run=parse(RunFacts, results.get("run", {})),
        results=results,
        figures=[go.Figure(figure) for figure in stored["figures"]],
        table=None if table is None else pd.DataFrame(table),
    )
