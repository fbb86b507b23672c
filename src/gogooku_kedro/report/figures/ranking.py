"""Plotly figures of rank IC and returns by decile, small enough to preview in Kedro-Viz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.baselines.table import NETWORK, REFERENCE
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.labels.split import Split
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import (
    DECIMALS,
    add_model_line,
    colour_of,
    lay_out,
    model_order,
    month_maps,
    name_dates,
    plain_numbers,
)
from gogooku_kedro.report.names import first_shown, shown_models

TEST_SHADE = "rgba(0, 114, 178, 0.07)"
ALL = "all folds"
ROLLING = 60
"""Sessions of a rolling mean."""


def cumulative_rank_ic(daily: pd.DataFrame, horizon: str) -> go.Figure:
    """Return the running sum of daily rank IC per model; the test part is shaded.

    Of the neutral versions only the model's own are there; most curves come by a click in the legend. The sum
    starts again at 0 with the test part, so its last value divided by the test sessions is the test rank IC.

    Args:
        daily: Table of `daily_metrics`.
        horizon: Name of the horizon, e.g. "1d".
    """
    figure = go.Figure()
    for model, days in _days_by_model(daily, horizon):
        total = days["rank_ic"].fillna(0.0).groupby(days["split"]).cumsum()
        starts = days["split"].ne(days["split"].shift()) & (days["split"] == "test")
        add_model_line(figure, model, days["date"], total.where(~starts, np.nan))
    name_dates(figure)
    test = daily.loc[(daily["horizon"] == horizon) & (daily["split"] == "test"), "date"]
    if len(test):
        figure.add_vrect(
            x0=f"{test.min():%Y-%m-%d}",
            x1=f"{test.max():%Y-%m-%d}",
            fillcolor=TEST_SHADE,
            line_width=0,
            annotation_text="test part",
            annotation_position="top left",
        )
    title = f"Cumulative rank IC, {horizon} horizon<br><sup>the sum restarts at 0 in the test part</sup>"
    return lay_out(figure, title=title, x="Session", y="Sum of rank IC")


def rolling_rank_ic(daily: pd.DataFrame, horizon: str) -> go.Figure:
    """Return the mean rank IC of the last 60 sessions per model, valid and test part each by itself.

    Args:
        daily: Table of `daily_metrics`.
        horizon: Name of the horizon, e.g. "5d".
    """
    figure = go.Figure()
    for model, days in _days_by_model(daily, horizon):
        mean = days.groupby("split")["rank_ic"].transform(lambda part: part.rolling(ROLLING, ROLLING // 2).mean())
        add_model_line(figure, model, days["date"], mean)
    figure.add_hline(y=0, line={"color": "#888888", "width": 1})
    name_dates(figure)
    title = f"Rolling rank IC, {horizon} horizon<br><sup>mean of the last {ROLLING} sessions of the same part</sup>"
    return lay_out(figure, title=title, x="Session", y="Rank IC")


def rank_ic_by_month(daily: pd.DataFrame, horizon: str, model: str = NETWORK) -> go.Figure:
    """Return heat maps of the mean daily rank IC by month: the model's horizons, and models at one horizon.

    A month counts from its first session in the valid or the test part; white is 0.

    Args:
        daily: Table of `daily_metrics`.
        horizon: Horizon at which models are compared, e.g. "5d".
        model: Model whose horizons are shown.
    """
    check_columns(daily, ["model", "split", "horizon", "date", "rank_ic"], "daily metrics")
    month = daily["date"].dt.strftime("%Y-%m").rename("month")
    drawn = [name for name in model_order(list(daily["model"].unique())) if first_shown(name) is True][::-1]
    own, all_models = daily[daily["model"] == model], daily[daily["horizon"] == horizon]
    by_horizon = own.groupby(["horizon", month], sort=False)["rank_ic"].mean().unstack("month")
    by_model = all_models.groupby(["model", month], sort=False)["rank_ic"].mean().unstack("month")
    order = sorted(by_horizon.index, key=lambda name: -horizon_sessions(name))
    panels = {
        f"{model}, every horizon": by_horizon.loc[order].sort_index(axis=1),
        f"every model, {horizon} horizon": by_model.reindex(drawn).sort_index(axis=1),
    }
    first = daily.loc[daily["split"] == "test", "date"].min()
    note = f"the test part begins {first:%Y-%m-%d}" if pd.notna(first) else "no test part"
    return month_maps(panels, title=f"Rank IC by month<br><sup>{note}</sup>", spec="+.2f")


def decile_returns(
    profile: pd.DataFrame, models: Sequence[str] = (NETWORK, REFERENCE), split: str = "test"
) -> go.Figure:
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


def rank_ic_by_fold(
    table: Mapping[str, Mapping[str, Mapping[str, Any]]],
    splits: Sequence[Split],
    models: Sequence[str] = (NETWORK, REFERENCE, "ridge"),
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
            "text": "Test rank IC by fold<br><sup>mean of the sessions, 95% interval</sup>",
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


def _days_by_model(daily: pd.DataFrame, horizon: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The models that figures show, in their order, with the sessions of a horizon in the order of time."""
    check_columns(daily, ["model", "split", "horizon", "date", "rank_ic"], "daily metrics")
    rows = daily[daily["horizon"] == horizon]
    for model in shown_models(model_order(list(rows["model"].unique()))):
        yield model, rows[rows["model"] == model].sort_values("date")
