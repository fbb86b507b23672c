"""One offline HTML page about own scores: `gk.tear_sheet`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gogooku_kedro.artifacts import atomic_file
from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.baselines.table import NETWORK, REFERENCE
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics import exposure
from gogooku_kedro.metrics.align import WidePart, wide_parts
from gogooku_kedro.metrics.deciles import decile_profile
from gogooku_kedro.own_alpha import OWN, Evaluation, evaluate
from gogooku_kedro.report.figures import portfolio, ranking
from gogooku_kedro.report.figures import tear_sheet as own_figures
from gogooku_kedro.report.figures.style import BLUE, embedded
from gogooku_kedro.report.formats import format_estimate, format_interval, format_number, html_templates
from gogooku_kedro.report.names import short_name

if TYPE_CHECKING:
    from gogooku_kedro.study import Study

HELD = 20
"""Rows of a table of holdings."""


def tear_sheet(
    scores: pd.DataFrame | pd.Series[float] | str | Path | Evaluation,
    market: Study | xr.Dataset | None = None,
    path: str | Path = "tear_sheet.html",
    *,
    horizon: str = "5d",
    name: str = OWN,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write one page about own scores that opens offline, and return its path.

    It has rank IC by session, month and sector, deciles, equity and drawdown after costs, turnover, exposure to
    sectors and size, and what is held at the end.

    Args:
        scores: As for `evaluate`, or what it returned.
        market: As for `evaluate`; not needed with what it returned.
        path: File to write.
        horizon: Horizon that is shown.
        name: As for `evaluate`.
        settings: As for `evaluate`.

    Raises:
        ValueError: As `evaluate`, or the scores have no such horizon.
    """
    found = scores
    if not isinstance(found, Evaluation):
        if market is None:
            raise ValueError("market is missing: give the study or the panel that the scores are of")
        found = evaluate(found, market, name=name, settings=settings)
    if horizon not in found.horizons:
        raise ValueError(f"horizon: {horizon!r} has no scores; there are {', '.join(found.horizons)}")
    with atomic_file(Path(path)) as unfinished:
        Path(unfinished).write_text(_page(found, horizon), encoding="utf-8")
    return Path(path)


def tear_sheet_figures(found: Evaluation, horizon: str) -> list[go.Figure]:
    """Return the figures of the page, in its order."""
    part, sessions, panel = _own_part(found), horizon_sessions(horizon), found.ground.panel
    daily = found.daily[found.daily["split"] == found.part]
    own = daily[(daily["model"] == found.name) & (daily["horizon"] == horizon)]
    held = exposure.held_weights(part, sessions)
    chosen = {"horizon": horizon, "split": found.part}
    cost = found.ground.evaluation.cost_bps
    figures = [
        own_figures.rolling_rank_ic(own, horizon),
        ranking.rank_ic_by_month(daily, horizon, found.name),
        own_figures.rank_ic_by_sector(exposure.sector_contributions(part, sessions, panel), horizon),
        _deciles(found, horizon),
        portfolio.portfolio_equity(found.portfolio_returns, cost, portfolio=LONG_SHORT, **chosen),
        portfolio.portfolio_drawdown(found.portfolio_returns, cost, portfolio=LONG_SHORT, **chosen),
        portfolio.portfolio_turnover(found.portfolio_returns, horizon, split=found.part),
        own_figures.sector_exposure_map(exposure.sector_exposure(held, panel)),
        own_figures.size_exposure_lines(exposure.size_exposure(held, panel)),
    ]
    return [_highlighted(figure, found.name) for figure in figures]


def _deciles(found: Evaluation, horizon: str) -> go.Figure:
    """The figure of the report, of one horizon: a panel as wide as the page."""
    profile = decile_profile(found.deciles[found.deciles["horizon"] == horizon])
    figure = ranking.decile_returns(profile, (found.name, NETWORK, REFERENCE), found.part)
    figure.update_layout(height=470, xaxis_domain=[0, 1])
    return figure.update_annotations(x=0.5)


