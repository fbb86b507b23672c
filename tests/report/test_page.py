"""The page opens offline, and the model card has its sections and the numbers of the page."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from markupsafe import escape

from gogooku_kedro.report.cards import answer_cards
from gogooku_kedro.report.figures.ranking import cumulative_rank_ic
from gogooku_kedro.report.formats import EN_DASH, NO_BREAK
from gogooku_kedro.report.glossary import TERMS, meaning_of
from gogooku_kedro.report.page import FigureGroup, render_model_card, render_report, study_group
from tests.report.report_run import effect, evidence_of, text_rows

ORACLE = {"with_graph": {"1d": 0.0570}, "without_graph": {"1d": 0.0471}}


class References(HTMLParser):
    """Collects what a browser would fetch, and the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.styles: list[str] = []
        self.text: list[str] = []
        self.scripts = 0
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.scripts += tag == "script"
        fetching = ("src", "href", "srcset", "poster", "action")
        self.fetched += [str(value) for name, value in attrs if name in fetching]
        self.styles += [str(value) for name, value in attrs if name == "style"]
        self.ids |= {str(value) for name, value in attrs if name == "id"}

    @property
    def loaded(self) -> list[str]:
        """What is fetched beside places of the page itself."""
        return [address for address in self.fetched if not address.startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "style":
            self.styles.append(data)
        elif self._tag != "script":
            self.text.append(data)


def page(daily: pd.DataFrame, **changes) -> References:
    groups = [FigureGroup("Ranking", [cumulative_rank_ic(daily, "1d"), None])]
    parsed = References()
    parsed.feed(render_report(evidence_of(daily, **changes), groups))
    return parsed


def test_page_loads_nothing_from_elsewhere(daily) -> None:
    parsed = page(daily)
    assert parsed.loaded == []
    assert not re.search(r"@import|url\(|https?:", " ".join(parsed.styles))
    assert not re.search(r"https?://", " ".join(parsed.text))


def test_the_navigation_leads_to_sections_that_are_there(daily) -> None:
    parsed = page(daily)
    places = [address.removeprefix("#") for address in parsed.fetched]
    assert len(places) == len(set(places)) > 6
    assert set(places) <= parsed.ids


def test_what_was_not_run_is_one_line_with_its_command_and_duration(daily) -> None:
    metrics = evidence_of(daily).metrics
    run = replace(metrics.run, seconds={"training": 60.0, "baselines": 30.0}, seeds=(0, 1))
    groups = [study_group(name, None, run) for name in ("ablation", "explanation", "walk_forward")]
    html = render_report(evidence_of(daily), groups)
    lines = re.findall(r"<p><strong>(.*?)</strong>: <code>(.*?)</code>, (.*?)</p>", html)
    assert lines == [
        ("Graph network on and off", "kedro run --pipelines=ablation", "about 12 min"),
        ("What the model learned", "kedro run --pipelines=explanation", "about 40 s"),
        ("Walk-forward", "kedro run --pipelines=walk_forward", "about 6 min"),
    ]
    assert html.count("<h2") == render_report(evidence_of(daily), []).count("<h2") + 1


def test_headings_that_are_terms_say_what_they_mean(daily) -> None:
    html = render_report(evidence_of(daily), [])
    for words in ("net Sharpe, 10 bps", "lag-1 rank IC", "deflated"):
        assert f'title="{escape(meaning_of(words))}">{words}</span>' in html, words
    assert all(f"<dt>{term.name}</dt>" in html for term in TERMS)
    assert meaning_of("no such word") is None


def test_plotly_is_embedded_once_and_every_figure_is_drawn(daily) -> None:
    groups = [
        FigureGroup("Ranking", [cumulative_rank_ic(daily, name) for name in ("1d", "5d")]),
        FigureGroup("Absent", [None], "Not run for this data"),
    ]
    html = render_report(evidence_of(daily), groups)
    assert 4e6 < len(html) < 7e6
    assert html.count("Plotly.newPlot(") == 2
    assert html.count("plotly.js v") == 1
    assert "Not run for this data" in html
    assert render_report(evidence_of(daily), groups) == html  # nothing in it is random


def test_first_screen_answers_better_and_tradable_and_names_the_run(daily) -> None:
    text = " ".join(" ".join(page(daily).text).split())
    first_screen = text[: text.index("Test rank IC")]
    assert "Better at 1d" in first_screen
    assert "Is it tradable after costs? Earns at 1d" in first_screen
    for fact in ("0123456789ab", f"2024-01-04 {EN_DASH} 2024-03-27", "30 stocks", "cpu"):
        assert fact in first_screen


def test_banner_and_oracle_are_shown_for_a_synthetic_market_only(daily) -> None:
    real, made_up = (" ".join(page(daily, oracle=o).text) for o in (None, ORACLE))
    assert "Synthetic market" in made_up
    assert "+0.0570" in made_up
    assert "Synthetic" not in real
    assert "expected oracle" in made_up
    assert "expected oracle" not in real


def test_missing_numbers_are_dashes_and_text_is_escaped(daily) -> None:
    parsed = page(daily)
    text = " ".join(parsed.text)
    assert "a < b" in text
    assert "investor_flows is empty" in text
    assert "nan" not in text.split()
    assert "None" not in text
    assert EN_DASH in text  # deciles were not measured: there is no monotonicity


def test_a_phone_gets_its_own_width_and_wide_tables_scroll_inside_their_frame(daily) -> None:
    html = render_report(evidence_of(daily, effect()), [FigureGroup("Empty", [], "why")])
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert html.count("<table") == html.count('<div class="scroll"><table') > 8
    assert ".scroll { overflow-x: auto; }" in html
    assert "minmax(0, 1fr)" in html  # no column of the page is wider than the screen


SETTINGS = {
    "model": {"window": 20, "hidden_size": 32, "gat": {"enabled": True, "conv": "gatv2", "heads": 4}},
    "training": {"refit": "none", "max_epochs": 9, "precision": "32"},
}

SECTIONS = [
    *("Model", "Intended use", "Not intended", "Data", "Features", "Leak controls", "Training"),
    *("Results", "Limits"),
]


def card(evidence, **changes) -> str:
    return render_model_card(evidence, **(SETTINGS | changes))


def test_the_card_has_every_section_in_order_and_is_no_advice(daily) -> None:
    text = card(evidence_of(daily))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert text.count("ot investment advice") == 2
    assert "\n\n\n\n" not in text
    assert "None" not in text
    assert "trend (2)." in text
    assert "- Left out: flows: table investor_flows is empty" in text


def test_the_card_has_the_numbers_of_the_first_screen_and_the_limits_of_the_report(daily) -> None:
    evidence = evidence_of(daily, effect())
    text, html = card(evidence), render_report(evidence, [])
    for answer in answer_cards(evidence.key_results):
        assert f"**{answer.question}** {answer.text}" in text
        for row in text_rows(answer.table):
            assert f"| {' | '.join(row)} |".replace(NO_BREAK, " ") in text
    limits = text.partition("## Limits\n")[2].split("\n- ")[1:]
    assert len(limits) >= 6
    for limit in limits:
        assert limit.partition("\n")[0].replace("&", "&amp;") in html


def test_the_card_says_when_the_market_is_made_up_and_when_there_is_no_graph(daily) -> None:
    assert "Synthetic market" not in card(evidence_of(daily))
    made_up = evidence_of(daily, oracle={"with_graph": {"1d": 0.1}})
    assert "> **Synthetic market.**" in card(made_up)
    off = SETTINGS["model"] | {"gat": {"enabled": False, "conv": "gatv2", "heads": 4}}
    assert "4 heads" in card(made_up)
    assert "heads" not in card(made_up, model=off)


@pytest.mark.parametrize("cell", ["a|b", f"[1,{NO_BREAK}2]", "<script>"])
def test_a_cell_can_neither_break_the_table_nor_open_a_tag(daily, cell) -> None:
    evidence = evidence_of(daily)
    better = evidence.key_results.better
    horizons = better.horizons | {"1d": replace(better.horizons["1d"], answer=cell)}
    answers = replace(evidence.key_results, better=replace(better, horizons=horizons))
    lines = card(replace(evidence, key_results=answers)).partition("Is it better")[2].splitlines()
    head = lines.index("|  | model | LightGBM | p | answer |")
    assert lines[head + 1] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[head + 2].startswith("| 1d | ")
    assert len(re.findall(r"(?<!\\)\|", lines[head + 2])) == 6
    assert NO_BREAK not in lines[head + 2]
    assert "<" not in lines[head + 2]
