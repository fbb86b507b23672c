"""The history of the published rankings as one page that opens offline."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gogooku_kedro.columns import horizon_name
from gogooku_kedro.monitoring.monitor import Monitoring
from gogooku_kedro.report.figures.style import (
    BLUE,
    DECIMALS,
    VERMILION,
    in_page,
    lay_out,
    plain_numbers,
)
from gogooku_kedro.report.formats import html_templates

GREY, BAND = "#777777", "rgba(0, 114, 178, 0.15)"
FEW = 7
"""Sessions up to which an axis names every one; Plotly divides days into hours there."""

Drawing = tuple[str, str, Markup]
"""Title, note and HTML of a figure."""


def render_monitoring(found: Monitoring, title: str = "Monitoring") -> str:
    """Return the page; missing numbers are an en dash, and nothing in it is loaded from elsewhere."""
    figures = [
        ("Rank IC of the published rankings", _rolling_note(found), rolling_figure(found)),
        ("Summed shortfall and alarm line", _rule_note(found), shortfall_figure(found)),
        ("Feature drift by family", DRIFT_NOTE, drift_figure(found)),
        ("Share of the universe covered", "stocks with a score, of those that should have one", coverage_figure(found)),
    ]
    drawings = [(head, note, in_page(figure, f"figure-{n}")) for n, (head, note, figure) in enumerate(figures, start=1)]
    sessions = found.days["date"]
    count = "1 ranking" if sessions.nunique() == 1 else f"{sessions.nunique()} rankings"
    return (
        html_templates()
        .get_template("monitoring.html.j2")
        .render(
            title=title,
            first_line=f"morning of {found.morning:%Y-%m-%d}; {count}, "
            f"{sessions.min():%Y-%m-%d} to {sessions.max():%Y-%m-%d}",
            words=verdict(found),
            alarm=found.crossed is not None,
            horizons=found.horizons,
            drift=found.drift.to_dict("records"),
            drawings=drawings,
            plotly_js=Markup(get_plotlyjs()),
        )
    )


DRIFT_NOTE = (
    "population stability index of the last sessions against the training part, median over a family's features; "
    "the mark is the largest of twelve windows of the training part itself"
)


def verdict(found: Monitoring) -> str:
    """Return in one sentence whether the alarm line is crossed."""
    name = horizon_name(found.horizon)
    if found.rule is None:
        return f"No alarm line: the backtest has too few sessions at {name}, or a mean rank IC that is not above 0."
    if found.crossed is not None:
        return f"Alarm: the rank IC at {name} fell short; it crossed the line on {found.crossed:%Y-%m-%d}."
    matured = len(found.summed)
    if matured == 0:
        return f"No alarm yet: of no published session the label at {name} is known."
    return f"No alarm: the summed shortfall of {matured} matured sessions at {name} is below the line."


def rolling_figure(found: Monitoring) -> go.Figure:
    """Return the rolling mean of the rank IC with its interval, beside that of the backtest."""
    figure = go.Figure()
    rolling, beside = found.rolling, found.horizons[horizon_name(found.horizon)]
    _line(figure, rolling["low"], "interval", GREY, width=0)
    figure.data[-1].update(showlegend=False)
    _line(figure, rolling["high"], "95% interval", GREY, width=0)
    figure.data[-1].update(fill="tonexty", fillcolor=BAND)
    _line(figure, rolling["mean"], "rolling mean", BLUE, width=3)
    daily = found.days[found.days["horizon"] == horizon_name(found.horizon)].set_index("date")["rank_ic"].dropna()
    figure.add_scatter(
        x=_days(daily),
        y=plain_numbers(daily, DECIMALS),
        mode="markers",
        name="session",
        marker={"size": 4, "color": GREY},
    )
    low, high = beside["rank_ic_ci_backtest"]
    if beside["rank_ic_backtest"] is not None:
        figure.add_hline(
            y=beside["rank_ic_backtest"], line={"color": VERMILION, "dash": "dash"}, annotation_text="backtest"
        )
    if low is not None and high is not None:
        figure.add_hrect(y0=low, y1=high, fillcolor=VERMILION, opacity=0.08, line_width=0)
    figure.add_hline(y=0, line={"color": "#888888", "width": 1})
    return _over_days(figure, daily, y="Rank IC")


def shortfall_figure(found: Monitoring) -> go.Figure:
    """Return the summed shortfall and the line that it must not cross."""
    figure = go.Figure()
    _line(figure, found.summed, "summed shortfall", BLUE, width=2)
    if found.rule is not None:
        line = {"color": VERMILION, "width": 2}
        figure.add_hline(y=found.rule.threshold, line=line, annotation_text="alarm line")
        figure.update_yaxes(range=[0, 1.15 * max(found.rule.threshold, found.summed.max() if len(found.summed) else 0)])
    return _over_days(figure, found.summed, y="Sum of rank IC")


def drift_figure(found: Monitoring) -> go.Figure:
    """Return the stability index of every family beside what windows of the training part have."""
    table = found.drift.iloc[::-1]
    figure = go.Figure(go.Bar(y=table["family"].tolist(), x=table["psi"].tolist(), orientation="h", name="now"))
    figure.data[0].marker.color = BLUE
    figure.add_scatter(
        y=table["family"].tolist(),
        x=table["usual"].tolist(),
        mode="markers",
        name="largest in training",
        marker={"symbol": "line-ns-open", "size": 14, "color": VERMILION, "line": {"width": 3}},
    )
    return lay_out(figure, title="", x="Population stability index", y=None)


def coverage_figure(found: Monitoring) -> go.Figure:
    """Return the share of the universe that every ranking scored."""
    own = found.days[found.days["horizon"] == horizon_name(found.horizon)].set_index("date")["coverage"]
    figure = go.Figure()
    _line(figure, own, "coverage", BLUE, width=2)
    figure.data[-1].update(mode="lines+markers")
    figure.update_yaxes(tickformat=".0%", range=[0, 1.05])
    return _over_days(figure, own, y="Share")


def _over_days(figure: go.Figure, values: pd.Series[float], y: str) -> go.Figure:
    """Lay a figure out whose x axis has the sessions of `values`; of a few it names each, of none it says so."""
    lay_out(figure, title="", x=None, y=y)
    if len(values) == 0:
        figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
        middle = {"x": 0.5, "y": 0.8, "xref": "paper", "yref": "paper", "showarrow": False}
        return figure.add_annotation(text="no label is known yet", **middle)
    if len(values) <= FEW:
        figure.update_xaxes(type="date", tickvals=_days(values), tickformat="%b %-d\n%Y")
    return figure


def _line(figure: go.Figure, values: pd.Series[float], name: str, colour: str, width: int) -> None:
    line = {"color": colour, "width": width}
    figure.add_scatter(x=_days(values), y=plain_numbers(values, DECIMALS), mode="lines", name=name, line=line)


def _days(values: pd.Series[float]) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in values.index]


def _rolling_note(found: Monitoring) -> str:
    rule = found.horizons[horizon_name(found.horizon)]
    return f"at {horizon_name(found.horizon)}; backtest: {rule['days_backtest']} sessions before the first ranking"


def _rule_note(found: Monitoring) -> str:
    rule = found.rule
    if rule is None:
        return "there is no line"
    delay = "more than a year" if rule.delay is None else f"{rule.delay} sessions"
    return (
        f"sum of {rule.mean / 2:+.4f} (half the backtest's mean) less each session's rank IC, never below 0. Without "
        f"decay {rule.rate:.0%} of years cross the line; after a fall to 0 half the histories do within {delay}"
    )
