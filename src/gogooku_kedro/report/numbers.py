"""Verdicts and tables that both the terminal and the HTML report show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from gogooku_kedro.baselines.table import NETWORK, RIVAL
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.paired import PairedDifference, paired_difference
from gogooku_kedro.report.figures.style import model_order
from gogooku_kedro.report.names import short_name, shown_models

EN_DASH = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"
ORACLE_ROWS = {
    "with_graph": "bound with graph",
    "without_graph": "bound, no graph",
}

Metrics = Mapping[str, Any]
Oracle = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Verdict:
    """Answer for one horizon: "better", "worse" or "undecided", with what it rests on."""

    horizon: str
    answer: str
    comparison: PairedDifference


def format_number(value: float | None, spec: str = "+.4f") -> str:
    """Return the number in a format; missing (None or NaN) as an en dash, minus as U+2212."""
    if value is None or math.isnan(value):
        return EN_DASH
    return format(value, spec).replace("-", "\N{MINUS SIGN}")


def format_interval(interval: list[float | None] | tuple[float, float], spec: str = "+.2f") -> str:
    """Return "[low, high]", or an en dash when an end is missing."""
    low, high = (format_number(end, spec) for end in interval)
    return EN_DASH if EN_DASH in (low, high) else f"[{low},{NO_BREAK}{high}]"


def side_of_zero(low: float | None, high: float | None) -> str:
    """Return "positive", "negative" or "undecided" (interval covers 0), or "unknown"."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "unknown"
    if low > 0:
        return "positive"
    return "negative" if high < 0 else "undecided"


def horizon_names(metrics: Metrics, split: str = "test") -> list[str]:
    """Return the horizon names of metrics.json in increasing order."""
    names = {name for model in metrics.get(split, {}).values() for name in model}
    return sorted(names, key=horizon_sessions)


def compare_models(
    daily: pd.DataFrame,
    first: str = NETWORK,
    second: str = RIVAL,
    *,
    split: str = "test",
    column: str = "rank_ic",
) -> list[Verdict]:
    """Return, per horizon, whether `first` beats `second`, day by day on the same dates.

    "better" and "worse" need a 95% interval of the mean daily difference (`mean_interval`) that
    excludes 0; otherwise the answer is "undecided", or "unknown" with too few common days.

    Args:
        daily: Table of `daily_metrics`.
        first: Model in question.
        second: Model it is held against.
        split: Part of the split.
        column: Daily series to compare.

    Returns:
        Empty when either model is absent from the part.
    """
    rows = daily[daily["split"] == split]
    words = {"positive": "better", "negative": "worse"}
    verdicts = []
    for name, days in rows[rows["model"].isin([first, second])].groupby("horizon", sort=False):
        pair = days.pivot(index="date", columns="model", values=column)
        if first not in pair or second not in pair:
            continue
        result = paired_difference(
            pair[first],
            pair[second],
            horizon=horizon_sessions(name),
        )
        side = side_of_zero(result.low, result.high)
        verdicts.append(Verdict(str(name), words.get(side, side), result))
    return verdicts


def rank_ic_cell(numbers: Mapping[str, Any] | None, spec: str = "+.4f") -> str:
    """Return "rank IC (t value)" of one model and horizon, an en dash when there is none."""
    if numbers is None or numbers["rank_ic"] is None:
        return EN_DASH
    return f"{format_number(numbers['rank_ic'], spec)} ({format_number(numbers['rank_ic_t'], '.1f')})"


def sharpe_cell(numbers: Mapping[str, Any] | None) -> str:
    """Return "net Sharpe [low, high]" of one model and horizon, an en dash when there is none."""
    if numbers is None or numbers["sharpe_net"] is None:
        return EN_DASH
    interval = format_interval(numbers["sharpe_net_ci"], "+.1f")
    return f"{format_number(numbers['sharpe_net'], '+.2f')} {interval}"


def summary_table(metrics: Metrics, oracle: Oracle | None = None, split: str = "test") -> Table:
    """Return a terminal table: rank IC (t) and net Sharpe per model and horizon.

    Of the neutral versions only the model's own are shown; names are short (`short_name`) so that the table
    fits into 80 columns.

    Args:
        metrics: metrics.json as a mapping; only `split` is read.
        oracle: {"with_graph" | "without_graph": {"1d": rank IC, ...}} of a sample market.
        split: Part of the split.
    """
    names, part = horizon_names(metrics, split), metrics.get(split, {})
    table = Table(
        title=f"{split}: rank IC (Newey-West t), below it the net Sharpe of the long-short portfolio",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for model in shown_models(model_order(list(part))):
        cells = [_terminal_cell(part[model].get(name)) for name in names]
        table.add_row(short_name(model), *cells, style="bold" if model == NETWORK else None)
    for key, label in ORACLE_ROWS.items():
        if oracle is not None and key in oracle:
            bounds = [format_number(oracle[key].get(name)) for name in names]
            table.add_row(label, *bounds, style="italic")
    return table


def _terminal_cell(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return EN_DASH
    ratio = numbers["sharpe_net"]
    return f"{rank_ic_cell(numbers, '+.3f')}\nSR {format_number(ratio, '+.2f')}"
