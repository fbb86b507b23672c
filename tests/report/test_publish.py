"""What is told at the end of a run."""

import io

import pandas as pd
from rich.console import Console

from gogooku_kedro.baselines.oracle import oracle_bounds
from gogooku_kedro.report import publish
from gogooku_kedro.report.publish import summary_table
from tests.report.report_run import effect, metrics_of
from tests.report.test_page import ORACLE


def test_flatten():
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None, 5: 6}
    assert publish.flatten(tree) == {"a.b": 1, "a.c.d": [2], "e": None, "5": 6}
    assert publish.flatten(tree, "/") == {"a/b": 1, "a/c/d": [2], "e": None, "5": 6}


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


def test_an_ablation_ends_with_its_verdicts_its_file_and_the_command_that_shows_it(capsys) -> None:
    publish.show_effect(effect(environment="ohlcv"), {"gat_effect": "data/gat_effect.json"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Does the graph network add +5% rank IC? ")
    assert "gat_effect: data/gat_effect.json" in lines
    assert lines[-1] == "the report shows it: kedro run --pipelines=report --env ohlcv"
