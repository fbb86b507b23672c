"""The evaluation as one HTML file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from gogooku_kedro.evaluation import summary
from gogooku_kedro.evaluation.names import headline_models
from gogooku_kedro.evaluation.plots import model_order
from gogooku_kedro.evaluation.report_sections import flat_rows, limits_of_evidence, run_facts
from gogooku_kedro.evaluation.summary import (
    Metrics,
    Oracle,
    Verdict,
    format_interval,
    format_number,
)

COLUMNS = {
    "rank_ic": ("rank IC", "+.4f"),
    "rank_ic_t": ("t (Newey-West)", "+.1f"),
    "rank_icir": ("rank ICIR", "+.2f"),
    "ic": ("IC", "+.4f"),
    "icir": ("ICIR", "+.2f"),
    "rank_ic_one_day_late": ("rank IC, one day late", "+.4f"),
    "hit_rate": ("hit rate", ".1%"),
    "decile_spread": ("decile spread", "+.2%"),
    "profile_monotonicity": ("monotonicity of deciles", "+.2f"),
    "turnover": ("turnover a session", ".0%"),
    "score_autocorrelation": ("autocorrelation of scores", "+.2f"),
    "coverage": ("coverage", ".1%"),
    "dispersion": ("dispersion of scores", ".3g"),
    "sharpe_gross": ("Sharpe, gross", "+.2f"),
    "sharpe_net": ("Sharpe, net", "+.2f"),
    "sharpe_net_ci": ("95% interval, net", "+.1f"),
    "days": ("sessions", "d"),
}
"""Column of metrics.json -> heading and number format in the report."""


@dataclass(frozen=True)
class TextTable:
    """A table of finished text: a heading row and rows whose first cell is a heading.

    Attributes:
        caption: What the table shows, with units.
        head: Column headings.
        rows: Cells; the first one names the row.
        strong: Name of the row to emphasise.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: str = "model"


@dataclass(frozen=True)
class Answer:
    """One question of the first screen: the answer in words and the numbers behind it."""

    question: str
    tone: str
    text: str
    table: TextTable


