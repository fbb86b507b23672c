"""Tables of finished text for the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gogooku_kedro.report import numbers as summary
from gogooku_kedro.report.figures.style import model_order
from gogooku_kedro.report.names import short_name, shown_models
from gogooku_kedro.report.numbers import EN_DASH, Metrics, Oracle, format_interval, format_number

COLUMNS = {
    "rank_ic": ("rank IC", "+.4f"),
    "rank_ic_ci": ("95% interval", "+.3f"),
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

PORTFOLIO_COLUMNS = {
    "annual_active": ("active return a year", "+.1%"),
    "sharpe_active": ("Sharpe", "+.2f"),
    "sharpe_active_ci": ("95% interval", "+.1f"),
    "probabilistic_sharpe": ("probabilistic Sharpe", ".0%"),
    "deflated_sharpe": ("deflated Sharpe", ".0%"),
    "sortino": ("Sortino", "+.2f"),
    "calmar": ("Calmar", "+.2f"),
    "max_drawdown": ("largest drawdown", ".1%"),
}
"""The same of portfolio_metrics.json, after a cost."""

PORTFOLIOS = {"long_short": "Long-short deciles", "long_only": "Long-only top names, over the universe"}


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


def rank_ic_table(metrics: Metrics, oracle: Oracle | None, part: str = "test") -> TextTable:
    """Return the rank IC of the shown models with its 95% interval, and the bounds of a sample market."""
    names, models = summary.horizon_names(metrics), metrics.get(part, {})
    rows = [
        [short_name(model), *(_with_interval(models[model].get(name)) for name in names)]
        for model in shown_models(model_order(list(models)))
    ]
    for key, label in summary.ORACLE_ROWS.items():
        if oracle is not None and key in oracle:
            rows.append([label, *(format_number(oracle[key].get(name)) for name in names)])
    return TextTable(f"{part.capitalize()} rank IC [95% interval]", ["", *names], rows)


def sharpe_table(metrics: Metrics, cost_bps: float, part: str = "test") -> TextTable:
    """Return the net Sharpe ratio of the plain long-short portfolio of the shown models."""
    names, models = summary.horizon_names(metrics), metrics.get(part, {})
    rows = [
        [short_name(model), *(summary.sharpe_cell(models[model].get(name)) for name in names)]
        for model in shown_models(model_order(list(models)))
    ]
    caption = f"{part.capitalize()} net Sharpe a year [95% interval] of the plain portfolio, {cost_bps:g} bps a side"
    return TextTable(caption, ["", *names], rows)


def full_tables(metrics: Metrics, part: str) -> list[TextTable]:
    """Return every number of metrics.json of a part, one table per horizon."""
    models = metrics[part]
    return [
        TextTable(
            f"{part} part, {name} horizon",
            ["", *(heading for heading, _ in COLUMNS.values())],
            [[model, *cells(models[model].get(name, {}), COLUMNS)] for model in model_order(list(models))],
        )
        for name in summary.horizon_names(metrics, part)
    ]


def portfolio_tables(measured: Mapping[str, Any], cost_bps: float, part: str = "test") -> list[TextTable]:
    """Return the portfolios of the shown models after costs, one table per portfolio and horizon."""
    models: Mapping[str, Any] = measured.get(part, {})
    shown = shown_models(model_order(list(models)))
    first: Mapping[str, Any] = next(iter(models.values()), {})
    tables = []
    for portfolio, title in PORTFOLIOS.items():
        for name in first.get(portfolio, {}):
            rows = [_portfolio_row(model, models[model][portfolio][name], cost_bps) for model in shown]
            caption = f"{title}, {name} horizon, {part} part, {cost_bps:g} bps a side"
            head = ["", *(heading for heading, _ in PORTFOLIO_COLUMNS.values()), "turnover", "break-even bps"]
            tables.append(TextTable(caption, head, rows))
    return tables


def cost_table(portfolio: Mapping[str, Any], model: str = "model", part: str = "test") -> TextTable | None:
    """Return the model's long-short Sharpe ratio at every cost and horizon; None without the model."""
    horizons = portfolio.get(part, {}).get(model, {}).get("long_short", {})
    first: Mapping[str, Any] = next(iter(horizons.values()), {})
    costs = list(first.get("costs", {}))
    rows = [[f"{cost} bps", *(_sharpe_at(horizons[name]["costs"][cost]) for name in horizons)] for cost in costs]
    caption = "Net Sharpe a year [95% interval] by cost a side, long-short portfolio"
    return TextTable(caption, ["", *horizons], rows) if rows else None


def fold_table(folds: Mapping[str, Any]) -> list[TextTable]:
    """Return rank IC and net Sharpe of every fold of a walk-forward evaluation, one table per horizon.

    Args:
        folds: walk_forward_metrics.json.
    """
    test, spans = folds["test"], [fold["split"]["test"] for fold in folds["folds"]]
    models = [name for name in shown_models(model_order(list(test))) if name in test]
    tables = []
    for name in next(iter(test.values()), {}):
        rows = [
            [
                model,
                *(_fold_cell(test[model][name]["folds"].get(str(k))) for k in range(1, len(spans) + 1)),
                _fold_cell(test[model][name]),
            ]
            for model in models
        ]
        head = ["", *(f"{k}: {first[:7]}" for k, (first, _) in enumerate(spans, start=1)), "all folds"]
        tables.append(TextTable(f"Rank IC [95% interval] by test fold, {name} horizon", head, rows))
    return tables


def issue_table(quality_report: Mapping[str, Any]) -> TextTable | None:
    """Return what was wrong with the bars and what was done; None where nothing was counted."""
    found = quality_report.get("issues", {})
    rows = [
        [name.replace("_", " "), f"{issue['rows']:,}", f"{issue['codes']:,}", issue["rule"]]
        for name, issue in found.items()
        if issue["rows"]
    ]
    return TextTable("Findings", ["finding", "rows", "codes", "what is done"], rows) if rows else None


def cells(numbers: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the formatted values of the columns; an en dash where there is none."""
    return [_cell(numbers.get(key), spec) for key, (_, spec) in columns.items()]


def _cell(value: Any, spec: str) -> str:
    if isinstance(value, list | tuple):
        return format_interval((value[0], value[1]), spec)
    return format_number(value, spec)


def _with_interval(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None or numbers["rank_ic"] is None:
        return EN_DASH
    text, interval = format_number(numbers["rank_ic"]), numbers["rank_ic_ci"]
    return text if None in interval else f"{text} {format_interval(interval, '+.3f')}"


def _portfolio_row(model: str, portfolio: Mapping[str, Any], cost_bps: float) -> list[str]:
    after = portfolio["costs"][f"{cost_bps:g}"]
    ends = [format_number(portfolio["turnover"], ".0%"), format_number(portfolio["break_even_bps"], ".1f")]
    return [model, *cells(after, PORTFOLIO_COLUMNS), *ends]


def _sharpe_at(after: Mapping[str, Any]) -> str:
    interval = format_interval(after["sharpe_active_ci"], "+.1f")
    return f"{format_number(after['sharpe_active'], '+.2f')} {interval}"


def _fold_cell(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return EN_DASH
    interval = format_interval(numbers["rank_ic_ci"], "+.3f")
    return f"{format_number(numbers['rank_ic'], '+.4f')} {interval}"
