"""The effect of the GAT as a section of a report, and as a page of its own that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from gogooku_kedro.report.cards import Answer
from gogooku_kedro.report.numbers import format_interval, format_number
from gogooku_kedro.report.tables import TextTable

NAMES = {"rank_ic": "rank IC", "rank_icir": "rank ICIR", "sharpe_net": "net Sharpe ratio"}
SPECS = {"rank_ic": "+.4f", "rank_icir": "+.3f", "sharpe_net": "+.2f"}
KINDS = {
    "raw": "Scores as they come",
    "neutral": "Scores without the market's principal components",
    "peer_neutral": "Scores in excess of the peers'",
}
VARIANT_HEAD = {
    "rank_ic": "rank IC",
    "rank_ic_se": "s.e.",
    "rank_ic_ensemble": "rank IC, ensemble",
    "rank_icir": "rank ICIR",
    "sharpe_net": "net Sharpe",
}


HEAD = (
    *("horizon", "verdict", "relative", "95% interval"),
    *("difference", "95% interval", "on", "off", "days needed"),
)


def effect_page(effect: Mapping[str, Any], table: pd.DataFrame, figures: Mapping[str, go.Figure]) -> str:
    """Return one self-contained HTML page; nothing in it is loaded from elsewhere.

    Args:
        effect: gat_effect.json.
        table: From `variant_table`.
        figures: Caption -> figure, in the order of the page.
    """
    return (
        _environment()
        .get_template("gat_effect.html.j2")
        .render(section=effect_section(effect, table, figures), plotly_js=Markup(get_plotlyjs()))
    )


def effect_section(effect: Mapping[str, Any], table: pd.DataFrame, figures: Mapping[str, go.Figure]) -> Markup:
    """Return the page's content without its frame, for one that brings Plotly and styles.

    Arguments as of `effect_page`.
    """
    kinds = {"raw": effect} | {kind: effect[kind] for kind in KINDS if kind in effect}
    section = _environment().get_template("gat_effect_section.html.j2")
    return Markup(
        section.render(
            answers=effect_answers(effect),
            effects=[_effect_table(kinds[kind], kind) for kind in kinds],
            controls=[_control_table(kinds[kind], kind) for kind in kinds if kinds[kind]["controls"]],
            variants=_variant_tables(table),
            figures=[(caption, _figure_html(figure)) for caption, figure in figures.items()],
            limits=limits(effect),
        )
    )


def effect_answers(effect: Mapping[str, Any]) -> list[Answer]:
    """Return the first screen: is each goal met, horizon by horizon, on the scores as they come."""
    return [_answer(effect, name) for name in ("rank_ic", "sharpe_net")]


def limits(effect: Mapping[str, Any]) -> list[str]:
    """Return sentences saying what the numbers do not show."""
    horizons = horizons_of(effect)
    first = effect[horizons[0]]["rank_ic"]
    seeds = len(effect["seeds"])
    sentences = [
        f"{seeds} seed(s) on {effect['folds']} fold(s), {first['days']} test days at the shortest horizon. "
        "The last column says how many days a gain of the goal's size would take.",
        f"{len(horizons)} horizons, {len(NAMES)} statistics and {len(KINDS)} kinds of scores are shown: "
        "one in twenty intervals excludes 0 by chance.",
        "Labels of 20 sessions overlap; few hundred days hold few of them, and their intervals are somewhat "
        "too narrow (docs/gat_effect.md).",
        "A relative gain over a model with hardly any rank IC or Sharpe ratio is a large number that says "
        "little: look at the difference.",
    ]
    if seeds < 2:
        sentences.insert(1, "With one seed the spread between trainings is in no interval.")
    return sentences


def horizons_of(effect: Mapping[str, Any]) -> list[str]:
    """Return the horizons of gat_effect.json in increasing order."""
    names = [key for key in effect if key.endswith("d") and key[:-1].isdigit()]
    return sorted(names, key=lambda name: int(name[:-1]))


def _answer(effect: Mapping[str, Any], name: str) -> Answer:
    rows: list[list[str]] = []
    verdicts: dict[str, list[str]] = {}
    for horizon in horizons_of(effect):
        cell = effect[horizon][name]
        verdicts.setdefault(cell["verdict"], []).append(horizon)
        rows.append([horizon, *_cells(cell, name)])
    goal = effect[horizons_of(effect)[0]][name]["goal"]
    tones = {"met": "good", "not met": "bad"}
    tone = tones.get(next(iter(verdicts)), "open") if len(verdicts) == 1 else "open"
    return Answer(
        question=f"Does the graph network add {goal:+.0%} {NAMES[name]}?",
        tone=tone,
        text="; ".join(f"{word} at {', '.join(names)}" for word, names in verdicts.items()).capitalize(),
        table=TextTable(f"{NAMES[name]} of single models, test days", HEAD, rows),
    )


def _cells(cell: Mapping[str, Any], name: str) -> list[str]:
    spec = SPECS[name]
    return [
        cell["verdict"],
        format_number(cell["relative"], "+.0%"),
        format_interval(cell["relative_ci95"], "+.0%"),
        format_number(cell["diff"], spec),
        format_interval(cell["ci95"], spec),
        *(format_number(cell[key], spec) for key in ("on", "off")),
        format_number(cell["days_to_decide"], ",d"),
    ]


def _effect_table(effect: Mapping[str, Any], kind: str) -> TextTable:
    rows = [
        [f"{NAMES[name]}, {horizon}", *_cells(effect[horizon][name], name)]
        for name in NAMES
        for horizon in horizons_of(effect)
    ]
    return TextTable(KINDS[kind], ["", *HEAD[1:]], rows)


def _control_table(effect: Mapping[str, Any], kind: str) -> TextTable:
    rows = []
    for control, horizons in effect["controls"].items():
        for horizon in horizons_of(horizons):
            cell = horizons[horizon]["rank_ic"]
            numbers = [format_number(cell["diff"]), format_interval(cell["ci95"], "+.4f")]
            numbers += [
                format_number(cell["on_less_control"]),
                format_interval(cell["on_less_control_ci95"], "+.4f"),
            ]
            rows.append([f"{control}, {horizon}", *numbers])
    head = ["", "control - off", "95% interval", "on - control", "95% interval"]
    return TextTable(f"Rank IC of the controls. {KINDS[kind]}", head, rows)


def _variant_tables(table: pd.DataFrame) -> list[TextTable]:
    raw = table[table["scores"] == "raw"]
    head = ["variant", *VARIANT_HEAD.values(), "rank IC less on", "95% interval", "parameters", "seconds"]
    tables = []
    for horizon, variants in raw.groupby("horizon", sort=False):
        rows = []
        for _, variant in variants.iterrows():
            numbers = [format_number(variant[key], SPECS.get(key, "+.4f")) for key in VARIANT_HEAD]
            ends = variant["rank_ic_less_on_low"], variant["rank_ic_less_on_high"]
            numbers += [format_number(variant["rank_ic_less_on"]), format_interval(ends, "+.4f")]
            numbers += [f"{int(variant['n_parameters']):,}", f"{variant['seconds']:,.0f}"]
            rows.append([str(variant["variant"]), *numbers])
        tables.append(TextTable(f"All variants, {horizon} horizon", head, rows, strong="on"))
    return tables


def _environment() -> Environment:
    folder = files(__package__) / "templates"
    loader = FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _figure_html(figure: go.Figure) -> Markup:
    config = {"responsive": True, "displayModeBar": False, "plotlyServerURL": ""}
    return Markup(to_html(figure, config=config, include_plotlyjs=False, full_html=False))
