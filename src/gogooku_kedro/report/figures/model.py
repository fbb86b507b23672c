"""Plotly figures of what only the network has: calibrated quantiles, its training, and its graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.columns import sorted_horizons
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.quantiles import CALIBRATION_COLUMNS
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    FALLBACK_COLOUR,
    HORIZON_COLOURS,
    horizon_colour,
    lay_out,
    plain_numbers,
)

MONITORED = {
    "gat/attention_entropy": "Attention entropy / ln(degree)",
    "gat/effective_neighbours": "Effective neighbours",
    "gat/gate_mean": "Mean edge gate",
    "gat/lambda": "Neighbours' score taken out (λ)",
}
"""Figure of the training history -> title of its panel; `gat/lambda` has a line per horizon."""


def calibration_plot(calibration: pd.DataFrame, split: str = "test") -> go.Figure:
    """Return, per horizon and level, the share of outcomes below the quantile less the level.

    0 is calibrated; bars are 95% intervals over sessions.

    Args:
        calibration: Table of `quantile_calibration`.
        split: Part of the split.
    """
    check_columns(calibration, CALIBRATION_COLUMNS, "quantile_calibration")
    rows = calibration[calibration["split"] == split]
    figure = go.Figure()
    for horizon in sorted_horizons(rows["horizon"]):
        levels = rows[rows["horizon"] == horizon]
        share, level = levels["share_below"], levels["level"]
        figure.add_scatter(
            x=[f"{value:.0%}" for value in level],
            y=plain_numbers(share - level, DECIMALS),
            error_y={
                "type": "data",
                "array": plain_numbers(levels["high"] - share, DECIMALS),
                "arrayminus": plain_numbers(share - levels["low"], DECIMALS),
                "thickness": 1.2,
                "width": 3,
            },
            mode="markers",
            name=str(horizon),
            marker={"size": 8, "color": horizon_colour(str(horizon))},
        )
    figure.add_hline(y=0.0, line={"color": "#888888", "width": 1})
    figure.update_yaxes(tickformat="+.1%").update_xaxes(type="category")
    crossing = rows["crossing"].max()
    note = f"largest mean share of stocks with crossing quantiles: {crossing:.1%}" if len(rows) else "no sessions"
    title = f"Calibration of quantiles ({split} part)<br><sup>{note}</sup>"
    styled = lay_out(figure, title=title, x="Predicted quantile", y="Share below, less the level")
    return styled.update_layout(scattermode="group", hovermode="closest")


def graph_monitoring(history: pd.DataFrame) -> go.Figure:
    """Return what the graph attention did in training, epoch by epoch, one line per seed.

    Args:
        history: training_history.csv: epoch, seed and the columns `gat/...`; those that a model without
            graph or without neutralisation of the score lacks leave their panel empty.
    """
    check_columns(history, ["epoch"], "training_history")
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=list(MONITORED.values()), vertical_spacing=0.18, horizontal_spacing=0.14
    )
    for position, name in enumerate(MONITORED):
        curves = {name: BLUE}
        if name == "gat/lambda":
            curves = {f"{name}_{horizon}": colour for horizon, colour in HORIZON_COLOURS.items()}
        for column in [column for column in curves if column in history]:
            label = column.removeprefix("gat/lambda_")
            style: dict[str, Any] = {"line": {"color": curves[column]}, "marker_size": 4}
            place = {"row": position // 2 + 1, "col": position % 2 + 1}
            for number, (seed, epochs) in enumerate(_seeds(history)):
                style["hovertemplate"] = f"seed {seed}, epoch %{{x}}: %{{y}}<extra></extra>"
                _add_epochs(figure, epochs, column, label, legend=number == 0 and label != column, **style, **place)
    figure.update_xaxes(title="Epoch", row=2)
    styled = lay_out(
        figure, title="Graph attention during training<br><sup>legend: horizons of λ</sup>", x=None, y=None
    )
    styled.update_yaxes(title=None).update_annotations(font_size=12)
    return styled.update_layout(hovermode="closest", height=520, margin_t=96)


def loss_curves(history: pd.DataFrame) -> go.Figure:
    """Return training loss and validation rank IC per epoch, one above the other.

    Args:
        history: epoch, train/loss, and any valid/rank_ic_<h>d columns; NaN = not measured. With a column
            seed, every model has its own line and models share colour and legend.
    """
    check_columns(history, ["epoch", "train/loss"], "history")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    losses = [name for name in ("train/loss", "valid/loss") if name in history]
    styles = {
        name: (name, 1, {"color": FALLBACK_COLOUR, "dash": dash})
        for name, dash in zip(losses, ("solid", "dash"), strict=False)
    }
    for horizon, colour in HORIZON_COLOURS.items():
        if (name := f"valid/rank_ic_{horizon}") in history:
            styles[name] = (f"rank IC {horizon}", 2, {"color": colour})
    for number, (_, epochs) in enumerate(_seeds(history)):
        for name, (label, row, line) in styles.items():
            place = {"row": row, "col": 1}
            _add_epochs(figure, epochs, name, label, legend=number == 0, line=line, marker_size=5, **place)
    figure.update_yaxes(title="Validation rank IC", row=2, col=1)
    figure.update_xaxes(title="Epoch", row=2, col=1)
    styled = lay_out(figure, title="Training loss and validation rank IC", x=None, y=None)
    return styled.update_yaxes(title="Loss", row=1, col=1)


def degree_histogram(graph_edges: pd.DataFrame) -> go.Figure:
    """Return the distribution of the number of neighbours per stock, all as-of dates together.

    Args:
        graph_edges: asof, source, target, is_self. A stock whose only edge is its self loop has
            no neighbours and is counted at 0.
    """
    check_columns(graph_edges, ["asof", "target", "is_self"], "graph_edges")
    neighbours = (graph_edges["is_self"] == 0).groupby([graph_edges["asof"], graph_edges["target"]])
    degree = neighbours.sum().to_numpy(np.int64)
    counts = np.bincount(degree) if len(degree) else np.zeros(1)
    share = np.round(counts / max(1, len(degree)), DECIMALS)
    figure = go.Figure(go.Bar(x=np.arange(len(share)).tolist(), y=share.tolist(), name="stocks"))
    figure.update_traces(marker_color=BLUE)
    figure.update_yaxes(tickformat=".0%")
    asofs, mean = graph_edges["asof"].nunique(), degree.mean() if len(degree) else 0.0
    return lay_out(
        figure,
        title=f"Neighbours per stock<br><sup>mean {mean:.1f}, {asofs} as-of dates</sup>",
        x="Incoming edges without the self loop",
        y="Share of stocks",
    )


def _seeds(history: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    if "seed" not in history:
        return [(0, history)]
    return [(seed, history[history["seed"] == seed]) for seed in history["seed"].unique()]


def _add_epochs(
    figure: go.Figure, epochs: pd.DataFrame, column: str, label: str, *, legend: bool, **style: Any
) -> None:
    figure.add_scatter(
        x=epochs["epoch"].tolist(),
        y=plain_numbers(epochs[column], DECIMALS),
        name=label,
        legendgroup=label,
        showlegend=legend,
        mode="lines+markers",
        **style,
    )
