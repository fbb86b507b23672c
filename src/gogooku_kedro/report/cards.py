"""The answers of a run in words: cards of the report and the model card, lines of the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.report import provenance
from gogooku_kedro.report.charts import Chart, Mark
from gogooku_kedro.report.figures.style import colour_of, horizon_colour
from gogooku_kedro.report.formats import Estimate, format_interval, format_number
from gogooku_kedro.report.names import short_name, spoken_name
from gogooku_kedro.report.results import Better, Comparison, Earnings, GatEffect, Graph, GraphGain, KeyResults, Tradable
from gogooku_kedro.report.tables import GAINS, Column, Table, difference, gain_table, portfolio_name

WORTH_A_RATIO = 0.01
"""Below this rank IC of the baseline the gain in percent says nothing."""

SHORT = ("1d", "5d")
"""Horizons whose gain of the graph stands in the terminal."""

GOALS = {"rank_ic": "rank IC", "sharpe_net": "decile Sharpe"}


@dataclass(frozen=True)
class Card:
    """One question, the answer in words and the numbers behind it.

    Attributes:
        question: As a reader asks it.
        tone: good, bad or open.
        text: The answer, computed.
        table: Its numbers; None where there are none.
        note: What must be known before the numbers are trusted, or what to do where they are missing.
        chart: Its numbers drawn; None where there are none.
    """

    question: str
    tone: str
    text: str
    table: Table | None = None
    note: str = ""
    chart: Chart | None = None


def answer_cards(key_results: KeyResults) -> list[Card]:
    """Return the first screen: better than the best baseline, by how much, tradable, does the graph matter."""
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
                chart=_intervals(f"{label}, on less off", gains, _gain, GAINS[statistic][1]),
            )
        )
    return cards


def terminal_lines(key_results: KeyResults) -> list[str]:
    """Return lines of at most 80 columns that answer the questions of the first screen.

    They are two, and a third with the figures of the network without its GAT where the run trained it too.
    """
    better, tradable, graph = key_results.better.horizons, key_results.tradable, key_results.graph
    first = f"better than {short_name(key_results.better.baseline)} at {_having(better, 'better')}"
    if cell := better.get(key_results.horizon or ""):
        first += f"; {key_results.horizon}: {format_number(cell.difference)} {format_interval(cell.ci95, '+.4f')}"
    second = f"earns after {tradable.cost_bps:g} bps at {_having(tradable.horizons, 'earns')}; graph "
    measured = provenance.usable(graph.state)
    if measured or not graph.arm:
        second += f"matters at {_having(graph.horizons, 'matters')}" if measured else "not measured"
        return [first, second]
    gains = _gains_of_arm(graph)
    found = [f"{name} {_estimate(graph.arm[name])}" for name in SHORT if name in graph.arm]
    return [first, f"{second}adds at {_names(gains, 'adds')}", f"graph on - off {'; '.join(found)}"]


def _estimate(cell: Comparison) -> str:
    return f"{format_number(cell.difference)} {format_interval(cell.ci95, '+.4f')}"


def _gains_of_arm(graph: Graph) -> dict[str, str]:
    """Say at every horizon what the network has over itself without its GAT; no control says why."""
    words = {"better": "adds", "worse": "costs"}
    return {name: words.get(cell.answer or "", cell.answer or "unknown") for name, cell in graph.arm.items()}


def _better(better: Better) -> Card:
    name = spoken_name(better.baseline)
    columns = [
        Column("model", "model", "+.4f"),
        Column(name, "baseline", "+.4f"),
        Column("p", "p", ".3f"),
        Column("answer", "answer"),
    ]
    answers = _answers(better.horizons)
    return Card(
        question=f"Is it better than {name}, the best baseline?",
        tone=_tone(answers, good="better", bad="worse"),
        text=_sentence(answers) or f"Unknown: {name} or the model is missing from the test part.",
        table=_table("Mean rank IC of the test sessions, compared session by session", columns, better.horizons),
        note=_beside_others(better),
        chart=_intervals(f"Rank IC of the model less that of {name}", better.horizons, difference),
    )


def _beside_others(better: Better) -> str:
    """Where the other baselines stand, horizons together: none of them hides behind the best."""
    grouped: dict[str, list[str]] = {}
    for name, horizons in better.baselines.items():
        found = set(_answers(horizons).values())
        word = "worse at some horizon than" if "worse" in found else "undecided at some horizon beside"
        if found:
            grouped.setdefault("better at every horizon than" if found == {"better"} else word, []).append(name)
    beside = "; ".join(f"{word} {', '.join(map(short_name, names))}" for word, names in grouped.items())
    return f"{beside[:1].upper()}{beside[1:]}." if beside else ""


def _by_how_much(key_results: KeyResults) -> Card:
    better, tradable = key_results.better.horizons, key_results.tradable
    name, shown = spoken_name(key_results.better.baseline), _decided(better, key_results.horizon)
    columns = [
        Column("rank IC", difference, "+.4f"),
        Column(
            f"net Sharpe, {tradable.cost_bps:g} bps",
            lambda cell: cell.sharpe_net and difference(cell.sharpe_net),
            "+.2f",
        ),
    ]
    text = "Not decided at any horizon." if better else "Unknown: there is nothing to compare."
    if shown is not None:
        cell = better[shown]
        text = f"{format_number(cell.difference)} rank IC at {shown}"
        if (cell.baseline or 0.0) >= WORTH_A_RATIO:
            text += f" ({format_number(cell.relative, '+.0%')})"
    colours = (colour_of(NETWORK), colour_of(key_results.better.baseline))
    pairs = [
        (horizon, [Mark(cell.model, colours[0], name="model"), Mark(cell.baseline, colours[1], name=name)])
        for horizon, cell in better.items()
    ]
    return Card(
        question="By how much?",
        tone=_tone(_answers(better), good="better", bad="worse"),
        text=text,
        table=_table(f"Model less {name} [95% interval]; Sharpe of the {portfolio_name(tradable)}", columns, better),
        chart=Chart("Rank IC of both", pairs) if pairs else None,
    )


def _decided(horizons: Mapping[str, Comparison], shown: str | None) -> str | None:
    """The horizon whose number may stand in large type: one whose interval excludes 0, `shown` before others."""
    found = [name for name, cell in horizons.items() if cell.answer in ("better", "worse")]
    return shown if shown in found else next(iter(found), None)


def _intervals(caption: str, horizons: Mapping[str, Any], get: Callable[[Any], Estimate], spec: str = "+.2f") -> Chart:
    rows = [(name, [Mark(found.value, horizon_colour(name), found.ci95)]) for name, found in _each(horizons, get)]
    return Chart(caption, rows, spec)


def _each(horizons: Mapping[str, Any], get: Callable[[Any], Estimate]) -> list[tuple[str, Estimate]]:
    return [(name, get(cell)) for name, cell in horizons.items()]


def _tradable(tradable: Tradable) -> Card:
    columns = [
        Column("net Sharpe", _earned, "+.2f"),
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
        chart=_intervals("Net Sharpe a year", tradable.horizons, _earned, "+.1f"),
    )


def _earned(cell: Earnings) -> Estimate:
    return Estimate(cell.sharpe_net, cell.ci95)


def _graph(graph: Graph) -> Card:
    question, remark, answers = "Does the graph matter?", graph.remark or "", _answers(graph.horizons)
    if graph.arm and not graph.horizons:
        return _arm(graph, question, remark)
    if not graph.horizons:
        trained = [Column("rank IC", difference, "+.4f"), Column("answer", "answer")]
        caption = "A hint: LightGBM with the neighbours' features less LightGBM without [95% interval]"
        chart = _intervals("Rank IC of LightGBM with the neighbours' features less without", graph.trees, difference)
        return Card(question, "open", "Not measured.", _table(caption, trained, graph.trees), remark, chart)
    columns = [
        Column("rank IC", lambda cell: _gain(cell.rank_ic), "+.4f"),
        Column("decile Sharpe", lambda cell: _gain(cell.sharpe_net), "+.2f"),
    ]
    seeds, folds = _plural(len(graph.seeds), "seed"), _plural(graph.folds or 0, "fold")
    return Card(
        question=question,
        tone=_tone(answers, good="matters", bad="harms"),
        text=_sentence(answers),
        table=_table(f"Graph network on less off, {seeds}, {folds} [95% interval]", columns, graph.horizons),
        note=f"{_goals(graph)} {remark}".rstrip(),
        chart=_intervals("Rank IC, graph network on less off", graph.horizons, lambda cell: _gain(cell.rank_ic)),
    )


def _arm(graph: Graph, question: str, remark: str) -> Card:
    columns = [
        Column("rank IC", difference, "+.4f"),
        Column("net Sharpe", lambda cell: cell.sharpe_net and difference(cell.sharpe_net), "+.2f"),
    ]
    gains = _gains_of_arm(graph)
    return Card(
        question=question,
        tone=_tone(gains, good="adds", bad="costs"),
        text=_sentence(gains),
        table=_table("The network less itself without its GAT, same seeds [95% interval]", columns, graph.arm),
        note=f"One split and no control graph, which would tell edges from a larger network. Ablation: {remark}",
        chart=_intervals("Rank IC, network less itself without its GAT", graph.arm, difference),
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
    return _names(_answers(horizons), answer)


def _names(answers: Mapping[str, str], answer: str) -> str:
    return ", ".join(name for name, found in answers.items() if found == answer) or "no horizon"


def _tone(answers: Mapping[str, str], *, good: str, bad: str) -> str:
    found = set(answers.values())
    return "good" if found == {good} else "bad" if found == {bad} else "open"
