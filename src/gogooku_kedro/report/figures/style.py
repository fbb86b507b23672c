"""What the figures of an evaluation have in common: colours, order of the models, lines, layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.report.names import first_shown

COLOURS = {
    "model": "#0072B2",
    "model_neutral": "#56B4E9",
    "model_pca_neutral": "#0B3C5D",
    "model_sector_neutral": "#7FA6C9",
    "lightgbm": "#D55E00",
    "lightgbm_own": "#F2A65A",
    "lightgbm_peers": "#8A3A00",
    "lstm": "#882255",
    "ridge": "#E69F00",
    "reversal_1d": "#009E73",
    "reversal_5d": "#CC79A7",
    "momentum_20d": "#8C6D31",
    "random": "#7F7F7F",
    "oracle": "#000000",
    "oracle_without_graph": "#5A5A5A",
}
"""Colours of Okabe and Ito (2008), told apart under the common colour-vision deficiencies."""

DASHES = {
    "model_neutral": "dash",
    "model_pca_neutral": "dash",
    "model_sector_neutral": "dash",
    "reversal_1d": "dash",
    "reversal_5d": "dash",
    "momentum_20d": "dash",
    "random": "dot",
    "oracle": "dashdot",
    "oracle_without_graph": "dashdot",
}
DECIMALS = 5
FALLBACK_COLOUR = "#444444"
HORIZON_COLOURS = {
    "1d": COLOURS["ridge"],
    "5d": COLOURS["model"],
    "10d": COLOURS["reversal_1d"],
    "20d": COLOURS["lightgbm"],
}


def model_order(models: Sequence[str]) -> list[str]:
    """Return the models in reading order: the model, learned baselines, rules, chance, others."""
    known = [name for name in COLOURS if name in models]
    return known + sorted(set(models) - set(known))


def add_model_line(figure: go.Figure, model: str, dates: pd.Series[pd.Timestamp], values: pd.Series[float]) -> None:
    """Add the line of a model over dates, in its colour; those not shown at first wait in the legend."""
    figure.add_scatter(
        x=dates.dt.strftime("%Y-%m-%d").tolist(),
        y=plain_numbers(values, DECIMALS),
        name=model,
        visible=first_shown(model),
        mode="lines",
        line={
            "color": COLOURS.get(model, FALLBACK_COLOUR),
            "width": 3 if model == "model" else 1.6,
            "dash": DASHES.get(model, "solid"),
        },
    )


def plain_numbers(values: pd.Series[float], decimals: int) -> list[float | None]:
    """Return rounded plain numbers (a preview cannot read binary arrays), NaN and infinity as null."""
    rounded = values.astype(float).round(decimals)
    return [value if np.isfinite(value) else None for value in rounded.tolist()]


def lay_out(figure: go.Figure, *, title: str, x: str | None, y: str | None) -> go.Figure:
    """Return the figure with the layout of the report, its title and the titles of its axes."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0.02, "xref": "container"},
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0.0,
            "yanchor": "bottom",
            "x": 0.0,
            "entrywidth": 98,
            "font": {"size": 12},
        },
        margin={"l": 64, "r": 16, "t": 72, "b": 64},
        height=470,
        hovermode="x unified" if figure.data and figure.data[0].type == "scatter" else "closest",
    )
    if x is not None:
        figure.update_xaxes(title=x)
    if y is not None:
        figure.layout.yaxis.title = y
    return figure
