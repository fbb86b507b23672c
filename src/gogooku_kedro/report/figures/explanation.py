"""Plotly figures of what a model learned, in the layout of those of the evaluation."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    FALLBACK_COLOUR,
    HORIZON_COLOURS,
    VERMILION,
    lay_out,
    plain_numbers,
)
from gogooku_kedro.typing import FloatArray

MOVES_WITH, MOVES_AGAINST = BLUE, VERMILION
OUTSIDE = "#B8B8B8"
SHOWN_FIRST = "5d"


def largest_sector(pairs: pd.DataFrame) -> str | None:
    """Return the sector with the most connected stocks; None without pairs. Equal ones: the first by name."""
    stocks = pairs.drop_duplicates("target").dropna(subset=["target_sector"])
    counts = stocks["target_sector"].value_counts().sort_index()
    return None if counts.empty else str(counts.idxmax())


def attention_network(pairs: pd.DataFrame, top: int, sector: str | None = None) -> go.Figure:
    """Draw whom the stocks of one sector attend to: the `top` pairs of largest lift.

    The sector's stocks lie on the inner circle, neighbours of other sectors on the outer one. A line is the
    thicker the larger the lift; pairs that were connected on fewer than half of the sessions of the steadiest
    pair are left out.

    Args:
        pairs: Table of `attention_pairs`.
        top: Pairs drawn.
        sector: Sector of the stocks; None takes the largest.
    """
    check_columns(pairs, ["source", "target", "lift", "sign", "days", "target_sector"], "attention_pairs")
    sector = largest_sector(pairs) if sector is None else sector
    steady = pairs[(pairs["target_sector"] == sector) & (2 * pairs["days"] >= pairs["days"].max())]
    drawn = steady.nlargest(top, "lift")
    inner = sorted(drawn["target"].unique())
    outer = _in_order_of_targets(drawn, inner)
    place = _circle(inner, 1.0) | _circle(outer, 1.7)
    figure = go.Figure()
    for row in drawn.itertuples():
        (x0, y0), (x1, y1) = place[str(row.source)], place[str(row.target)]
        figure.add_scatter(
            x=[x0, x1],
            y=[y0, y1],
            mode="lines",
            line={
                "width": round(float(np.clip(2 * float(row.lift), 0.5, 8)), 2),
                "color": MOVES_AGAINST if row.sign < 0 else MOVES_WITH,
            },
            opacity=0.6,
            hoverinfo="skip",
            showlegend=False,
        )
    _add_stocks(figure, inner, place, "stocks of the sector", MOVES_WITH)
    _add_stocks(figure, outer, place, "neighbours of other sectors", OUTSIDE)
    title = f"Whom the model attends to: {sector}" if sector else "Whom the model attends to: no pairs"
    note = f"the {len(drawn)} pairs of largest lift; orange lines move against each other"
    lay_out(figure, title=f"{title}<br><sup>{note}</sup>", x=None, y=None)
    figure.update_xaxes(visible=False).update_yaxes(visible=False, scaleanchor="x")
    return figure.update_layout(hovermode="closest", height=560, legend_entrywidth=200)


def weights_by_month(by_month: pd.DataFrame) -> go.Figure:
    """Draw the ratio of every family's selection weight to its uniform share, month by month.

    Args:
        by_month: Table of `feature_weights_by_month`.
    """
    check_columns(by_month, ["month", "family", "ratio"], "feature_weights_by_month")
    wide = by_month.pivot(index="family", columns="month", values="ratio").astype(float)
    if not wide.empty:
        wide = wide.loc[wide.mean(axis=1).sort_values().index]
    figure = go.Figure(
        go.Heatmap(
            x=wide.columns.tolist(),
            y=wide.index.tolist(),
            z=[plain_numbers(row, 3) for _, row in wide.iterrows()],
            colorscale="RdBu_r",
            zmid=1.0,
            colorbar={"title": "ratio", "thickness": 12},
            hovertemplate="%{y}, %{x}: %{z}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category")
    return lay_out(
        figure,
        title="Variable selection by month<br><sup>weight / uniform share; 1 = no preference</sup>",
        x=None,
        y=None,
    ).update_layout(height=560, margin_l=110)


def importance_bars(importance: pd.DataFrame) -> go.Figure:
    """Draw the drop in rank IC of every family with its 95% interval; a horizon a legend entry.

    Args:
        importance: Table of `family_importance`.
    """
    check_columns(importance, ["family", "horizon", "drop", "low", "high"], "family_importance")
    first = importance[importance["horizon"] == SHOWN_FIRST].sort_values("drop")
    figure = go.Figure()
    for horizon, colour in HORIZON_COLOURS.items():
        rows = importance[importance["horizon"] == horizon].set_index("family").reindex(first["family"])
        figure.add_scatter(
            x=plain_numbers(rows["drop"], DECIMALS),
            y=rows.index.tolist(),
            error_x={
                "type": "data",
                "array": plain_numbers(rows["high"] - rows["drop"], DECIMALS),
                "arrayminus": plain_numbers(rows["drop"] - rows["low"], DECIMALS),
            },
            mode="markers",
            name=horizon,
            marker={"color": colour, "size": 8},
            visible=True if horizon == SHOWN_FIRST else "legendonly",
        )
    figure.add_vline(x=0, line={"color": FALLBACK_COLOUR, "width": 1})
    note = "mean of the sessions with its 95% interval; other horizons by a click in the legend"
    lay_out(figure, title=f"Rank IC lost without a family<br><sup>{note}</sup>", x="Drop in rank IC", y=None)
    return figure.update_layout(hovermode="closest", height=600, margin_l=110)


def _in_order_of_targets(drawn: pd.DataFrame, inner: list[str]) -> list[str]:
    """Sources outside the sector, so that each lies near the stock that attends to it most."""
    outside = drawn[~drawn["source"].isin(inner)].drop_duplicates("source")
    order = outside["target"].map(inner.index)
    return outside.assign(order=order).sort_values(["order", "source"])["source"].tolist()


def _circle(codes: list[str], radius: float) -> dict[str, tuple[float, float]]:
    angle: FloatArray = 2 * np.pi * np.arange(len(codes)) / max(1, len(codes))
    points = np.round(radius * np.column_stack([np.cos(angle), np.sin(angle)]), 3)
    return {code: (float(x), float(y)) for code, (x, y) in zip(codes, points, strict=True)}


def _add_stocks(
    figure: go.Figure, codes: list[str], place: dict[str, tuple[float, float]], name: str, colour: str
) -> None:
    figure.add_scatter(
        x=[place[code][0] for code in codes],
        y=[place[code][1] for code in codes],
        text=codes,
        mode="markers+text",
        textposition="top center",
        textfont={"size": 10},
        name=name,
        marker={"size": 12, "color": colour},
    )
