"""Plotly figures of an evaluation, small enough to preview in Kedro-Viz."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.baselines.table import NETWORK, RIVAL
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    FALLBACK_COLOUR,
    add_model_line,
    colour_of,
    lay_out,
    model_order,
    plain_numbers,
)
from gogooku_kedro.report.names import shown_models

TEST_SHADE = "rgba(0, 114, 178, 0.07)"
RESTARTS = "<br><sup>the sum restarts at 0 in the test part</sup>"


def cumulative_rank_ic(daily: pd.DataFrame, horizon: str) -> go.Figure:
    """Return the running sum of daily rank IC per model; the test part is shaded.

    Of the neutral versions only the model's own are there; most curves come by a click in the legend.

    The sum starts again at 0 with the test part, so its last value divided by the test days is
    the test rank IC.

    Args:
        daily: Table of `daily_metrics`.
        horizon: Name of the horizon, e.g. "1d".
    """
    figure = _running_sums(daily, horizon, "rank_ic")
    return lay_out(
        figure,
        title=f"Cumulative rank IC, {horizon} horizon{RESTARTS}",
        x="Session",
        y="Sum of rank IC",
    )


def cumulative_net_return(daily: pd.DataFrame, horizon: str) -> go.Figure:
    """Return the running sum of the long-short portfolio's daily return after costs, per model.

    Arguments and layout as in `cumulative_rank_ic`; returns are shown in percent.
    """
    figure = _running_sums(daily, horizon, "long_short_net")
    figure.update_yaxes(tickformat=".0%")
    return lay_out(
        figure,
        title=f"Long-short portfolio after costs, {horizon} horizon{RESTARTS}",
        x="Session",
        y="Sum of net return",
    )


def decile_returns(profile: pd.DataFrame, models: Sequence[str] = (NETWORK, RIVAL), split: str = "test") -> go.Figure:
    """Return bars of the mean excess return per score decile, one panel per horizon.

    Args:
        profile: Table of `decile_profile`.
        models: Models to draw beside each other; those absent from `profile` are left out.
        split: Part of the split.
    """
    check_columns(profile, ["model", "split", "horizon", "decile", "mean_return"], "profile")
    rows = profile[profile["split"] == split]
    horizons = sorted(rows["horizon"].unique(), key=horizon_sessions)
    titles = [f"{name} horizon" for name in horizons]
    figure = make_subplots(
        rows=max(1, (len(horizons) + 1) // 2),
        cols=2,
        subplot_titles=titles,
        horizontal_spacing=0.18,
        vertical_spacing=0.14,
    )
    for position, horizon in enumerate(horizons):
        for model in models:
            bars = rows[(rows["horizon"] == horizon) & (rows["model"] == model)]
            figure.add_bar(
                x=bars["decile"].tolist(),
                y=plain_numbers(bars["mean_return"], DECIMALS + 2),
                name=model,
                legendgroup=model,
                showlegend=position == 0,
                marker_color=colour_of(model),
                row=position // 2 + 1,
                col=position % 2 + 1,
            )
    figure.update_yaxes(tickformat=".2%", nticks=6)
    figure.update_xaxes(tickvals=[1, 5, 10])
    figure.update_xaxes(title="Score decile", row=max(1, (len(horizons) + 1) // 2))
    figure.update_yaxes(title="Mean excess return", col=1)
    styled = lay_out(
        figure,
        title=f"Return by score decile ({split} part)<br><sup>over the date's mean; 10 = top</sup>",
        x=None,
        y=None,
    )
    return styled.update_layout(height=620, margin_t=96)


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
    palette = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
    curves = [name for name in history.columns if name.startswith("valid/rank_ic_")]
    for number, name in enumerate(curves):
        label = f"rank IC {name.removeprefix('valid/rank_ic_')}"
        styles[name] = (label, 2, {"color": palette[number % len(palette)]})
    seeds = history["seed"] if "seed" in history else pd.Series(0, index=history.index)
    for position, seed in enumerate(seeds.unique()):
        epochs = history[seeds == seed]
        for name, (label, row, line) in styles.items():
            figure.add_scatter(
                x=epochs["epoch"].tolist(),
                y=plain_numbers(epochs[name], DECIMALS),
                name=label,
                legendgroup=label,
                showlegend=position == 0,
                line=line,
                row=row,
                col=1,
            )
    figure.update_traces(mode="lines+markers", marker_size=5)
    figure.update_yaxes(title="Valid rank IC", row=2, col=1)
    figure.update_xaxes(title="Epoch", row=2, col=1)
    styled = lay_out(figure, title="Training loss and rank IC on valid", x=None, y=None)
    return styled.update_yaxes(title="Loss", row=1, col=1)


def degree_histogram(graph_edges: pd.DataFrame) -> go.Figure:
    """Return the distribution of the number of peers per stock, all as-of dates together.

    Args:
        graph_edges: asof, source, target, is_self. A stock whose only edge is its self loop has
            no peers and is counted at 0.
    """
    check_columns(graph_edges, ["asof", "target", "is_self"], "graph_edges")
    peers = (graph_edges["is_self"] == 0).groupby([graph_edges["asof"], graph_edges["target"]])
    degree = peers.sum().to_numpy(np.int64)
    counts = np.bincount(degree) if len(degree) else np.zeros(1)
    share = np.round(counts / max(1, len(degree)), DECIMALS)
    figure = go.Figure(go.Bar(x=np.arange(len(share)).tolist(), y=share.tolist(), name="stocks"))
    figure.update_traces(marker_color=BLUE)
    figure.update_yaxes(tickformat=".0%")
    asofs, mean = graph_edges["asof"].nunique(), degree.mean() if len(degree) else 0.0
    return lay_out(
        figure,
        title=f"Peers per stock<br><sup>mean {mean:.1f}, {asofs} as-of dates</sup>",
        x="Incoming edges without the self loop",
        y="Share of stocks",
    )


def _running_sums(daily: pd.DataFrame, horizon: str, column: str) -> go.Figure:
    check_columns(daily, ["model", "split", "horizon", "date", column], "daily metrics")
    rows = daily[daily["horizon"] == horizon]
    figure = go.Figure()
    for model in shown_models(model_order(list(rows["model"].unique()))):
        days = rows[rows["model"] == model].sort_values("date")
        total = days[column].fillna(0.0).groupby(days["split"]).cumsum()
        starts = days["split"].ne(days["split"].shift()) & (days["split"] == "test")
        total = total.where(~starts, np.nan)
        add_model_line(figure, model, days["date"], total)
    figure.update_xaxes(nticks=6, tickangle=0, tickformat="%b\n%Y")
    test = rows.loc[rows["split"] == "test", "date"]
    if len(test):
        figure.add_vrect(
            x0=f"{test.min():%Y-%m-%d}",
            x1=f"{test.max():%Y-%m-%d}",
            fillcolor=TEST_SHADE,
            line_width=0,
            annotation_text="test part",
            annotation_position="top left",
        )
    return figure
