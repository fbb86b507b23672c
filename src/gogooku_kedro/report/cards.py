"""The answers of key_results.json in words: cards of the report, tables behind them, lines of the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gogooku_kedro.report import provenance
from gogooku_kedro.report.card_tables import GRAPH_STATISTICS, difference
from gogooku_kedro.report.numbers import format_interval, format_number
from gogooku_kedro.report.tables import TextTable

KeyResults = Mapping[str, Any]

WORTH_A_RATIO = 0.01
"""Below this rank IC of the rival the gain in percent says nothing."""


@dataclass(frozen=True)
class Answer:
    """One question of the first screen: the answer in words and the numbers behind it.

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
    table: TextTable | None
    note: str = ""


def answer_cards(key_results: KeyResults) -> list[Answer]:
    """Return the first screen: better than LightGBM, by how much, tradable, does the graph matter."""
    return [
        _better(key_results["better"]),
        _by_how_much(key_results),
        _tradable(key_results["tradable"]),
        _graph(key_results["graph"]),
    ]


def terminal_lines(key_results: KeyResults) -> list[str]:
    """Return two lines of at most 80 columns that answer the questions of the first screen."""
    shown, better = key_results["horizon"], key_results["better"]["horizons"]
    first = f"better than LightGBM at {_having(better, 'better')}"
    if shown in better:
        interval = format_interval(better[shown]["ci95"], "+.4f")
        first += f"; {shown}: {format_number(better[shown]['difference'])} {interval}"
    tradable, graph = key_results["tradable"], key_results["graph"]
    second = f"earns after {tradable['cost_bps']:g} bps at {_having(tradable['horizons'], 'earns')}; graph "
    measured = provenance.usable(graph["state"])
    second += f"matters at {_having(graph['horizons'], 'matters')}" if measured else "not measured"
    return [first, second]


def _better(better: Mapping[str, Any]) -> Answer:
    rows = [
        [
            name,
            format_number(cell["model"]),
            format_number(cell["rival"]),
            format_number(cell["p"], ".3f"),
            cell["answer"],
        ]
        for name, cell in better["horizons"].items()
    ]
    head = ["", "model", "LightGBM", "p", "answer"]
    caption = "Mean rank IC of the test sessions, compared day by day"
    return Answer(
        question="Is it better than LightGBM?",
        tone=_tone(better["horizons"], good="better", bad="worse"),
        text=_by_answer(better["horizons"]) or "Unknown: LightGBM or the model is missing from the test part.",
        table=TextTable(caption, head, rows) if rows else None,
    )


def _by_how_much(key_results: KeyResults) -> Answer:
    better, shown = key_results["better"]["horizons"], key_results["horizon"]
    rows = [
        [
            name,
            f"{format_number(cell['difference'])} {format_interval(cell['ci95'], '+.3f')}",
            _sharpe_difference(cell.get("sharpe_net")),
        ]
        for name, cell in better.items()
    ]
    text = "Unknown: there is nothing to compare."
    if shown in better:
        cell = better[shown]
        text = f"{format_number(cell['difference'])} rank IC at {shown}"
        if (cell["rival"] or 0.0) >= WORTH_A_RATIO:
            text += f" ({format_number(cell['relative'], '+.0%')})"
    cost = key_results["tradable"]["cost_bps"]
    head = ["", "rank IC", f"net Sharpe, {cost:g} bps"]
    return Answer(
        question="By how much?",
        tone=_tone(better, good="better", bad="worse"),
        text=text,
        table=TextTable("Model less LightGBM [95% interval over days]", head, rows) if rows else None,
    )


