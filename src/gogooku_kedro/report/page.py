"""A run's results as one HTML page that opens without a network, and as a model card in Markdown.

Sections of the card after Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.report import provenance, tables
from gogooku_kedro.report.cards import Card, answer_cards, effect_cards
from gogooku_kedro.report.evidence import (
    Evidence,
    entry_rule,
    first_line,
    flat_rows,
    limits_of_effect,
    limits_of_evidence,
    run_facts,
)
from gogooku_kedro.report.figures.style import embedded
from gogooku_kedro.report.formats import format_duration, html_templates, markdown_templates
from gogooku_kedro.report.glossary import TERMS
from gogooku_kedro.report.names import short_name
from gogooku_kedro.report.results import GatEffect, RunFacts, WalkForward, parse
from gogooku_kedro.report.studies import Study
from gogooku_kedro.report.tables import Table

BELOW = 56
"""Pixels below a figure for the labels of its x axis; the page adds what the legend takes."""

STUDIES = {
    "ablation": "Graph network on and off",
    "explanation": "What the model learned",
    "walk_forward": "Walk-forward",
}
"""Pipeline beside the default one -> heading of its section."""

Drawing = tuple[str, str, Markup]
"""Title, note and HTML of a figure."""

FEW, COLUMN = 5, 84
"""A legend of more entries has columns, which are this wide: two of them on a phone."""


@dataclass(frozen=True)
class Absent:
    """How to make what was not run.

    Attributes:
        command: As it is typed.
        duration: About how long it takes; empty if unknown.
    """

    command: str
    duration: str = ""


@dataclass(frozen=True)
class FigureGroup:
    """What stands under one heading; a figure that was not made is None.

    Attributes:
        title: Heading.
        figures: In the order of the page.
        remark: What must be known of their origin, or how to make them.
        cards: Answers above the figures.
        tables: Shown folded below the figures.
        limits: What the numbers do not show.
        absent: How to make what was not run; such a section is one line of the page.
    """

    title: str
    figures: Sequence[go.Figure | None]
    remark: str | None = None
    cards: Sequence[Card] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    absent: Absent | None = None


def section(title: str, *figures: go.Figure) -> tuple[go.Figure | FigureGroup, ...]:
    """Return the figures, for Kedro-Viz, and after them the section that shows them."""
    return (*figures, FigureGroup(title, figures))


def effect_group(
    title: str,
    effect: GatEffect,
    variants: pd.DataFrame | None,
    figures: Sequence[go.Figure | None],
    remark: str | None = None,
) -> FigureGroup:
    """Return what an ablation measured as a group of the report.

    Args:
        title: Heading.
        effect: gat_effect.json.
        variants: From `variant_table`; None where it is not there.
        figures: In the order of the page.
        remark: What must be known of the origin of the ablation.
    """
    found = tables.effect_tables(effect, variants)
    return FigureGroup(title, figures, remark, effect_cards(effect), found, limits_of_effect(effect))


def study_group(pipeline: str, study: Study | None, run: RunFacts) -> FigureGroup:
    """Return what a pipeline beside the default one found as a group of the report.

    Args:
        pipeline: Its name.
        study: What it left, None where it was not run.
        run: `run` of metrics.json; of what is of other data the group has the remark alone.
    """
    title, origin = STUDIES[pipeline], None if study is None else study.run
    remark = provenance.remark(pipeline, origin, run)
    if study is None or not provenance.usable(provenance.origin(origin, run)):
        seconds = provenance.expected_seconds(pipeline, run)
        duration = "" if seconds is None else format_duration(seconds)
        return FigureGroup(title, [], remark, absent=Absent(provenance.command(pipeline, run), duration))
    if pipeline == "ablation":
        return effect_group(title, GatEffect.of(study.results), study.table, study.figures, remark)
    folds = tables.fold_tables(parse(WalkForward, study.results)) if pipeline == "walk_forward" else []
    return FigureGroup(title, study.figures, remark, tables=folds)


def render_report(evidence: Evidence, groups: Sequence[FigureGroup], *, title: str = "Evaluation report") -> str:
    """Return one self-contained HTML page; nothing in it is loaded from elsewhere.

    Args:
        evidence: What the run left.
        groups: Figures, in the order of the page.
        title: Heading of the page.

    Returns:
        HTML text. Missing numbers are shown as an en dash.
    """
    metrics, portfolios = evidence.metrics, evidence.portfolios
    simulated = [] if portfolios is None else tables.portfolio_tables(portfolios, evidence.cost_bps)
    by_cost = [] if portfolios is None else tables.cost_table(portfolios)
    return (
        html_templates()
        .get_template("report.html.j2")
        .render(
            **_shared(evidence),
            title=title,
            first_line=first_line(metrics),
            seconds=metrics.run.seconds,
            results=[
                *tables.metrics_tables(metrics, evidence.oracle, evidence.cost_bps, portfolios),
                *by_cost,
                *tables.trading_table(metrics),
                *tables.seed_tables(metrics),
            ],
            details=[
                ("All simulated portfolios", simulated),
                ("All numbers of metrics.json", tables.full_tables(metrics)),
            ],
            groups=_drawn([group for group in groups if group.absent is None]),
            absent=[group for group in groups if group.absent is not None],
            terms=sorted(TERMS, key=lambda term: term.name.lower()),
            quality=flat_rows({k: v for k, v in evidence.quality.items() if k != "issues"}),
            issues=tables.issue_tables(evidence.quality),
            plotly_js=Markup(get_plotlyjs()),
            below=BELOW,
        )
    )


def render_model_card(evidence: Evidence, *, model: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """Return the model card of a run in Markdown; its numbers are those of the report.

    Args:
        evidence: What the run left.
        model: Settings of the model.
        training: Settings of the training.
    """
    families = Counter(str(feature["family"]) for feature in evidence.manifest.get("features", []))
    return (
        markdown_templates()
        .get_template("model_card.md.j2")
        .render(
            **_shared(evidence),
            source=evidence.quality.get("source", "unknown"),
            families=sorted(families.items()),
            model=model,
            training=training,
            opened=evidence.entry,
            results=tables.metrics_tables(evidence.metrics, evidence.oracle, evidence.cost_bps, evidence.portfolios),
            purge=None if evidence.metrics.split is None else evidence.metrics.split.purge_sessions,
        )
    )


def _shared(evidence: Evidence) -> dict[str, Any]:
    return {
        "synthetic": evidence.oracle is not None,
        "entry": entry_rule(evidence.entry),
        "facts": run_facts(evidence.metrics, evidence.manifest, evidence.quality),
        "answers": answer_cards(evidence.key_results),
        "behind": tables.behind_the_answers(evidence.key_results),
        "dropped": evidence.manifest.get("dropped", {}),
        "limits": limits_of_evidence(evidence),
    }


def _drawn(groups: Sequence[FigureGroup]) -> list[tuple[FigureGroup, list[Drawing]]]:
    """Figures as HTML, with names that do not change from one writing to the next."""
    numbers = count(1)
    return [
        (group, [_drawing(figure, f"figure-{next(numbers)}") for figure in group.figures if figure is not None])
        for group in groups
    ]


def _drawing(figure: go.Figure, name: str) -> Drawing:
    """Take the title out, so that it is text of the page, which breaks lines on a phone."""
    copy = go.Figure(figure)
    heading, _, note = (copy.layout.title.text or "").partition("<br>")
    above = 30 if copy.layout.annotations else 12
    height = (copy.layout.height or 450) - (copy.layout.margin.t or 80) + above
    copy.update_layout(title=None, margin_t=above, margin_b=BELOW, height=height)
    entries = {trace.name for trace in copy.data if trace.name and trace.showlegend is not False}
    columns = COLUMN if len(entries) > FEW else None
    copy.update_layout(legend={"xref": "container", "x": 0.0, "entrywidth": columns, "font_size": 11})
    copy.for_each_trace(lambda trace: trace.update(name=short_name(trace.name or "").removeprefix(f"{NETWORK} ")))
    return heading, note.removeprefix("<sup>").removesuffix("</sup>"), embedded(copy, name)