def _own_part(found: Evaluation) -> WidePart:
    own = found.scores[found.scores["split"] == found.part].assign(model=found.name)
    return next(iter(wide_parts(own, found.ground.labels)))


def _highlighted(figure: go.Figure, name: str) -> go.Figure:
    """Show the curve of the own scores, which are not in the table of models, first and bold."""
    for trace in figure.data:
        if trace.name == name:
            trace.visible = True
            if trace.type == "scatter":
                trace.line = {"color": "#000000", "width": 3}
            elif trace.type == "bar":
                trace.marker.color = BLUE if name == NETWORK else "#000000"
    return figure


def _page(found: Evaluation, horizon: str) -> str:
    figures = found.metrics[found.part][found.name][horizon]
    days = found.daily.loc[found.daily["split"] == found.part, "date"]
    left_out = found.rows["read"] - found.rows["measured"]
    span = (
        f"{horizon} horizon, {found.part} part, {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}; "
        f"{found.rows['measured']:,} scores measured, {left_out:,} left out (no label yet; outside parts or universe)"
    )
    holdings = exposure.last_holdings(_own_part(found), horizon_sessions(horizon), found.ground.panel)
    return (
        html_templates()
        .get_template("tear_sheet.html.j2")
        .render(
            title=f"Tear sheet of {found.name}",
            name=found.name,
            span=span,
            figures=_key_figures(figures, found.ground.evaluation.cost_bps),
            beside=_beside(found, horizon),
            drawings=[_drawing(figure, f"figure-{n}") for n, figure in enumerate(tear_sheet_figures(found, horizon))],
            holdings=[
                (f"Held long, largest {HELD}", _held(holdings.head(HELD).query("weight > 0"))),
                (f"Held short, largest {HELD}", _held(holdings.tail(HELD).query("weight < 0")[::-1])),
            ],
            last=f"{days.max():%Y-%m-%d}",
            plotly_js=Markup(get_plotlyjs()),
        )
    )


def _key_figures(figures: Mapping[str, Any], cost_bps: float) -> list[tuple[str, str, str]]:
    return [
        ("Rank IC", format_number(figures["rank_ic"]), format_interval(tuple(figures["rank_ic_ci"]), "+.3f")),
        ("Rank ICIR, daily", format_number(figures["rank_icir"], "+.2f"), f"{figures['days']} sessions"),
        (
            "Net Sharpe, decile portfolio",
            format_number(figures["sharpe_net"], "+.2f"),
            f"{format_interval(tuple(figures['sharpe_net_ci']))} at {cost_bps:g} bps a side",
        ),
        ("One session late", format_number(figures["rank_ic_one_day_late"]), "rank IC of yesterday's score"),
        ("Turnover", format_number(figures["turnover"], ".0%"), "of the portfolio a session"),
        ("Coverage", format_number(figures["coverage"], ".0%"), "of the universe has a score"),
    ]


def _beside(found: Evaluation, horizon: str) -> list[list[str]]:
    rows = []
    for model, of_horizon in found.metrics[found.part].items():
        figures, cell = of_horizon[horizon], found.comparisons[found.part].get(model, {}).get(horizon)
        rows.append(
            [
                found.name if model == found.name else short_name(model),
                format_estimate(figures["rank_ic"], tuple(figures["rank_ic_ci"])),
                format_number(figures["sharpe_net"], "+.2f"),
                "" if cell is None else format_estimate(cell.difference, cell.ci95),
                "" if cell is None else cell.answer or "",
            ]
        )
    return rows


def _held(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [str(code), str(sector), format_number(float(weight), "+.2%"), format_number(float(score), "+.3f")]
        for code, sector, weight, score in rows[["code", "sector", "weight", "score"]].to_numpy()
    ]


def _drawing(figure: go.Figure, name: str) -> tuple[str, str, Markup]:
    """Title, note and HTML; the title is text of the page, which breaks lines on a phone."""
    heading, _, note = (figure.layout.title.text or "").partition("<br>")
    figure.update_layout(title=None, margin_t=30 if figure.layout.annotations else 12)
    return heading, note.removeprefix("<sup>").removesuffix("</sup>"), embedded(figure, name)