def _tradable(tradable: Mapping[str, Any]) -> Answer:
    rows = [
        [
            name,
            f"{format_number(cell['sharpe_net'], '+.2f')} {format_interval(cell['ci95'], '+.1f')}",
            format_number(cell["deflated_sharpe"], ".0%"),
            f"{format_number(cell['rank_ic_one_day_late'])} of {format_number(cell['rank_ic'])}",
        ]
        for name, cell in tradable["horizons"].items()
    ]
    trials = "" if tradable["trials"] is None else f"; deflated over {tradable['trials']} trials"
    caption = f"Long-short deciles, {tradable['cost_bps']:g} bps a side{trials}"
    tone = _tone(tradable["horizons"], good="earns", bad="loses")
    lucky = [name for name, cell in tradable["horizons"].items() if cell["answer"] == "earns" and cell["luck"]]
    note = f"Deflated below 95% at {', '.join(lucky)}: the best of so many trials can be luck."
    return Answer(
        question="Is it tradable after costs?",
        tone="open" if lucky else tone,
        text=_by_answer(tradable["horizons"]) or "Unknown: the model has no test part.",
        table=TextTable(caption, ["", "net Sharpe", "deflated", "rank IC one day late"], rows) if rows else None,
        note=note if lucky else "",
    )


def _graph(graph: Mapping[str, Any]) -> Answer:
    question, remark = "Does the graph matter?", graph["remark"] or ""
    if not graph["horizons"]:
        return Answer(question, "open", "Not measured.", _trees(graph["trees"]), remark)
    rows = [
        [
            name,
            *(_graph_difference(cell[statistic], spec) for statistic, (_, spec) in GRAPH_STATISTICS.items()),
        ]
        for name, cell in graph["horizons"].items()
    ]
    seeds, folds = len(graph["seeds"]), graph["folds"]
    caption = f"Graph network on less off, {_plural(seeds, 'seed')}, {_plural(folds, 'fold')} [95% interval]"
    return Answer(
        question=question,
        tone=_tone(graph["horizons"], good="matters", bad="harms"),
        text=_by_answer(graph["horizons"]),
        table=TextTable(caption, ["", *(label for label, _ in GRAPH_STATISTICS.values())], rows),
        note=" ".join(filter(None, [_goals(graph["horizons"]), remark])),
    )


def _trees(trees: Mapping[str, Mapping[str, Any]]) -> TextTable | None:
    """A hint where the network itself was not asked."""
    rows = [[name, difference(cell), cell["answer"]] for name, cell in trees.items()]
    caption = "A hint: LightGBM with the neighbours' features less without [95% interval]"
    return TextTable(caption, ["", "rank IC", "answer"], rows) if rows else None


def _graph_difference(cell: Mapping[str, Any], spec: str) -> str:
    interval = "+.3f" if spec == "+.4f" else "+.1f"
    return f"{format_number(cell['diff'], spec)} {format_interval(cell['ci95'], interval)}"


def _goals(horizons: Mapping[str, Mapping[str, Any]]) -> str:
    """One sentence: where the goals of an ablation are met."""
    goals: dict[str, list[str]] = {}
    for statistic, (label, _) in GRAPH_STATISTICS.items():
        goal = next(iter(horizons.values()))[statistic]["goal"]
        verdicts = _grouped({name: cell[statistic]["verdict"] for name, cell in horizons.items()})
        goals.setdefault(verdicts, []).append(f"{format_number(goal, '+.0%')} {label}")
    return "Goals: " + "; ".join(f"{' and '.join(names)} {verdict}" for verdict, names in goals.items()) + "."


def _sharpe_difference(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return format_number(None)
    return f"{format_number(cell['difference'], '+.2f')} {format_interval(cell['ci95'], '+.1f')}"


def _by_answer(horizons: Mapping[str, Mapping[str, Any]]) -> str:
    """One sentence: the horizons behind each answer."""
    text = _grouped({name: cell["answer"] for name, cell in horizons.items()})
    return text[:1].upper() + text[1:]


def _grouped(answers: Mapping[str, str]) -> str:
    grouped: dict[str, list[str]] = {}
    for name, answer in answers.items():
        grouped.setdefault(answer, []).append(name)
    return "; ".join(f"{answer} at {', '.join(names)}" for answer, names in grouped.items())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _having(horizons: Mapping[str, Mapping[str, Any]], answer: str) -> str:
    return ", ".join(name for name, cell in horizons.items() if cell["answer"] == answer) or "no horizon"


def _tone(horizons: Mapping[str, Mapping[str, Any]], *, good: str, bad: str) -> str:
    answers: Iterable[str] = [cell["answer"] for cell in horizons.values()]
    if answers and all(answer == good for answer in answers):
        return "good"
    return "bad" if answers and all(answer == bad for answer in answers) else "open"
