"""The answers of a run in words: cards of the report and the model card, lines of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gogooku_kedro.report import provenance
from gogooku_kedro.report.formats import Estimate, format_interval, format_number
from gogooku_kedro.report.results import Better, GatEffect, Graph, GraphGain, KeyResults, Tradable
from gogooku_kedro.report.tables import GAINS, Column, Table, difference, gain_table, portfolio_name

WORTH_A_RATIO = 0.01
"""Below this rank IC of the baseline the gain in percent says nothing."""

GOALS = {"rank_ic": "rank IC", "sharpe_net": "net Sharpe"}


@dataclass(frozen=True)
class Card:
    """One question, the answer in words and the numbers behind it.

    Attributes:
        question: As a reader asks it.
        tone: good, bad or open.
        text: The answer, computed.
        table: Its numbers; None where there are none.
        note: What must be known before the numbers are trusted, or what to do where they are missing.
    """

    question: str
    tone: str
    text: str
    table: Table | None = None
    note: str = ""


def answer_cards(key_results: KeyResults) -> list[Card]:
    """Return the first screen: better than LightGBM, by how much, tradable, does the graph matter."""
    return [
        _better(key_results.better),
        _by_how_much(key_results),
        _tradable(key_results.tradable),
        _graph(key_results.graph),
    ]


def effect_cards(effect: GatEffect) -> list[Card]:
    """Return whether each goal of an ablation is met, horizon by horizon, on the scores as they come."""
    cards = []
    for statistic in GOALS:
        gains = {name: cells[statistic] for name, cells in effect.raw.horizons.items()}
        verdicts, label = {name: gain.verdict for name, gain in gains.items()}, GAINS[statistic][0]
        cards.append(
            Card(
                question=f"Does the graph network add {next(iter(gains.values())).goal:+.0%} {label}?",
                tone=_tone(verdicts, good="met", bad="not met"),
                text=_sentence(verdicts),
                table=gain_table(f"{label} of single models, test sessions", gains, statistic),
            )
        )
    return cards


def terminal_lines(key_results: KeyResults) -> list[str]:
    """Return two lines of at most 80 columns that answer the questions of the first screen."""
    better, tradable, graph = key_results.better.horizons, key_results.tradable, key_results.graph
    first = f"better than LightGBM at {_having(better, 'better')}"
    if cell := better.get(key_results.horizon or ""):
        first += f"; {key_results.horizon}: {format_number(cell.difference)} {format_interval(cell.ci95, '+.4f')}"
    second = f"earns after {tradable.cost_bps:g} bps at {_having(tradable.horizons, 'earns')}; graph "
    measured = provenance.usable(graph.state)
    second += f"matters at {_having(graph.horizons, 'matters')}" if measured else "not measured"
    return [first, second]


def _better(better: Better) -> Card:
    columns = [
        Column("model", "model", "+.4f"),
        Column("LightGBM", "baseline", "+.4f"),
        Column("p", "p", ".3f"),
        Column("answer", "answer"),
    ]
    answers = _answers(better.horizons)
    return Card(
        question="Is it better than LightGBM?",
        tone=_tone(answers, good="better", bad="worse"),
        text=_sentence(answers) or "Unknown: LightGBM or the model is missing from the test part.",
        table=_table("Mean rank IC of the test sessions, compared session by session", columns, better.horizons),
    )


def _by_how_much(key_results: KeyResults) -> Card:
    better, shown, tradable = key_results.better.horizons, key_results.horizon, key_results.tradable
    columns = [
        Column("rank IC", difference, "+.4f"),
        Column(
            f"net Sharpe, {tradable.cost_bps:g} bps",
            lambda cell: cell.sharpe_net and difference(cell.sharpe_net),
            "+.2f",
        ),
    ]
    text = "Unknown: there is nothing to compare."
    if cell := better.get(shown or ""):
        text = f"{format_number(cell.difference)} rank IC at {shown}"
        if (cell.baseline or 0.0) >= WORTH_A_RATIO:
            text += f" ({format_number(cell.relative, '+.0%')})"
    return Card(
        question="By how much?",
        tone=_tone(_answers(better), good="better", bad="worse"),
        text=text,
        table=_table(f"Model less LightGBM [95% interval]; Sharpe of the {portfolio_name(tradable)}", columns, better),
    )


def _tradable(tradable: Tradable) -> Card:
    columns = [
        Column("net Sharpe", lambda cell: Estimate(cell.sharpe_net, cell.ci95), "+.2f"),
        Column("deflated", "deflated_sharpe", ".0%"),
        Column(
            "lag-1 rank IC", lambda cell: f"{format_number(cell.rank_ic_one_day_late)} of {format_number(cell.rank_ic)}"
        ),
    ]
    trials = "" if tradable.trials is None else f"; deflated over {tradable.trials} trials"
    caption = f"Long-short deciles, {tradable.cost_bps:g} bps a side{trials}; {portfolio_name(tradable)}"
    answers = _answers(tradable.horizons)
    lucky = [name for name, cell in tradable.horizons.items() if cell.answer == "earns" and cell.luck]
    note = f"Deflated below 95% at {', '.join(lucky)}: the best of so many trials can be luck."
    return Card(
        question="Is it tradable after costs?",
        tone="open" if lucky else _tone(answers, good="earns", bad="loses"),
        text=_sentence(answers) or "Unknown: the model has no test part.",
        table=_table(caption, columns, tradable.horizons),
        note=note if lucky else "",
    )


def _graph(graph: Graph) -> Card:
    question, remark, answers = "Does the graph matter?", graph.remark or "", _answers(graph.horizons)
    if not graph.horizons:
        trained = [Column("rank IC", difference, "+.4f"), Column("answer", "answer")]
        caption = "A hint: LightGBM with the neighbours' features less LightGBM without [95% interval]"
        return Card(question, "open", "Not measured.", _table(caption, trained, graph.trees), remark)
    columns = [
        Column("rank IC", lambda cell: _gain(cell.rank_ic), "+.4f"),
        Column("net Sharpe", lambda cell: _gain(cell.sharpe_net), "+.2f"),
    ]
    seeds, folds = _plural(len(graph.seeds), "seed"), _plural(graph.folds or 0, "fold")
    return Card(
        question=question,
        tone=_tone(answers, good="matters", bad="harms"),
        text=_sentence(answers),
        table=_table(f"Graph network on less off, {seeds}, {folds} [95% interval]", columns, graph.horizons),
        note=f"{_goals(graph)} {remark}".rstrip(),
    )


def _goals(graph: Graph) -> str:
    """One sentence: where the goals of an ablation are met."""
    goals: dict[str, list[str]] = {}
    for statistic, label in GOALS.items():
        gains = {name: getattr(cell, statistic) for name, cell in graph.horizons.items()}
        verdicts = _grouped({name: gain.verdict for name, gain in gains.items()})
        goals.setdefault(verdicts, []).append(f"{format_number(next(iter(gains.values())).goal, '+.0%')} {label}")
    return "Goals: " + "; ".join(f"{' and '.join(names)} {verdict}" for verdict, names in goals.items()) + "."


def _gain(gain: GraphGain) -> Estimate:
    return Estimate(gain.diff, gain.ci95)


def _table(caption: str, columns: list[Column], horizons: Mapping[str, Any]) -> Table | None:
    return Table(caption, columns, list(horizons.items())) if horizons else None


def _answers(horizons: Mapping[str, Any]) -> dict[str, str]:
    return {name: cell.answer for name, cell in horizons.items()}


def _sentence(answers: Mapping[str, str]) -> str:
    text = _grouped(answers)
    return text[:1].upper() + text[1:]


def _grouped(answers: Mapping[str, str]) -> str:
    """The horizons behind each answer."""
    grouped: dict[str, list[str]] = {}
    for name, answer in answers.items():
        grouped.setdefault(answer, []).append(name)
    return "; ".join(f"{answer} at {', '.join(names)}" for answer, names in grouped.items())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _having(horizons: Mapping[str, Any], answer: str) -> str:
    return ", ".join(name for name, cell in horizons.items() if cell.answer == answer) or "no horizon"


def _tone(answers: Mapping[str, str], *, good: str, bad: str) -> str:
    found = set(answers.values())
    return "good" if found == {good} else "bad" if found == {bad} else "open"
