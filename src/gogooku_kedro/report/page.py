"""The evaluation as one HTML file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from gogooku_kedro.report import tables
from gogooku_kedro.report.card_tables import behind_the_answers
from gogooku_kedro.report.cards import KeyResults, answer_cards
from gogooku_kedro.report.names import short_name
from gogooku_kedro.report.numbers import Metrics, Oracle
from gogooku_kedro.report.sections import first_line, flat_rows, limits_of_evidence, run_facts, seconds_rows
from gogooku_kedro.report.tables import TextTable

BELOW = 56
"""Pixels below a figure for the labels of its x axis; the page adds what the legend takes."""

FEW, COLUMN = 5, 90
"""A legend of more entries has columns, which are this wide: two of them on a phone."""


@dataclass(frozen=True)
class Evidence:
    """What a run left, and a report is written from.

    Attributes:
        key_results: key_results.json.
        metrics: metrics.json: `run`, `split`, `universe`, `test` and `valid`.
        quality_report: Data checks, name -> number, text or a flat mapping of these; `issues` by finding.
        manifest: Feature manifest.
        portfolio: portfolio_metrics.json, None without.
        oracle: {"with_graph" | "without_graph": {"1d": rank IC, ...}}: the best rank IC that any model can
            reach on a sample market; None for a real one.
        folds: walk_forward_metrics.json of this data, None without.
    """

    key_results: KeyResults
    metrics: Metrics
    quality_report: Mapping[str, Any]
    manifest: Mapping[str, Any]
    portfolio: Mapping[str, Any] | None = None
    oracle: Oracle | None = None
    folds: Mapping[str, Any] | None = None

    @property
    def cost_bps(self) -> float:
        """Cost per side of the net figures, in basis points."""
        return float(self.key_results["tradable"]["cost_bps"])


@dataclass(frozen=True)
class FigureGroup:
    """Figures under one heading; a figure that was not made is None.

    Attributes:
        title: Heading.
        figures: In the order of the page.
        remark: What must be known of their origin, or how to make them.
        tables: Shown folded below the figures.
    """

    title: str
    figures: Sequence[go.Figure | None]
    remark: str | None = None
    tables: Sequence[TextTable] = ()


@dataclass(frozen=True)
class _Drawing:
    title: str
    note: str
    html: Markup


def render_report(evidence: Evidence, groups: Sequence[FigureGroup], *, title: str = "Evaluation report") -> str:
    """Return one self-contained HTML page; nothing in it is loaded from elsewhere.

    Args:
        evidence: What the run left.
        groups: Figures, in the order of the page.
        title: Heading of the page.

    Returns:
        HTML text. Missing numbers are shown as an en dash.
    """
    metrics = evidence.metrics
    full = [table for part in ("test", "valid") if metrics.get(part) for table in tables.full_tables(metrics, part)]
    return _template().render(
        title=title,
        first_line=first_line(metrics),
        synthetic=evidence.oracle is not None,
        answers=answer_cards(evidence.key_results),
        behind=behind_the_answers(evidence.key_results),
        facts=run_facts(metrics, metrics["split"], evidence.manifest, evidence.quality_report),
        seconds=seconds_rows(metrics),
        key_results=[tables.rank_ic_table(metrics, evidence.oracle), *_net_of_costs(evidence)],
        folded=[("All portfolios", _portfolios(evidence)), ("All numbers of metrics.json", full)],
        groups=_drawn(groups),
        quality=flat_rows({k: v for k, v in evidence.quality_report.items() if k != "issues"}),
        issues=tables.issue_table(evidence.quality_report),
        dropped=[(str(key), str(why)) for key, why in evidence.manifest.get("dropped", {}).items()],
        limits=limits_of_evidence(
            evidence.key_results,
            metrics,
            evidence.quality_report,
            rules=(evidence.portfolio or {}).get("rules"),
            synthetic=evidence.oracle is not None,
            folds=evidence.folds,
        ),
        plotly_js=Markup(get_plotlyjs()),
        below=BELOW,
    )


def _net_of_costs(evidence: Evidence) -> list[TextTable]:
    found = [tables.sharpe_table(evidence.metrics, evidence.cost_bps)]
    by_cost = None if evidence.portfolio is None else tables.cost_table(evidence.portfolio)
    return found if by_cost is None else [*found, by_cost]


def _portfolios(evidence: Evidence) -> list[TextTable]:
    return [] if evidence.portfolio is None else tables.portfolio_tables(evidence.portfolio, evidence.cost_bps)


def _drawn(groups: Sequence[FigureGroup]) -> list[tuple[FigureGroup, list[_Drawing]]]:
    """Figures as HTML, with names that do not change from one writing to the next."""
    drawn, number = [], 0
    for group in groups:
        drawings = []
        for figure in group.figures:
            if figure is not None:
                number += 1
                drawings.append(_drawing(figure, f"figure-{number}"))
        drawn.append((group, drawings))
    return drawn


def _drawing(figure: go.Figure, name: str) -> _Drawing:
    """Take the title out, so that it is text of the page, which breaks lines on a phone."""
    copy = go.Figure(figure)
    heading, _, note = (copy.layout.title.text or "").partition("<br>")
    above = 30 if copy.layout.annotations else 12
    height = (copy.layout.height or 450) - (copy.layout.margin.t or 80) + above
    copy.update_layout(title=None, margin_t=above, margin_b=BELOW, height=height)
    entries = {trace.name for trace in copy.data if trace.name}
    columns = COLUMN if len(entries) > FEW else None
    copy.update_layout(legend={"xref": "container", "x": 0.0, "entrywidth": columns, "font_size": 11})
    copy.for_each_trace(lambda trace: trace.update(name=short_name(trace.name or "")))
    config = {"responsive": True, "displayModeBar": False, "plotlyServerURL": ""}
    html = to_html(copy, config=config, include_plotlyjs=False, full_html=False, div_id=name)
    return _Drawing(heading, note.removeprefix("<sup>").removesuffix("</sup>"), Markup(html))


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = (files(__package__) / "templates" / "report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
