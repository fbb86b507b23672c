"""Plotly figures of what only the network has: calibrated quantiles, and its graph during training."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.quantiles import CALIBRATION_COLUMNS
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    FALLBACK_COLOUR,
    HORIZON_COLOURS,
    lay_out,
    plain_numbers,
)

MONITORED = {
    "gat/attention_entropy": "Attention entropy / ln(degree)",
    "gat/effective_neighbours": "Effective neighbours",
    "gat/gate_mean": "Mean edge gate",
    "gat/lambda": "Peers' score taken out (λ)",
}
"""Figure of the training history -> title of its panel; `gat/lambda` has a line per horizon."""


def calibration_plot(calibration: pd.DataFrame, split: str = "test") -> go.Figure:
    """Return, per horizon and level, the share of outcomes below the quantile less the level.

    0 is calibrated; bars are 95% intervals over days.

    Args:
        calibration: Table of `quantile_calibration`.
        split: Part of the split.
    """
    check_columns(calibration, CALIBRATION_COLUMNS, "quantile_calibration")
    rows = calibration[calibration["split"] == split]
    figure = go.Figure()
    for horizon, levels in rows.groupby("horizon", sort=False):
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
            marker={"size": 8, "color": HORIZON_COLOURS.get(str(horizon), FALLBACK_COLOUR)},
        )
    figure.add_hline(y=0.0, line={"color": "#888888", "width": 1})
    figure.update_yaxes(tickformat="+.1%").update_xaxes(type="category")
    crossing = rows["crossing"].max()
    note = f"largest mean share of stocks with crossing quantiles: {crossing:.1%}" if len(rows) else "no days"
    title = f"Calibration of quantiles ({split} part)<br><sup>{note}</sup>"
    styled = lay_out(figure, title=title, x="Predicted quantile", y="Share below, less the level")
    return styled.update_layout(scattermode="group", hovermode="closest")


def graph_monitoring(history: pd.DataFrame) -> go.Figure:
    """Return what the graph attention did in training, epoch by epoch, one line per seed.

    Args:
        history: training_history.csv: epoch, seed and the columns `gat/...`; those that a model without
            graph or without peer neutralisation lacks leave their panel empty.
    """
    check_columns(history, ["epoch"], "training_history")
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=list(MONITORED.values()),
        vertical_spacing=0.18,
        horizontal_spacing=0.14,
    )
    seeds = history["seed"] if "seed" in history else pd.Series(0, index=history.index)
    for position, name in enumerate(MONITORED):
        place = {"row": position // 2 + 1, "col": position % 2 + 1}
        curves = {name: BLUE}
        if name == "gat/lambda":
            curves = {f"{name}_{horizon}": colour for horizon, colour in HORIZON_COLOURS.items()}
        for column, colour in curves.items():
            if column not in history:
                continue
            label = column.removeprefix("gat/lambda_")
            for number, seed in enumerate(seeds.unique()):
                epochs = history[seeds == seed]
                figure.add_scatter(
                    x=epochs["epoch"].tolist(),
                    y=plain_numbers(epochs[column], DECIMALS),
                    name=label,
                    legendgroup=label,
                    showlegend=number == 0 and label != column,
                    mode="lines+markers",
                    marker_size=4,
                    line={"color": colour},
                    hovertemplate=f"seed {seed}, epoch %{{x}}: %{{y}}<extra></extra>",
                    **place,
                )
    figure.update_xaxes(title="Epoch", row=2)
    styled = lay_out(
        figure, title="Graph attention during training<br><sup>legend: horizons of λ</sup>", x=None, y=None
    )
    styled.update_yaxes(title=None).update_annotations(font_size=12)
    return styled.update_layout(hovermode="closest", height=520, margin_t=96)
