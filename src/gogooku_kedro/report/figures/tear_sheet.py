"""Plotly figures of one score: its rank IC over time and by sector, and what its decile portfolio holds."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.report.figures.ranking import ROLLING
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    VERMILION,
    lay_out,
    name_dates,
    name_months,
    plain_numbers,
)

SECTORS = 12
"""Sectors with the largest exposure that are drawn; the others are one row."""


def rolling_rank_ic(daily: pd.DataFrame, horizon: str) -> go.Figure:
    """Return the rank IC of every session as bars, and its mean over the last 60 sessions as a line.

    Args:
        daily: Rows of `daily_metrics` of one model, horizon and part.
        horizon: Name of the horizon, for the title.
    """
    days = daily.set_index("date")["rank_ic"].sort_index()
    sessions = min(ROLLING, max(5, len(days) // 4))
    dates = pd.DatetimeIndex(days.index).strftime("%Y-%m-%d").tolist()
    figure = go.Figure()
    figure.add_bar(x=dates, y=plain_numbers(days, DECIMALS), name="session", marker_color="#B8C4D0")
    rolling = days.rolling(sessions, min_periods=sessions // 2).mean()
    figure.add_scatter(
        x=dates, y=plain_numbers(rolling, DECIMALS), name=f"mean of {sessions}", line={"color": BLUE, "width": 3}
    )
    name_dates(figure)
    title = f"Rank IC, {horizon} horizon<br><sup>of every session, and the mean of the last {sessions}</sup>"
    return lay_out(figure, title=title, x="Session", y="Rank IC").update_layout(bargap=0)


def rank_ic_by_sector(contributions: pd.DataFrame, horizon: str) -> go.Figure:
    """Return what every sector adds to the mean rank IC, the largest on top.

    Args:
        contributions: From `sector_contributions`.
        horizon: Name of the horizon, for the title.
    """
    rows = contributions.sort_values("rank_ic")
    figure = go.Figure()
    figure.add_bar(
        x=plain_numbers(rows["rank_ic"], DECIMALS),
        y=rows["sector"].tolist(),
        customdata=plain_numbers(rows["stocks"], 1),
        orientation="h",
        marker_color=[BLUE if value >= 0 else VERMILION for value in rows["rank_ic"]],
        hovertemplate="%{y}: %{x:+.4f}, %{customdata} stocks<extra></extra>",
    )
    title = f"Rank IC by sector, {horizon} horizon<br><sup>the parts add up to the rank IC</sup>"
    styled = lay_out(figure, title=title, x="Part of the rank IC", y=None)
    styled.update_yaxes(automargin=True, tickfont_size=11)
    return styled.update_layout(height=max(300, 130 + 19 * len(rows)), hovermode="closest", showlegend=False)


def sector_exposure_map(exposure: pd.DataFrame) -> go.Figure:
    """Return the monthly mean net weight of the sectors with the largest exposure.

    Args:
        exposure: From `sector_exposure`.
    """
    monthly = exposure.groupby(pd.DatetimeIndex(exposure.index).strftime("%Y-%m")).mean()
    order = monthly.abs().mean().sort_values(ascending=False).index
    shown = monthly[order[:SECTORS]]
    if len(order) > SECTORS:
        shown = shown.assign(**{"all others": monthly[order[SECTORS:]].sum(axis=1)})
    shown = shown[shown.columns[::-1]]
    figure = go.Figure()
    figure.add_heatmap(
        x=shown.index.tolist(),
        y=shown.columns.tolist(),
        z=[plain_numbers(shown[sector], 4) for sector in shown],
        colorscale="RdBu",
        zmid=0.0,
        colorbar={"thickness": 10, "tickformat": "+.0%"},
        hovertemplate="%{y}, %{x}: %{z:+.1%}<extra></extra>",
    )
    note = "net weight of the long-short decile portfolio, monthly mean, of the notional of one leg"
    styled = lay_out(figure, title=f"Exposure to sectors<br><sup>{note}</sup>", x=None, y=None)
    styled.update_yaxes(automargin=True, tickfont_size=11)
    name_months(styled, monthly.index.tolist())
    return styled.update_layout(height=440, hovermode="closest")


def size_exposure_lines(exposure: pd.DataFrame) -> go.Figure:
    """Return the mean size percentile of the long and the short leg.

    Args:
        exposure: From `size_exposure`.
    """
    figure = go.Figure()
    dates = pd.DatetimeIndex(exposure.index).strftime("%Y-%m-%d").tolist()
    for leg, colour in (("long", BLUE), ("short", VERMILION)):
        figure.add_scatter(x=dates, y=plain_numbers(exposure[leg], 4), name=leg, line={"color": colour, "width": 2})
    figure.add_hline(y=0.5, line={"color": "#888888", "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    name_dates(figure)
    note = "mean percentile of the 60-session median traded value; 50% is no exposure"
    return lay_out(figure, title=f"Exposure to size<br><sup>{note}</sup>", x="Session", y="Size percentile")