def render_report(
    metrics: Metrics,
    daily: pd.DataFrame,
    figures: Mapping[str, go.Figure],
    *,
    quality_report: Mapping[str, Any],
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
    cost_bps: float,
    oracle: Oracle | None = None,
    synthetic: bool | None = None,
    title: str = "Evaluation report",
) -> str:
    """Return one self-contained HTML page; nothing in it is loaded from elsewhere.

    Args:
        metrics: metrics.json: `test` and `valid` required, `run` and `universe` shown when there.
        daily: Table of `daily_metrics` (paired comparison with LightGBM).
        figures: Caption -> Plotly figure, in the order of the page.
        quality_report: Data checks, name -> number, text or a flat mapping of these.
        split: {"train": [from, to], "valid": ..., "test": ..., "purge_sessions": n}.
        manifest: Feature manifest.
        oracle: {"with_graph" | "without_graph": {"1d": rank IC, ...}}: the best rank IC that any
            model can reach on a sample market.
        cost_bps: Cost per side used for the net figures, in basis points.
        synthetic: Whether to say that the market is made up; by default when there is an oracle.
        title: Heading of the page.

    Returns:
        HTML text. Missing numbers are shown as an en dash.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = (files(__package__) / "templates" / "report.html.j2").read_text(encoding="utf-8")
    parts = [part for part in ("test", "valid") if metrics.get(part)]
    return environment.from_string(template).render(
        title=title,
        synthetic=oracle is not None if synthetic is None else synthetic,
        answers=[
            better_than_lightgbm(summary.compare_models(daily)),
            tradable(metrics, cost_bps),
        ],
        facts=run_facts(metrics, split, manifest),
        headline=[_rank_ic_table(metrics, oracle), _sharpe_table(metrics, cost_bps)],
        full={part: _full_tables(metrics, part) for part in parts},
        figures=[(caption, _figure_html(figure)) for caption, figure in figures.items()],
        quality=flat_rows(quality_report),
        dropped=[(str(key), str(why)) for key, why in manifest.get("dropped", {}).items()],
        limits=limits_of_evidence(metrics, oracle, cost_bps),
        plotly_js=Markup(get_plotlyjs()),
    )


def better_than_lightgbm(verdicts: Sequence[Verdict]) -> Answer:
    """Return the first answer of the page from the paired comparisons, one per horizon."""
    rows = [
        (
            verdict.horizon,
            format_number(verdict.comparison.difference),
            format_number(verdict.comparison.t, "+.1f"),
            format_interval((verdict.comparison.low, verdict.comparison.high), "+.4f"),
            format_number(verdict.comparison.first),
            format_number(verdict.comparison.second),
        )
        for verdict in verdicts
    ]
    text = _by_answer([(verdict.horizon, verdict.answer) for verdict in verdicts])
    head = ["horizon", "difference", "t", "95% interval", "model", "LightGBM"]
    caption = "Test rank IC, paired by session; interval by stationary bootstrap"
    return Answer(
        question="Is it better than LightGBM?",
        tone=_tone([verdict.answer for verdict in verdicts], good="better", bad="worse"),
        text=text or "Unknown: LightGBM or the model is missing from the test part.",
        table=TextTable(caption, head, rows),
    )


def tradable(metrics: Metrics, cost_bps: float) -> Answer:
    """Return the second answer of the page: what costs and one session of delay leave."""
    words = {"positive": "earns", "negative": "loses", "undecided": "not shown"}
    numbers: Mapping[str, Any] = metrics.get("test", {}).get("model", {})
    answers, rows = [], []
    for name in summary.horizon_names(metrics):
        if name not in numbers:
            continue
        cell = numbers[name]
        side = summary.side_of_zero(*cell["sharpe_net_ci"])
        answers.append((name, words.get(side, side)))
        rows.append(
            (
                name,
                format_number(cell["sharpe_net"], "+.2f"),
                format_interval(cell["sharpe_net_ci"], "+.1f"),
                format_number(cell["rank_ic_one_day_late"]),
                format_number(cell["rank_ic"]),
                format_number(cell["sharpe_gross"], "+.2f"),
                format_number(cell["turnover"], ".0%"),
            )
        )
    head = [
        "horizon",
        "net Sharpe",
        "95% interval",
        "rank IC, one day late",
        "rank IC",
        "gross Sharpe",
        "turnover",
    ]
    caption = f"Long-short decile book on test, {cost_bps:g} bps a side, Sharpe a year"
    return Answer(
        question="Is it tradable after costs?",
        tone=_tone([answer for _, answer in answers], good="earns", bad="loses"),
        text=_by_answer(answers) or "Unknown: the model has no test part.",
        table=TextTable(caption, head, rows),
    )


def _by_answer(answers: Sequence[tuple[str, str]]) -> str:
    """One sentence: the horizons behind each answer."""
    grouped: dict[str, list[str]] = {}
    for horizon, answer in answers:
        grouped.setdefault(answer, []).append(horizon)
    return "; ".join(f"{key} at {', '.join(names)}" for key, names in grouped.items()).capitalize()


def _tone(answers: Sequence[str], *, good: str, bad: str) -> str:
    if answers and all(answer == good for answer in answers):
        return "good"
    return "bad" if answers and all(answer == bad for answer in answers) else "open"


def _rank_ic_table(metrics: Metrics, oracle: Oracle | None) -> TextTable:
    names, part = summary.horizon_names(metrics), metrics.get("test", {})
    rows = [
        [model, *(summary.rank_ic_cell(part[model].get(name)) for name in names)]
        for model in headline_models(model_order(list(part)))
    ]
    for key, label in summary.ORACLE_ROWS.items():
        if oracle is not None and key in oracle:
            rows.append([label, *(format_number(oracle[key].get(name)) for name in names)])
    return TextTable("Test rank IC (Newey-West t)", ["", *names], rows)


def _sharpe_table(metrics: Metrics, cost_bps: float) -> TextTable:
    names, part = summary.horizon_names(metrics), metrics.get("test", {})
    rows = [
        [model, *(summary.sharpe_cell(part[model].get(name)) for name in names)]
        for model in headline_models(model_order(list(part)))
    ]
    caption = f"Test net Sharpe a year [95% interval], {cost_bps:g} bps a side"
    return TextTable(caption, ["", *names], rows)


def _full_tables(metrics: Metrics, split: str) -> list[TextTable]:
    head = ["", *(heading for heading, _ in COLUMNS.values())]
    part = metrics[split]
    return [
        TextTable(
            f"{split} part, {name} horizon",
            head,
            [
                [model, *(_cell(part[model].get(name, {}).get(key), key) for key in COLUMNS)]
                for model in model_order(list(part))
            ],
        )
        for name in summary.horizon_names(metrics, split)
    ]


def _cell(value: Any, key: str) -> str:
    spec = COLUMNS[key][1]
    if isinstance(value, list | tuple):
        return format_interval((value[0], value[1]), spec)
    return format_number(value, spec)


def _figure_html(figure: go.Figure) -> Markup:
    config = {"responsive": True, "displayModeBar": False, "plotlyServerURL": ""}
    html = to_html(figure, config=config, include_plotlyjs=False, full_html=False)
    return Markup(html)
