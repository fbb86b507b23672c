"""What an ablation measured stands in the report: answers first, then figures, tables and limits."""

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest

from gogooku_kedro.ablation.gat_effect import gat_effect
from gogooku_kedro.report.cards import effect_cards
from gogooku_kedro.report.evidence import limits_of_effect
from gogooku_kedro.report.figures.effect import cumulative_difference, variant_forest
from gogooku_kedro.report.page import effect_group, render_report
from gogooku_kedro.report.results import GatEffect
from tests.ablation.test_gat_effect import GAINS, GOALS, ablation_daily, series_of, table_of
from tests.report.report_run import evidence_of
from tests.report.test_page import References


@pytest.fixture(scope="module")
def ablation() -> pd.DataFrame:
    return ablation_daily(GAINS)


@pytest.fixture(scope="module")
def effect(ablation) -> GatEffect:
    return GatEffect.of(gat_effect(series_of(ablation), GOALS))


@pytest.fixture(scope="module")
def variants(ablation) -> pd.DataFrame:
    return table_of(ablation)


def test_the_section_answers_first_and_loads_nothing(effect, variants, ablation, daily):
    figures = [cumulative_difference(series_of(ablation)), variant_forest(variants)]
    page = References()
    page.feed(render_report(evidence_of(daily), [effect_group("On and off", effect, variants, figures)]))
    assert page.loaded == []
    text = " ".join(" ".join(page.text).split())
    for words in ("Does the graph network add +5% rank IC?", "Met at 1d, 5d", "identity, 1d", "All variants, 5d"):
        assert words in text, words
    places = [text.index(words) for words in ("Does the graph network", "summed over test", "Limits of these numbers")]
    assert places == sorted(places)
    assert "nan" not in text.lower().split()


def test_answers_follow_the_verdicts():
    found = gat_effect(series_of(ablation_daily({"on": 0.02, "off": 0.0})), GOALS)
    assert effect_cards(GatEffect.of(found))[0].tone == "good"
    found["5d"]["rank_ic"]["verdict"] = "undecided"
    card = effect_cards(GatEffect.of(found))[0]
    assert (card.tone, card.text) == ("open", "Met at 1d; undecided at 5d")


def test_numbers_that_do_not_exist_are_shown_as_such(daily, variants):
    short = ablation_daily({"on": 0.02, "off": 0.0})
    short = short[short["date"] <= short["date"].unique()[9]]
    found = GatEffect.of(gat_effect(series_of(short), GOALS))
    html = render_report(evidence_of(daily), [effect_group("On and off", found, variants, [go.Figure()])])
    assert "Undecided at 1d, 5d" in html


def test_one_seed_is_a_limit_that_is_told(effect):
    assert not any("one seed" in sentence for sentence in limits_of_effect(effect))
    assert any("With one seed" in sentence for sentence in limits_of_effect(replace(effect, seeds=[0])))
