"""What the figures of an evaluation have in common: colours, order of the models, lines, layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io import to_html
from plotly.subplots import make_subplots

from gogooku_kedro.baselines import table
from gogooku_kedro.report.names import first_shown

DASHES = {
    "network": "solid",
    "learned": "solid",
    "blend": "longdash",
    "rule": "dash",
    "chance": "dot",
    "oracle": "dashdot",
}
"""Role of a model in the table of models -> its line; neutral versions are dashed."""

BLUE, VERMILION = "#0072B2", "#D55E00"
"""Colours of opposite signs, by Okabe and Ito (2008); blue stands for the network, too."""

DECIMALS = 5
LABELS = 6
"""Months named below a heat map."""

FALLBACK_COLOUR = "#444444"
HORIZON_COLOURS = {"1d": "#7CC4B3", "5d": "#3F9C92", "10d": "#1F6F78", "20d": "#0F3D4C"}
"""One hue that darkens with the horizon; no model has a colour of it."""


def horizon_colour(name: str) -> str:
    """Return the colour of a horizon, the same in every figure; grey for one that is not of the project."""
    return HORIZON_COLOURS.get(name, FALLBACK_COLOUR)


def model_order(models: Sequence[str]) -> list[str]:
    """Return the models in the order of the table of models, the network's neutral versions after it.

    Other neutral versions, and models that are not in the table, follow by name.
    """
    known: list[str] = []
    for model in table.MODELS:
        versions = table.versions_of(model.name).values() if model.role == "network" else ()
        known += [name for name in (model.name, *versions) if name in models]
    return known + sorted(set(models) - set(known))


def colour_of(name: str) -> str:
    """Return the colour of a model or of a neutral version of the network; grey for all others."""
    base, version = table.split_name(name)
    model = table.find(base)
    if model is None or (version is not None and model.role != "network"):
        return FALLBACK_COLOUR
    return model.colour if version is None else table.VERSIONS[version].colour


def dash_of(name: str) -> str:
    """Return the line of a model or of a neutral version."""
    base, version = table.split_name(name)
    model = table.find(base)
    if version is not None:
        return "dash"
    return "solid" if model is None else DASHES[model.role]


def add_model_line(figure: go.Figure, model: str, dates: pd.Series[pd.Timestamp], values: pd.Series[float]) -> None:
    """Add the line of a model over dates, in its colour; those not shown at first wait in the legend."""
    figure.add_scatter(
        x=dates.dt.strftime("%Y-%m-%d").tolist(),
        y=plain_numbers(values, DECIMALS),
        name=model,
        visible=first_shown(model),
        mode="lines",
        line={
            "color": colour_of(model),
            "width": 3 if model == table.NETWORK else 1.6,
            "dash": dash_of(model),
        },
    )


def plain_numbers(values: pd.Series[float], decimals: int) -> list[float | None]:
    """Return rounded plain numbers (a preview cannot read binary arrays), NaN and infinity as null."""
    rounded = values.astype(float).round(decimals)
    return [value if np.isfinite(value) else None for value in rounded.tolist()]


def month_maps(panels: Mapping[str, pd.DataFrame], *, title: str, spec: str) -> go.Figure:
    """Return heat maps over months, one below the other on one scale; white is 0.

    Args:
        panels: Heading -> rows by month ("2024-01"), the last row on top.
        title: Of the figure.
        spec: Format of the numbers.
    """
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        shared_xaxes=True,
        row_heights=[max(1, len(panel)) for panel in panels.values()],
        vertical_spacing=0.12,
        subplot_titles=list(panels),
    )
    for row, panel in enumerate(panels.values(), start=1):
        figure.add_heatmap(
            x=panel.columns.tolist(),
            y=panel.index.tolist(),
            z=[plain_numbers(values, 4) for _, values in panel.iterrows()],
            coloraxis="coloraxis",
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:{spec}}}<extra></extra>",
            row=row,
            col=1,
        )
    styled = lay_out(figure, title=title, x=None, y=None)
    name_months(styled, sorted({month for panel in panels.values() for month in panel.columns}))
    scale = {"colorscale": "RdBu", "cmid": 0.0, "colorbar": {"thickness": 10, "tickformat": spec}}
    return styled.update_layout(
        coloraxis=scale, hovermode="closest", height=520, margin={"l": 104, "r": 8, "t": 88, "b": 40}
    )


def name_dates(figure: go.Figure) -> go.Figure:
    """Name months below an axis of sessions, and days too where a month has several names."""
    day = 24 * 60 * 60 * 1000  # plotly's unit is a millisecond
    stops = [{"dtickrange": [None, 27 * day], "value": "%b %-d\n%Y"}, {"dtickrange": ["M1", None], "value": "%b\n%Y"}]
    return figure.update_xaxes(nticks=6, tickangle=0, tickformatstops=stops)


def name_months(figure: go.Figure, months: Sequence[str]) -> None:
    """Write some of the months ("2022-02") of a category axis below it, in two short lines each."""
    shown = months[:: max(1, -(-len(months) // LABELS))]
    names = [f"{pd.Period(name):%b<br>’%y}" for name in shown]
    figure.update_xaxes(type="category", tickvals=list(shown), ticktext=names, tickangle=0)


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
            "entrywidth": 128,
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


def embedded(figure: go.Figure, name: str) -> Markup:
    """Return the HTML of a figure in a page that has Plotly already; nothing in it is loaded from elsewhere.

    Args:
        figure: The figure.
        name: Of its element in the page.
    """
    config = {"responsive": True, "displayModeBar": False, "plotlyServerURL": ""}
    return Markup(to_html(figure, config=config, include_plotlyjs=False, full_html=False, div_id=name))


def in_page(figure: go.Figure, name: str) -> Markup:
    """As `embedded`, without the title, which is text of the page, and with the legend below; the figure is changed."""
    figure.update_layout(title=None, margin={"l": 64, "r": 16, "t": 24, "b": 72}, height=380)
    figure.update_layout(legend={"y": -0.18, "yref": "paper", "yanchor": "top"})
    figure.update_yaxes(automargin=True)
    return embedded(figure, name)
