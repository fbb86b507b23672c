"""Figures of an ablation: the difference session by session, and every variant beside the model as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.ablation.gat_effect import CONTROLS, OFF, ON, VariantSeries
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import DECIMALS, FALLBACK_COLOUR, lay_out, plain_numbers

COLOURS = {ON: "#0072B2", "identity": "#E69F00", "permuted": "#D55E00", "mean": "#009E73"}
BAND = "rgba(0, 114, 178, 0.12)"


def cumulative_difference(series: VariantSeries, kind: str = "raw") -> go.Figure:
    """Return the running sum of the daily rank IC of `on` and the controls less that of `off`.

    The last value divided by the sessions is the mean difference. The band around 0 holds, on any one session,
    the sum of `on` less `off` in 95 of 100 markets where there is no difference: 1.96 standard deviations
    of a session's evidence (serial correlation included, seeds held fixed) times the root of the sessions so far.

    Args:
        series: The variants.
        kind: Kind of scores.
    """
    figure = _panels(series.horizons)
    variants = [variant for variant in (ON, *CONTROLS) if series.has(variant, kind)]
    for position, horizon in enumerate(series.horizons):
        place = {"row": position + 1, "col": 1}
        _add_band(figure, series, kind, horizon, place)
        for variant in variants:
            difference = _difference(series, variant, kind, horizon)
            figure.add_scatter(
                x=_dates(difference),
                y=difference.cumsum().round(DECIMALS).tolist(),
                name=f"{variant} - off",
                legendgroup=variant,
                showlegend=position == 0,
                mode="lines",
                line={"color": COLOURS.get(variant, FALLBACK_COLOUR), "width": 3 if variant == ON else 1.6},
                **place,
            )
    return _titled(
        figure,
        "Rank IC less that of the model without graph, summed over test sessions"
        "<br><sup>band: where on - off lies in 95 of 100 cases without a difference</sup>",
    )


def variant_forest(table: pd.DataFrame, kind: str = "raw") -> go.Figure:
    """Return every variant's mean rank IC less that of `on`, with its 95% interval.

    Left of 0: the model is worse without it, or with that graph.

    Args:
        table: From `variant_table`.
        kind: Kind of scores.
    """
    names = [f"rank_ic_less_on{end}" for end in ("", "_low", "_high")]
    check_columns(table, ["variant", "scores", "horizon", *names], "ablation_table")
    rows = table[(table["scores"] == kind) & (table["variant"] != ON)]
    horizons = list(dict.fromkeys(rows["horizon"]))
    figure = _panels(horizons)
    for position, horizon in enumerate(horizons):
        variants = rows[rows["horizon"] == horizon][::-1]
        middle, low, high = (variants[name].astype(float) for name in names)
        place: dict[str, Any] = {"row": position + 1, "col": 1}
        figure.add_scatter(
            x=plain_numbers(middle, DECIMALS),
            y=variants["variant"].tolist(),
            error_x={
                "array": plain_numbers(high - middle, DECIMALS),
                "arrayminus": plain_numbers(middle - low, DECIMALS),
                "type": "data",
            },
            mode="markers",
            marker={"size": 8, "color": [COLOURS.get(variant, FALLBACK_COLOUR) for variant in variants["variant"]]},
            showlegend=False,
            **place,
        )
        figure.add_vline(x=0.0, line={"color": COLOURS[ON], "dash": "dot"}, **place)
    figure = _titled(figure, "Mean rank IC of a variant less that of on<br><sup>95% interval, sessions and seeds</sup>")
    tallest = rows["variant"].nunique()
    return figure.update_layout(height=max(620, 300 + 88 * tallest), hovermode="closest")


def _add_band(figure: go.Figure, series: VariantSeries, kind: str, horizon: str, place: Mapping[str, Any]) -> None:
    found = series.compare(ON, OFF, kind, horizon, "rank_ic")
    if not np.isfinite(found.day_deviation):
        return
    dates = _dates(_difference(series, ON, kind, horizon))
    width = 1.96 * found.day_deviation * np.sqrt(np.arange(1, len(dates) + 1))
    for side, fill in ((-width, None), (width, "tonexty")):
        figure.add_scatter(
            x=dates,
            y=np.round(side, DECIMALS).tolist(),
            mode="lines",
            line={"width": 0},
            fill=fill,
            fillcolor=BAND,
            hoverinfo="skip",
            showlegend=False,
            **place,
        )


def _difference(series: VariantSeries, variant: str, kind: str, horizon: str) -> pd.Series[float]:
    """Daily rank IC of a variant less that of off, mean over seeds, by date."""
    pair = pd.concat(
        [series.series(name, kind, horizon, "rank_ic") for name in (variant, OFF)],
        axis=1,
        keys=["variant", OFF],
        join="inner",
    ).dropna()
    own, off = (pair.xs(name, axis=1, level=0).to_numpy(np.float64) for name in ("variant", OFF))
    dates = pd.DatetimeIndex(pair.index.get_level_values("date"))
    return pd.Series(own.mean(axis=1) - off.mean(axis=1), dates).sort_index()


def _dates(series: pd.Series[float]) -> list[str]:
    return pd.DatetimeIndex(series.index).strftime("%Y-%m-%d").tolist()


def _panels(horizons: list[str]) -> go.Figure:
    return make_subplots(
        rows=max(1, len(horizons)),
        cols=1,
        subplot_titles=[f"{name} horizon" for name in horizons],
        vertical_spacing=0.09,
    )


def _titled(figure: go.Figure, title: str) -> go.Figure:
    tall = lay_out(figure, title=title, x=None, y=None)
    return tall.update_layout(margin={"t": 96, "b": 72}, height=980)
