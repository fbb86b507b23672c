"""Figure of a walk-forward evaluation: is the rank IC the same in every stretch of the history?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.baselines.table import NETWORK, RIVAL
from gogooku_kedro.labels.split import Split
from gogooku_kedro.report.figures.style import DECIMALS, colour_of

ALL = "all folds"


def rank_ic_by_fold(
    table: Mapping[str, Mapping[str, Mapping[str, Any]]],
    splits: Sequence[Split],
    models: Sequence[str] = (NETWORK, RIVAL, "ridge"),
) -> go.Figure:
    """Return the mean test rank IC of every fold with its 95% interval, one panel per horizon.

    Args:
        table: From `summarise_folds`.
        splits: From `walk_forward_splits`; their test dates name the folds.
        models: Models to draw beside each other; those absent from `table` are left out.
    """
    shown = [model for model in models if model in table]
    horizons = list(table[shown[0]]) if shown else []
    figure = make_subplots(
        rows=max(1, (len(horizons) + 1) // 2),
        cols=2,
        shared_xaxes="all",
        subplot_titles=[f"{name} horizon" for name in horizons],
        vertical_spacing=0.12,
    )
    for position, horizon in enumerate(horizons):
        for model in shown:
            figure.add_trace(
                _points(table[model][horizon], splits, model, legend=position == 0),
                row=position // 2 + 1,
                col=position % 2 + 1,
            )
    figure.add_hline(y=0, line={"color": "#888888", "width": 1})
    figure.update_yaxes(title="Rank IC", col=1)
    return figure.update_layout(
        title={
            "text": "Test rank IC by fold<br><sup>mean of the days, 95% interval</sup>",
            "font": {"size": 15},
            "x": 0.02,
            "xref": "container",
        },
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        legend={"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom", "x": 0.0},
        margin={"l": 64, "r": 16, "t": 96, "b": 96},
        height=620,
        scattermode="group",
    )


def _points(numbers: Mapping[str, Any], splits: Sequence[Split], model: str, *, legend: bool) -> go.Scatter:
    rows = [numbers["folds"].get(str(fold)) for fold in range(1, len(splits) + 1)]
    rows.append(numbers)
    means = [None if row is None else _rounded(row["rank_ic"]) for row in rows]
    halves = [_half_width(row) for row in rows]
    names = [f"{fold}: {split['test'][0][:7]}" for fold, split in enumerate(splits, start=1)]
    return go.Scatter(
        x=[*names, ALL],
        y=means,
        error_y={"type": "data", "array": halves, "thickness": 1.2, "width": 3},
        mode="markers",
        marker={"color": colour_of(model), "size": 8},
        name=model,
        legendgroup=model,
        showlegend=legend,
    )


def _half_width(row: Mapping[str, Any] | None) -> float | None:
    if row is None or None in row["rank_ic_ci"]:
        return None
    low, high = row["rank_ic_ci"]
    return _rounded((high - low) / 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
