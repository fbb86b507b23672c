"""What a tuning found as one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gogooku_kedro.params import SpaceParams
from gogooku_kedro.report.figures.style import in_page
from gogooku_kedro.report.figures.tuning import (
    Trials,
    importance_of_settings,
    most_important,
    value_by_trial,
    value_over_two,
)
from gogooku_kedro.report.formats import format_cell, format_duration, format_number, html_templates
from gogooku_kedro.tuning.summary import MIN_FINISHED, trial_table

Drawing = tuple[str, str, Markup]
"""Title, note and HTML of a figure; the HTML is empty where there is nothing to draw."""


def render_tuning(trials: Trials, found: Mapping[str, Any], space: SpaceParams, export_to: str | None) -> str:
    """Return the page; missing numbers are an en dash, and nothing in it is loaded from elsewhere.

    Args:
        trials: From `tuning.store.trial_rows`.
        found: `tuning_study.json`.
        space: What the trials chose from.
        export_to: Folder of the environment that has the best trial, None without one.
    """
    table = trial_table(trials)
    best = found["best"]
    return (
        html_templates()
        .get_template("tuning.html.j2")
        .render(
            title="Tuning",
            first_line=_first_line(found, table["seconds"].sum() if len(table) else 0.0),
            words=verdict(found, export_to),
            found=best is not None,
            limits=limits(found),
            best={} if best is None else best["settings"],
            horizons={} if best is None else {h: (best["rank_ic"][h], best["rank_icir"][h]) for h in best["rank_ic"]},
            drawings=_drawings(trials, found, space),
            columns=list(table),
            rows=[[_cell(str(name), row[name]) for name in table] for row in table.to_dict("records")],
            best_trial=None if best is None else best["trial"],
            plotly_js=Markup(get_plotlyjs()),
        )
    )


def verdict(found: Mapping[str, Any], export_to: str | None) -> str:
    """Return in one sentence which trial is the best."""
    best, states = found["best"], found["trials"]
    ended = states["finished"] + states["pruned"] + states["diverged"]
    if best is None:
        return f"No best trial: none of {ended} finished."
    value = format_number(None if best is None else best["value"], "+.4f")
    where = "" if export_to is None else f" Its settings: {export_to}."
    return (
        f"Trial {best['trial']} is the best of {ended}: {found['objective']} {value} over "
        f"{len(found['folds'])} folds.{where}"
    )


def limits(found: Mapping[str, Any]) -> list[str]:
    """Return sentences saying what the page does not show."""
    folds, counted = found["folds"], found["trials"]["counted"]
    parts = ", ".join(" to ".join(fold["test"]) for fold in folds)
    return [
        f"Trials are measured on {parts}, all within the training part; validation and test part are not read. The "
        f"value of the best trial is too good by the luck of the best of many.",
        f"{counted} trials have ended on this data, in all studies: the next run counts them for its deflated Sharpe "
        f"ratio.",
    ]


def _first_line(found: Mapping[str, Any], seconds: float) -> str:
    states = found["trials"]
    numbers = ", ".join(f"{states[state]} {state}" for state in ("finished", "pruned", "diverged") if states[state])
    return f"study {found['study']}, space {found['space']} ({found['sampler']}); {numbers}; {format_duration(seconds)}"


def _drawings(trials: Trials, found: Mapping[str, Any], space: SpaceParams) -> list[Drawing]:
    shares, objective = found["importance"], found["objective"]
    drawn = [("Value by trial", "mean over horizons, then over folds", value_by_trial(trials, objective))]
    if shares:
        note = "share of each setting in the variance of the value (fANOVA); of few trials it is rough"
        drawn.append(("Importance of the settings", note, importance_of_settings(shares)))
    pair = most_important(trials, shares)
    if len(pair) == 2:
        note = "between the finished trials (points) it is interpolated"
        figure = value_over_two(trials, space, pair[0], pair[1], objective)
        drawn.append((f"Value over {pair[0]} and {pair[1]}", note, figure))
    drawings = [(head, note, in_page(figure, f"figure-{n}")) for n, (head, note, figure) in enumerate(drawn, start=1)]
    if not shares:
        few = f"it takes {MIN_FINISHED} finished trials whose values differ"
        drawings.append(("Importance of the settings", few, Markup("")))
    if len(pair) < 2:
        drawings.append(
            ("Value over two settings", "fewer than two settings vary among the finished trials", Markup(""))
        )
    return drawings


def _cell(name: str, value: Any) -> str:
    if name.startswith("rank_ic") or name == "value":
        return format_number(value, "+.4f")
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return format_cell(value, ".4g")
