"""The model card has its sections, and the numbers of the report."""

import re
from dataclasses import replace

import pytest

from gogooku_kedro.report.cards import answer_cards
from gogooku_kedro.report.formats import NO_BREAK
from gogooku_kedro.report.page import render_model_card, render_report
from tests.report.report_run import effect, evidence_of, text_rows

SETTINGS = {
    "model": {"window": 20, "hidden_size": 32, "gat": {"enabled": True, "conv": "gatv2", "heads": 4}},
    "training": {"max_epochs": 9, "precision": "32"},
    "labelling": {"entry": "next_open"},
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
