"""Tables have the numbers of the artefacts, the models that they name, and the entry rule."""

import io
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.report.figures.ranking import cumulative_rank_ic
from gogooku_kedro.report.formats import format_interval, format_number
from gogooku_kedro.report.page import render_report
from gogooku_kedro.report.publish import summary_table
from gogooku_kedro.report.results import WalkForward, parse
from gogooku_kedro.report.tables import fold_tables, metrics_tables, portfolio_tables
from tests.report.report_run import QUALITY, effect, evidence_of, metrics_of, text_rows
from tests.report.test_page import page


def test_the_table_over_folds_has_a_column_per_fold_and_one_for_all() -> None:
    cell = {"rank_ic": 0.02, "rank_ic_ci": [0.01, 0.03]}
    of_model = {"5d": cell | {"folds": {"1": cell, "2": cell | {"rank_ic": -0.01, "rank_ic_ci": [None, None]}}}}
    spans = [{"split": {"test": [f"202{year}-03-01", "…"]}} for year in (1, 2)]
    found = {"test": {"model": of_model, "ridge_neutral": of_model}, "folds": spans}
    (table,) = fold_tables(parse(WalkForward, found))
    assert [column.heading for column in table.columns] == ["1: 2021-03", "2: 2022-03", "all folds"]
    assert text_rows(table) == [
        ["model", "+0.0200 [+0.010,\u00a0+0.030]", "−0.0100 –", "+0.0200 [+0.010,\u00a0+0.030]"]
    ]


def test_short_tables_show_the_models_own_neutral_versions_only(labels, predict) -> None:
    names = ["model", "model_neutral", "model_pca_neutral", "model_sector_neutral", "ridge", "ridge_neutral"]
    names += ["oracle", "oracle_without_graph", "lightgbm_peers"]
    score = -labels["ret"].sel(horizon=1).values  # the widest numbers: negative, with a large t
    daily = daily_metrics(pd.concat([predict(score, name) for name in names]), labels, 10.0)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(metrics_of(daily)))
    text = console.export_text()
    assert "…" not in text
    for shown in ("model ex neighbours", "model ex factors", "model ex sector", "oracle, no graph", "lightgbm_peers"):
        assert re.search(rf"^ *{shown} ", text, re.MULTILINE), shown
    assert "ridge ex neighbours" not in text
    traces = [trace.name for trace in cumulative_rank_ic(daily, "1d").data]
    assert "model_pca_neutral" in traces
    assert "ridge_neutral" not in traces
    assert "ridge_neutral" in " ".join(page(daily).text)  # in the folded tables


def test_a_rank_ic_stands_beside_its_interval(daily) -> None:
    evidence = evidence_of(daily)
    numbers = evidence.metrics.test["model"]["1d"]
    interval = format_interval(numbers.rank_ic_ci, "+.3f")
    assert f"{format_number(numbers.rank_ic)} {interval}" in render_report(evidence, [])


def test_findings_on_the_data_are_a_table_of_those_that_occurred(daily) -> None:
    issues = {
        "zero_volume": {"rows": 12, "codes": 3, "rule": "did not trade", "examples": []},
        "empty_row": {"rows": 0, "codes": 0, "rule": "dropped", "examples": []},
    }
    evidence = evidence_of(daily)
    html = render_report(replace(evidence, quality=QUALITY | {"issues": issues}), [])
    assert "zero volume</th><td>12</td><td>3</td><td>did not trade" in html
    assert "empty row" not in html


@pytest.mark.parametrize("entry", ["next_open", "close"])
def test_the_entry_rule_stands_beside_every_table_of_results(daily, entry) -> None:
    html = render_report(evidence_of(daily, effect(), entry=entry), [])
    captions = re.findall(r'<p class="caption">([^<]+)</p>\n<div class="scroll"><table class="" ', html)
    assert len(captions) > 8
    assert all(caption.endswith(f"; entry at the {entry.replace('_', ' ')}") for caption in captions)


def test_the_two_portfolios_have_names_that_cannot_be_confused(daily) -> None:
    evidence = evidence_of(daily)
    plain, simulated = metrics_tables(evidence.metrics, None, 10.0)[1], portfolio_tables(evidence.portfolios, 10.0)[0]
    assert "plain decile portfolio" in plain.caption
    assert "simulated portfolio with fills, limits and costs" in simulated.caption
