import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from rich.console import Console

from gogooku_kedro.baselines.oracle import oracle_bounds
from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.metrics.deciles import daily_deciles, decile_profile
from gogooku_kedro.report.evidence import run_facts
from gogooku_kedro.report.figures.model import degree_histogram, loss_curves
from gogooku_kedro.report.figures.ranking import cumulative_rank_ic, decile_returns
from gogooku_kedro.report.formats import EN_DASH, format_interval, format_number
from gogooku_kedro.report.key_results import compare_models
from gogooku_kedro.report.page import FigureGroup, render_report
from gogooku_kedro.report.publish import summary_table
from gogooku_kedro.report.results import Metrics, parse
from tests.report.report_run import SPLIT, evidence_of, metrics_of

ORACLE = {"with_graph": {"1d": 0.0570}, "without_graph": {"1d": 0.0471}}


class References(HTMLParser):
    """Collects what a browser would fetch, and the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
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
    assert parsed.fetched == []
    assert not re.search(r"@import|url\(|https?:", " ".join(parsed.styles))
    assert not re.search(r"https?://", " ".join(parsed.text))


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
    first_screen = text[: text.index("Models and horizons")]
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


def test_formats() -> None:
    assert format_number(None) == format_number(float("nan")) == EN_DASH
    assert format_number(-0.01234) == "\u22120.0123"
    assert format_interval([None, 1.0]) == EN_DASH
    assert format_interval([-1.0, 2.0], "+.1f") == "[\u22121.0,\u00a0+2.0]"


def test_model_is_compared_on_the_same_days(daily) -> None:
    name, first = next(iter(compare_models(daily).items()))
    assert (name, first.answer) == ("1d", "better")
    mirrored = compare_models(daily, "lightgbm", "model")["1d"]
    assert mirrored.answer == "worse"
    assert mirrored.difference == pytest.approx(-first.difference)
    assert compare_models(daily, second="absent") == {}


def test_terminal_table_fits_eighty_columns_and_shows_the_oracle(daily) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(metrics_of(daily), ORACLE))
    text = console.export_text()
    assert "…" not in text
    assert "+0.0570" in text
    assert "SR" in text


def test_bounds_are_those_of_the_label_entry_and_a_real_market_has_none() -> None:
    bounds = pd.DataFrame(
        {"entry": ["next_open", "close"], "horizon": [1, 1], "own": [0.03, 0.04], "graph": [0.05, 0.06]}
    )
    assert oracle_bounds(bounds, "next_open") == {"with_graph": {"1d": 0.05}, "without_graph": {"1d": 0.03}}
    assert oracle_bounds(bounds.iloc[:0], "next_open") is None


def test_figures_are_small_titled_and_mark_the_test_part(daily, labels, predict) -> None:
    history = pd.DataFrame({"epoch": [0, 1], "train/loss": [1.0, 0.9], "valid/rank_ic_1d": [np.nan, 0.02]})
    edges = pd.DataFrame(
        {
            "asof": pd.Timestamp("2024-01-04"),
            "source": ["B", "C", "A", "B"],
            "target": ["A", "A", "A", "B"],
            "is_self": [0.0, 0.0, 1.0, 1.0],
        }
    )
    profile = decile_profile(daily_deciles(predict(labels["ret"].sel(horizon=1).values), labels))
    figures = [cumulative_rank_ic(daily, "1d"), decile_returns(profile), loss_curves(history), degree_histogram(edges)]
    for figure in figures:
        assert isinstance(figure, go.Figure)
        assert figure.layout.title.text
        assert len(figure.to_json()) < 100_000
    assert figures[0].layout.annotations[0].text == "test part"
    assert figures[3].data[0].y == (0.5, 0.0, 0.5)  # B has no neighbour, A has two


def test_cumulative_rank_ic_ends_at_the_sum_of_the_test_part(daily) -> None:
    figure = cumulative_rank_ic(daily, "1d")
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")]
    trace = next(trace for trace in figure.data if trace.name == "model")
    assert trace.y[-1] == pytest.approx(rows["rank_ic"].sum(), abs=1e-4)


def test_the_training_of_several_seeds_has_a_line_for_each_and_one_legend() -> None:
    rows = {"epoch": [0, 1], "train/loss": [1.0, 0.9], "valid/rank_ic_1d": [-np.inf, 0.02]}
    both = pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed in (3, 4)], ignore_index=True)
    one, two = loss_curves(both[both["seed"] == 3]), loss_curves(both)
    assert [trace.name for trace in one.data] == ["train/loss", "rank IC 1d"]
    assert [trace.name for trace in two.data] == ["train/loss", "rank IC 1d"] * 2
    assert [trace.showlegend for trace in two.data] == [True, True, False, False]
    assert two.data[1].y == two.data[3].y == (None, 0.02)
    assert two.data[1].line.color == two.data[3].line.color


@pytest.mark.parametrize(
    ("run", "shown"), [({"seeds": [0, 1, 2], "seed": 7}, "0, 1, 2"), ({"seed": 7}, "7"), ({}, "–")]
)
def test_the_page_names_the_seeds_of_the_models(run, shown) -> None:
    facts = run_facts(parse(Metrics, {"run": run, "split": SPLIT}), {}, {})
    assert facts["Seeds"] == shown


def test_short_tables_show_the_models_own_neutral_versions_only(labels, predict) -> None:
    names = ["model", "model_neutral", "model_pca_neutral", "model_sector_neutral", "ridge", "ridge_neutral"]
    names += ["oracle", "oracle_without_graph", "lightgbm_peers"]
    score = -labels["ret"].sel(horizon=1).values  # the widest numbers: negative, with a large t
    daily = daily_metrics(pd.concat([predict(score, name) for name in names]), labels, 10.0)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(metrics_of(daily)))
    text = console.export_text()
    assert "…" not in text
    for shown in ("model ex peers", "model ex factors", "model ex sector", "oracle, no graph", "lightgbm_peers"):
        assert re.search(rf"^ *{shown}  ", text, re.MULTILINE), shown
    assert "ridge ex peers" not in text
    traces = [trace.name for trace in cumulative_rank_ic(daily, "1d").data]
    assert "model_pca_neutral" in traces
    assert "ridge_neutral" not in traces
    assert "ridge_neutral" in " ".join(page(daily).text)  # in the folded tables
