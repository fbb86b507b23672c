"""Tables behind the first screen of the report, from key_results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gogooku_kedro.baselines import table as models
from gogooku_kedro.report.numbers import format_interval, format_number
from gogooku_kedro.report.tables import TextTable

GRAPH_STATISTICS = {"rank_ic": ("rank IC", "+.4f"), "sharpe_net": ("net Sharpe", "+.2f")}


def behind_the_answers(key_results: Mapping[str, Any]) -> list[TextTable]:
    """Return the wider tables behind the first screen."""
    better = key_results["better"]
    names = list(better["horizons"]) or list(key_results["tradable"]["horizons"])
    found = {better["rival"]: better["horizons"], **better["others"]}
    shown = [rival for rival in models.rivals() if found.get(rival.name) or rival.name == models.RIVAL]
    rows = [[rival.label, *(difference(found[rival.name].get(name)) for name in names)] for rival in shown]
    tables = [TextTable("Rank IC of the model less that of …, paired by session [95% interval]", ["", *names], rows)]
    tables.append(_tradable_table(key_results["tradable"]))
    tables += _graph_tables(key_results["graph"], names)
    if key_results["regimes"]:
        tables.append(_regime_table(key_results["regimes"], names))
    return [table for table in tables if table.rows]


def _tradable_table(tradable: Mapping[str, Any]) -> TextTable:
    columns = {
        "sharpe_net": ("net Sharpe", "+.2f"),
        "ci95": ("95% interval", "+.1f"),
        "sharpe_gross": ("gross Sharpe", "+.2f"),
        "probabilistic_sharpe": ("probabilistic Sharpe", ".0%"),
        "deflated_sharpe": ("deflated Sharpe", ".0%"),
        "max_drawdown": ("largest drawdown", ".1%"),
        "turnover": ("turnover a session", ".0%"),
        "break_even_bps": ("break-even bps", ".1f"),
    }
    rows = [
        [
            name,
            *(
                format_interval(cell[key], spec) if key == "ci95" else format_number(cell[key], spec)
                for key, (_, spec) in columns.items()
            ),
        ]
        for name, cell in tradable["horizons"].items()
    ]
    caption = (
        f"Long-short portfolio of the model after {tradable['cost_bps']:g} bps a side ({tradable['source']}); it "
        "earns where the whole interval lies above 0"
    )
    return TextTable(caption, ["", *(heading for heading, _ in columns.values())], rows)


def _graph_tables(graph: Mapping[str, Any], names: Sequence[str]) -> list[TextTable]:
    rows = [
        [
            f"{label}, {name}",
            *(format_number(cell[statistic][key], spec) for key in ("on", "off", "diff")),
            format_interval(cell[statistic]["ci95"], spec),
            format_number(cell[statistic]["relative"], "+.0%"),
            format_interval(cell[statistic]["relative_ci95"], "+.0%"),
            format_number(cell[statistic]["goal"], "+.0%"),
            cell[statistic]["verdict"],
            format_number(cell[statistic]["days_to_decide"], ",.0f"),
        ]
        for statistic, (label, spec) in GRAPH_STATISTICS.items()
        for name, cell in graph["horizons"].items()
    ]
    head = ["", "on", "off", "difference", "95% interval", "relative", "95% interval"]
    effect = TextTable(
        "Graph network on and off, from the ablation", [*head, "goal", "verdict", "days to decide"], rows
    )
    trees = ["peers less own features", *(difference(graph["trees"].get(name)) for name in names)]
    caption = "Trees: rank IC with the neighbours' mean features less that without anything of the graph"
    return [effect, TextTable(caption, ["", *names], [trees] if graph["trees"] else [])]


def _regime_table(regimes: Mapping[str, Any], names: Sequence[str]) -> TextTable:
    rows = [
        [
            f"{model}, {regime} months ({of['months']})",
            *(format_number(of[model].get(name)) for name in names),
        ]
        for regime, of in regimes.items()
        for model in (models.NETWORK, models.RIVAL)
        if model in of
    ]
    caption = "Rank IC in months in which the equally weighted universe rose, and in which it fell"
    return TextTable(caption, ["", *names], rows)


def difference(cell: Mapping[str, Any] | None) -> str:
    """Return the difference in rank IC with its interval, an en dash where there is none."""
    if cell is None:
        return format_number(None)
    return f"{format_number(cell['difference'])} {format_interval(cell['ci95'], '+.3f')}"
