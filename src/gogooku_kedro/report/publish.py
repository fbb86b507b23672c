"""What a run tells at its end: tables and answers in the terminal, figures and pages in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow
import pandas as pd
import plotly.graph_objects as go
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.columns import sorted_horizons
from gogooku_kedro.market.quality import summary
from gogooku_kedro.params.base import flatten
from gogooku_kedro.report.cards import effect_cards, terminal_lines
from gogooku_kedro.report.evidence import entry_rule
from gogooku_kedro.report.figures.style import model_order
from gogooku_kedro.report.formats import EN_DASH, format_number
from gogooku_kedro.report.names import short_name, shown_models
from gogooku_kedro.report.provenance import command
from gogooku_kedro.report.results import (
    GatEffect,
    KeyResults,
    Metrics,
    ModelMetrics,
    PortfolioMetrics,
    horizon_names,
    parse,
)
from gogooku_kedro.report.tables import ORACLE_ROWS, Oracle, net_sharpe

FIRST_ROWS = 10
"""Rows of the ranking that are printed."""


def show_ingestion(quality_report: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Print what the ingestion read, dropped, shifted and made missing, and where the whole report is."""
    _print(summary(quality_report), files)


def show_metrics(
    metrics: Mapping[str, Any],
    oracle: Oracle | None,
    entry: str,
    files: Mapping[str, str],
    portfolios: Mapping[str, Any] | None = None,
) -> None:
    """Print the model beside its baselines, and where the files with more are.

    Args:
        metrics: metrics.json or walk_forward_metrics.json.
        oracle: As of `summary_table`.
        entry: `labels.entry`.
        files: Name of a dataset -> its path.
        portfolios: portfolio_metrics.json, None where no portfolio was simulated.
    """
    ratios = {} if portfolios is None else _net_ratios(PortfolioMetrics.of(portfolios), metrics["run"]["cost_bps"])
    Console().print(summary_table(parse(Metrics, metrics), oracle, entry, ratios))
    _print([], files)


