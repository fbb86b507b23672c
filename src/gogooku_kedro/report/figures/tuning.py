"""Figures of a tuning: the value trial by trial, what matters, and the value over two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import plotly.graph_objects as go

from gogooku_kedro.params import SpaceParams
from gogooku_kedro.report.figures.style import BLUE, VERMILION, lay_out
from gogooku_kedro.tuning.summary import rebuilt, varying

GREY = "#777777"
Trials = Sequence[Mapping[str, Any]]
"""From `tuning.store.trial_rows`."""


def value_by_trial(trials: Trials, objective: str) -> go.Figure:
    """Return the value of every finished trial and the best so far; trials that were given up stand at the bottom."""
    finished = [trial for trial in trials if trial["state"] == "finished"]
    given_up = [trial["trial"] for trial in trials if trial["state"] != "finished"]
    values, best = [trial["value"] for trial in finished], list[float]()
    for value in values:
        best.append(max([value, *best[-1:]]))
    numbers = [trial["trial"] for trial in finished]
    words = [_words(trial["settings"]) for trial in finished]
    figure = go.Figure()
    figure.add_scatter(
        x=numbers,
        y=values,
        mode="markers",
        name="trial",
        marker={"size": 9, "color": BLUE},
        text=words,
        hovertemplate="trial %{x}: %{y:+.4f}<br>%{text}<extra></extra>",
    )
    figure.add_scatter(
        x=numbers, y=best, mode="lines", name="best so far", line={"color": VERMILION, "width": 2, "shape": "hv"}
    )
    if given_up and values:
        figure.add_scatter(
            x=given_up,
            y=[min(values)] * len(given_up),
            mode="markers",
            name="given up",
            marker={"symbol": "x", "size": 8, "color": GREY},
        )
    figure.update_xaxes(dtick=max(1, len(trials) // 10))
    return lay_out(figure, title="", x="Trial", y=objective).update_layout(hovermode="closest")


def importance_of_settings(shares: Mapping[str, float]) -> go.Figure:
    """Return the share of every setting in the variance of the value, the largest on top."""
    names = list(shares)[::-1]
    figure = go.Figure(go.Bar(y=names, x=[shares[name] for name in names], orientation="h", marker_color=BLUE))
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return lay_out(figure, title="", x="Share of the variance", y=None)


def value_over_two(trials: Trials, space: SpaceParams, first: str, second: str, objective: str) -> go.Figure:
    """Return the value over two settings, as Optuna interpolates it between the finished trials."""
    figure = optuna.visualization.plot_contour(rebuilt(trials, space), params=[first, second])
    for trace in figure.data:
        if trace.type == "contour":
            trace.update(
                colorscale="RdBu", reversescale=False, colorbar={"title": {"text": objective}, "thickness": 12}
            )
    return lay_out(figure, title="", x=None, y=None).update_layout(hovermode="closest", showlegend=False)


def most_important(trials: Trials, shares: Mapping[str, float]) -> list[str]:
    """Return up to two settings that vary: the most important ones, or the first where no importance is known."""
    names = varying(trials)
    return sorted(names, key=lambda name: -shares.get(name, 0.0))[:2]


def _words(settings: Mapping[str, Any]) -> str:
    return "<br>".join(f"{name} = {value}" for name, value in settings.items())
