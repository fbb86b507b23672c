"""The first screen of the report says what the artefacts say, and says plainly what is not there."""

import io
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from gogooku_kedro.report.cards import answer_cards, terminal_lines
from gogooku_kedro.report.charts import Chart, Mark
from gogooku_kedro.report.evidence import Evidence
from gogooku_kedro.report.figures.style import HORIZON_COLOURS
from gogooku_kedro.report.formats import format_interval, format_number
from gogooku_kedro.report.key_results import summarise_key_results
from gogooku_kedro.report.page import render_report
from tests.report.report_run import COST, HORIZONS, QUALITY, effect, evidence_of, metrics_of

BETTER, BY_HOW_MUCH = "Is it better than LightGBM, the best baseline?", "By how much?"

TRADABLE, GRAPH = "Is it tradable after costs?", "Does the graph matter?"


class Cards(HTMLParser):
    """The cards of the first screen: question -> words, note, and the cells by horizon."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, SimpleNamespace] = {}
        self._card, self._field, self._row = None, None, []
        self.feed(html.partition("</section>")[0])

    def handle_starttag(self, tag, attrs) -> None:
        kind = dict(attrs).get("class", "")
        if tag == "article":
            self._card = SimpleNamespace(question="", words="", note="", tone=kind.split()[-1], rows={})
        fields = {"h2": "question", "p": {"words": "words", "note": "note"}.get(kind)}
        self._field = fields.get(tag)
        if tag == "tr":
            self._row = []
        if tag in ("th", "td"):
            self._row.append("")
            self._field = "cell"

    def handle_endtag(self, tag) -> None:
        self._field = None
        if tag == "tr" and self._row[0]:
            self._card.rows[self._row[0]] = self._row[1:]
        if tag == "article":
            self.found[self._card.question] = self._card

    def handle_data(self, data) -> None:
        if self._field == "cell":
            self._row[-1] += data
        elif self._field and self._card:
            setattr(self._card, self._field, getattr(self._card, self._field) + data)


def cards(evidence) -> dict[str, SimpleNamespace]:
    return Cards(render_report(evidence, [])).found


def test_the_four_questions_come_first_and_in_order(daily) -> None:
    assert list(cards(evidence_of(daily))) == [BETTER, BY_HOW_MUCH, TRADABLE, GRAPH]


def test_better_and_by_how_much_are_the_paired_days_of_the_daily_metrics(daily) -> None:
    evidence = evidence_of(daily)
    shown, metrics = cards(evidence), evidence.metrics.test
    test = daily[daily["split"] == "test"]
    for horizon in HORIZONS:
        days = test[test["horizon"] == horizon].pivot(index="date", columns="model", values="rank_ic")
        difference = (days["model"] - days["lightgbm"]).mean()
        ours, theirs, *_, answer = shown[BETTER].rows[horizon]
        assert ours == format_number(metrics["model"][horizon].rank_ic)
        assert theirs == format_number(metrics["lightgbm"][horizon].rank_ic)
        cell = evidence.key_results.better.horizons[horizon]
        assert cell.difference == pytest.approx(difference)
        low, high = cell.ci95
        sides = {"better": low is not None and low > 0, "worse": high is not None and high < 0}
        assert sides.get(answer, not any(sides.values()))
        gain, ratio = shown[BY_HOW_MUCH].rows[horizon]
        assert gain == f"{format_number(difference)} {format_interval(cell.ci95, '+.3f')}"
        assert ratio.startswith(format_number(cell.sharpe_net.difference, "+.2f"))
    low, high = evidence.key_results.better.horizons["1d"].ci95
    assert 0 < low < evidence.key_results.better.horizons["1d"].difference < high


def test_a_number_stands_in_large_type_only_where_its_interval_excludes_zero(daily) -> None:
    answers = evidence_of(daily).key_results
    decided = {name: replace(cell, answer="undecided") for name, cell in answers.better.horizons.items()}
    assert by_how_much(answers, decided).text == "Not decided at any horizon."
    decided["10d"] = replace(decided["10d"], answer="worse")
    assert by_how_much(answers, decided).text.startswith(f"{format_number(decided['10d'].difference)} rank IC at 10d")
    decided["5d"] = replace(decided["5d"], answer="better")
    assert " rank IC at 5d" in by_how_much(answers, decided).text


def by_how_much(answers, horizons):
    return answer_cards(replace(answers, better=replace(answers.better, horizons=horizons)))[1]


def test_every_card_with_numbers_has_a_chart_of_them_in_the_colours_of_the_horizons(daily) -> None:
    found = answer_cards(evidence_of(daily, effect()).key_results)
    assert all(card.chart is not None for card in found)
    assert [[mark.colour for mark in marks] for _, marks in found[0].chart.rows] == [
        [HORIZON_COLOURS[name]] for name in HORIZONS
    ]
    drawn = found[1].chart.svg()
    assert drawn.count("<circle") == 2 * len(HORIZONS)
    assert list(found[1].chart.legend) == ["model", "LightGBM"]
    assert Chart("nothing", [("1d", [Mark(None, "#000000")])]).svg() == ""


def test_baselines_behind_the_best_are_told_together(daily) -> None:
    better = evidence_of(daily).key_results.better
    cells = better.horizons
    beaten = {name: replace(cell, answer="better") for name, cell in cells.items()}
    mixed = beaten | {"20d": replace(cells["20d"], answer="worse")}
    note = answer_cards(
        replace(evidence_of(daily).key_results, better=replace(better, baselines={"ridge": beaten, "lstm": mixed}))
    )[0].note
    assert note == "Better at every horizon than ridge; worse at some horizon than lstm."


def test_tradable_is_the_simulated_portfolio_after_the_cost_with_its_deflated_sharpe(daily) -> None:
    evidence = evidence_of(daily)
    shown = cards(evidence)[TRADABLE]
    for horizon in HORIZONS:
        after = evidence.portfolios.test["model"]["long_short"][horizon].costs["10"]
        late = evidence.metrics.test["model"][horizon]
        ratio, deflated, lag_1 = shown.rows[horizon]
        interval = format_interval(after.sharpe_active_ci, "+.1f")
        assert ratio == f"{format_number(after.sharpe_active, '+.2f')} {interval}"
        assert deflated == format_number(after.deflated_sharpe, ".0%")
        assert lag_1.split(" of ") == [format_number(late.rank_ic_one_day_late), format_number(late.rank_ic)]
    assert shown.words == "Earns at 1d, 5d, 10d, 20d"


@pytest.mark.parametrize(("deflated", "tone", "told"), [(0.94, "open", True), (0.96, "good", False)])
def test_a_sharpe_ratio_that_many_trials_explain_is_not_good_news(daily, deflated, tone, told) -> None:
    shown = cards(evidence_of(daily, after_costs={"deflated_sharpe": deflated}))[TRADABLE]
    assert shown.tone == tone
    assert ("Deflated below 95% at 1d, 5d, 10d, 20d" in shown.note) == told


def test_the_graph_matters_where_it_beats_the_model_without_and_the_control_graphs(daily) -> None:
    shown = cards(evidence_of(daily, effect()))[GRAPH]
    assert shown.words == "No more than a control graph at 1d; matters at 5d; undecided at 10d, 20d"
    for horizon, gains in effect().items():
        if horizon in HORIZONS:
            rank_ic, ratio = shown.rows[horizon]
            interval = format_interval(gains["rank_ic"]["ci95"], "+.3f")
            assert rank_ic == f"{format_number(gains['rank_ic']['diff'])} {interval}"
            assert ratio.startswith(format_number(gains["sharpe_net"]["diff"], "+.2f"))
    assert "Goals: +5% rank IC met at 1d, 5d; undecided at 10d, 20d" in shown.note
    assert "+10% decile Sharpe undecided at 1d, 5d, 10d, 20d." in shown.note


def test_without_an_ablation_the_page_says_so_and_names_the_command(daily) -> None:
    shown = cards(evidence_of(daily, None))[GRAPH]
    assert (shown.words, shown.rows) == ("Not measured.", {})
    assert shown.note == "Not run for this data: kedro run --pipelines=ablation"


def test_without_an_ablation_the_arm_that_the_run_trained_answers_with_its_interval(daily) -> None:
    worse = daily[daily["model"] == "random"].assign(model="model_off")
    evidence = evidence_of(pd.concat([daily, worse], ignore_index=True), None)
    shown = cards(evidence)[GRAPH]
    assert shown.words == "Adds at 1d; undecided at 5d, 10d; unknown at 20d"  # the model knows one session ahead
    assert shown.tone == "open"
    cell = evidence.key_results.graph.arm["5d"]
    assert shown.rows["5d"][0] == f"{format_number(cell.difference)} {format_interval(cell.ci95, '+.3f')}"
    assert "no control graph" in shown.note
    assert "kedro run --pipelines=ablation" in shown.note
    lines = terminal_lines(evidence.key_results)
    assert lines[1].endswith("graph adds at 1d")
    assert lines[2].startswith(f"graph on - off 1d {format_number(evidence.key_results.graph.arm['1d'].difference)} [")
    assert "; 5d " in lines[2]
    assert max(map(len, lines)) <= 80


def test_an_ablation_of_this_run_answers_before_its_arm(daily) -> None:
    worse = daily[daily["model"] == "random"].assign(model="model_off")
    shown = cards(evidence_of(pd.concat([daily, worse], ignore_index=True), effect()))[GRAPH]
    assert "matters at 5d" in shown.words


def test_an_ablation_of_other_data_is_refused_and_one_of_other_settings_is_marked(daily) -> None:
    refused = cards(evidence_of(daily, effect(data_hash="0ther")))[GRAPH]
    assert (refused.words, refused.rows) == ("Not measured.", {})
    assert "of other data (0ther, here da7a)" in refused.note
    marked = cards(evidence_of(daily, effect(config_hash="5ma11")))[GRAPH]
    assert marked.rows["5d"][0].startswith("+0.0120")
    assert "same data at other settings (config 5ma11, here c0ffee)" in marked.note


def test_without_lightgbm_and_portfolios_the_page_says_what_it_does_not_know(daily) -> None:
    alone = daily[daily["model"] != "lightgbm"]
    metrics = metrics_of(alone)
    found = summarise_key_results(metrics, alone, cost_bps=COST, sessions_per_year=245, replications=50)
    shown = Cards(render_report(Evidence(found, metrics, QUALITY, {}), [])).found
    assert shown[BETTER].words.startswith("Unknown: LightGBM")
    assert shown[BY_HOW_MUCH].words.startswith("Unknown")
    plain = metrics.test["model"]["1d"].sharpe_net
    assert shown[TRADABLE].rows["1d"][0].startswith(format_number(plain, "+.2f"))


@pytest.mark.parametrize("found", [None, effect()], ids=["no ablation", "ablation"])
def test_the_terminal_answers_in_two_lines_of_eighty_columns(daily, found) -> None:
    answers = evidence_of(daily, found).key_results
    for part, word in (("better", "better"), ("tradable", "earns"), ("graph", "matters")):  # the longest lines
        of = getattr(answers, part)
        horizons = {name: replace(cell, answer=word) for name, cell in of.horizons.items()}
        answers = replace(answers, **{part: replace(of, horizons=horizons)})
    lines = terminal_lines(answers)
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("better than lightgbm at 1d, 5d, 10d, 20d; 5d: ")
    assert lines[1].startswith("earns after 10 bps at 1d, 5d, 10d, 20d; ")
    assert lines[1].endswith("graph not measured" if found is None else "graph matters at 1d, 5d, 10d, 20d")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print("\n".join(lines))
    assert console.export_text().count("\n") == 2