def show_ranking(ranking: pd.DataFrame, quality_report: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Print what was ranked, of which source and session, the first rows, and where the whole ranking is.

    Args:
        ranking: `latest_ranking`.
        quality_report: Of the bars that the panel was made of.
        files: Name of a dataset -> its path.
    """
    session, last = f"{ranking['date'].iloc[0]:%Y-%m-%d}", quality_report["to"]
    ends = "" if session == last else f" (the bars end on {last}, where no stock has a cross-section)"
    lines = [
        f"ranking of {quality_report['source']}",
        f"session {session}{ends}, {len(ranking):,} stocks in the universe of {quality_report['codes']:,} codes; "
        f"rank and percentile by score_20d",
    ]
    _print(lines, {})
    scores = [name for name in ranking if str(name).startswith("score_")]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("rank", justify="right", min_width=4)
    table.add_column("code", min_width=6)
    table.add_column("sector", no_wrap=True, max_width=18)  # the one that gives way on a narrow terminal
    table.add_column("percentile", justify="right", min_width=10)
    for name in scores:
        table.add_column(str(name).replace("_", "\n"), justify="right", min_width=6)
    for row in ranking.head(FIRST_ROWS).to_dict("records"):
        sector = "" if pd.isna(row["sector"]) else str(row["sector"])
        numbers = [f"{row[name]:+.3f}" for name in scores]
        table.add_row(f"{row['rank']}", str(row["code"]), sector, f"{row['percentile']:.3f}", *numbers)
    Console().print(table)
    _print([], files)


def show_registered(model: str) -> None:
    """Print what a trained model is called in MLflow's registry."""
    _print([f"registered: {model}"], {})


def show_answers(key_results: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Print the answers of key_results.json, and where the report is."""
    _print(terminal_lines(parse(KeyResults, key_results)), files)


def show_effect(effect: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Print whether the goals of the graph network are met, and which command shows gat_effect.json."""
    found = GatEffect.of(effect)
    _print([f"{card.question} {card.text}" for card in effect_cards(found)], files)
    _print([f"the report shows it: {command('report', found.run)}"], {})


def show_tuning(found: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Print the best trial of a tuning, how many trials count on the data, and where the files are."""
    from gogooku_kedro.report.tuning import verdict  # noqa: PLC0415 - Optuna, which other runs do not need

    counted = f"{found['trials']['counted']} trials on this data count for the deflated Sharpe ratio"
    _print([f"{verdict(found, None)} {counted}"], files)


def log_tuning(found: Mapping[str, Any], page: str) -> None:
    """Log the best value and the number of trials of a tuning to the open MLflow run, and its page."""
    numbers = {name: found["trials"][name] for name in ("finished", "pruned", "diverged", "counted")}
    best = {} if found["best"] is None else {"best": found["best"]["value"]}
    log_numbers(numbers | best, "tuning")
    mlflow.log_dict(dict(found), "tuning_study.json")
    mlflow.log_text(page, "tuning_page.html")


def log_numbers(tree: Mapping[str, Any], prefix: str = "") -> None:
    """Log the numbers of nested results to the open MLflow run, under their path."""
    found = flatten({prefix: tree} if prefix else tree, "/")
    mlflow.log_metrics({k: float(v) for k, v in found.items() if isinstance(v, int | float)})


def log_metrics(metrics: Mapping[str, Any], prefix: str) -> None:
    """Log the network's rank IC of every part and horizon to the open MLflow run, and metrics.json as a file.

    That of the validation part is `final_valid`, because `valid` is the curve of the training.
    """
    names = {"valid": "final_valid", "test": "test"}
    parts = {name: metrics[part].get(NETWORK, {}) for part, name in names.items() if part in metrics}
    found = {part: {f"rank_ic_{name}": of["rank_ic"] for name, of in cells.items()} for part, cells in parts.items()}
    log_numbers(found, prefix)
    mlflow.log_dict(dict(metrics), f"{prefix or 'metrics'}.json")


def log_effect(effect: Mapping[str, Any]) -> None:
    """Log what the graph network adds, by statistic and horizon, to the open MLflow run; the rest is in the file."""
    log_numbers(
        {name: {of: gain["diff"] for of, gain in effect[name].items()} for name in sorted_horizons(effect)},
        "gat_effect",
    )
    mlflow.log_dict(dict(effect), "gat_effect.json")


def log_answers(key_results: Mapping[str, Any]) -> None:
    """Log about twenty numbers of key_results.json to the open MLflow run, the answers as its description.

    Per horizon: the difference from the best baseline, that baseline's rank IC, the net and the deflated Sharpe ratio
    and the turnover.
    """
    found = parse(KeyResults, key_results)
    numbers: dict[str, dict[str, float | None]] = {}
    for name, cell in found.better.horizons.items():
        numbers[f"less_best_baseline_{name}"] = {"rank_ic": cell.difference}
        numbers[f"best_baseline_{name}"] = {"rank_ic": cell.baseline}
    for name, earned in found.tradable.horizons.items():
        numbers[f"portfolio_{name}"] = {
            "net_sharpe": earned.sharpe_net,
            "deflated_sharpe": earned.deflated_sharpe,
            "turnover": earned.turnover,
        }
    log_numbers(numbers, "")
    mlflow.set_tag("best_baseline", found.better.baseline)
    mlflow.set_tag("mlflow.note.content", "\n\n".join(terminal_lines(found)))
    mlflow.log_dict(dict(key_results), "key_results.json")


def log_report(report: str, model_card: str, figures: Mapping[str, go.Figure]) -> None:
    """Log both pages and every figure of the report to the open MLflow run."""
    mlflow.log_text(report, "report.html")
    mlflow.log_text(model_card, "model_card.md")
    for name, figure in figures.items():
        mlflow.log_text(figure.to_html(include_plotlyjs=True), f"figures/{name}.html")  # opens offline


def _net_ratios(portfolios: PortfolioMetrics, cost_bps: float) -> dict[str, dict[str, float | None]]:
    get = net_sharpe(cost_bps)
    return {
        model: {name: get(portfolio).value for name, portfolio in of.get(LONG_SHORT, {}).items()}
        for model, of in portfolios.test.items()
    }


def summary_table(
    metrics: Metrics,
    oracle: Oracle | None = None,
    entry: str = "next_open",
    ratios: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Table:
    """Return a terminal table of the test part: rank IC (t) and net Sharpe per model and horizon.

    Of the neutral versions only the model's own are shown; names are short (`short_name`) so that the table
    fits into 80 columns.

    Args:
        metrics: metrics.json.
        oracle: {"with_graph" | "without_graph": {"1d": rank IC, ...}} of a sample market.
        entry: `labels.entry`.
        ratios: Model -> horizon -> net Sharpe ratio of the simulated long-short portfolio; where none was simulated
            the table has the decile Sharpe.
    """
    names, part = horizon_names(metrics.test), metrics.test
    below = "net Sharpe" if ratios else "decile Sharpe"
    title = f"test: rank IC (Newey-West t), below it the {below}; {entry_rule(entry)}"
    table = Table(
        title=title,
        min_width=len(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for model in shown_models(model_order(list(part))):
        held = ratios.get(model, {}) if ratios else {name: cell.sharpe_net for name, cell in part[model].items()}
        cells = [_terminal_cell(part[model].get(name), held.get(name)) for name in names]
        table.add_row(short_name(model), *cells, style="bold" if model == NETWORK else None)
    for key, label in ORACLE_ROWS.items():
        if oracle is not None and key in oracle:
            expected = [format_number(oracle[key].get(name)) for name in names]
            table.add_row(label, *expected, style="italic")
    return table


def _terminal_cell(cell: ModelMetrics | None, ratio: float | None) -> str:
    if cell is None:
        return EN_DASH
    t = "" if cell.rank_ic is None else f" ({format_number(cell.rank_ic_t, '.1f')})"
    return f"{format_number(cell.rank_ic, '+.3f')}{t}\nSR {format_number(ratio, '+.2f')}"


def _print(lines: list[str], files: Mapping[str, str]) -> None:
    console = Console()
    for line in (*lines, *(f"{name}: {path}" for name, path in files.items())):
        console.print(line, soft_wrap=True, highlight=False)
