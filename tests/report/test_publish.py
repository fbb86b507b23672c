"""What is told at the end of a run."""

import io
import json
import re
from dataclasses import replace

import pandas as pd
import yaml
from rich.console import Console

from gogooku_kedro.baselines.oracle import oracle_bounds
from gogooku_kedro.hooks import IDENTITY
from gogooku_kedro.report import publish
from gogooku_kedro.report.publish import summary_table
from gogooku_kedro.report.results import plain
from tests.conftest import ROOT
from tests.report.report_run import effect, evidence_of, metrics_of
from tests.report.test_page import ORACLE


def test_flatten():
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None, 5: 6}
    assert publish.flatten(tree) == {"a.b": 1, "a.c.d": [2], "e": None, "5": 6}
    assert publish.flatten(tree, "/") == {"a/b": 1, "a/c/d": [2], "e": None, "5": 6}


def test_terminal_table_fits_eighty_columns_and_shows_the_oracle(daily) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    metrics = metrics_of(daily)
    wide = {name: replace(cell, rank_ic=-0.123, rank_ic_t=-12.3) for name, cell in metrics.test["model"].items()}
    console.print(summary_table(replace(metrics, test=metrics.test | {"model_neutral": wide}), ORACLE))
    text = console.export_text()
    assert "…" not in text
    assert "+0.0570" in text
    assert "SR" in text
    assert text.count("(−12.3)") == 4


def test_the_terminal_has_the_net_sharpe_of_the_report_where_a_portfolio_was_simulated(daily) -> None:
    def printed(ratios) -> str:
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(summary_table(metrics_of(daily), ratios=ratios))
        return console.export_text()

    assert "below it the net Sharpe;" in printed({"model": {"5d": 7.77}})
    assert "SR +7.77" in printed({"model": {"5d": 7.77}})
    assert "below it the decile Sharpe;" in printed(None)


def test_mlflow_gets_about_thirty_numbers_of_a_run_and_the_rest_as_files(daily, monkeypatch) -> None:
    logged, files, tags = {}, {}, {}
    monkeypatch.setattr(publish.mlflow, "log_metrics", logged.update)
    monkeypatch.setattr(publish.mlflow, "log_dict", lambda found, name: files.update({name: found}))
    monkeypatch.setattr(publish.mlflow, "set_tag", lambda name, value: tags.update({name: value}))
    evidence = evidence_of(daily)
    metrics, answers = plain(evidence.metrics), plain(evidence.key_results)
    publish.log_metrics(metrics, "")
    publish.log_answers(answers)
    assert 20 <= len(logged) <= 34
    tracking = yaml.safe_load((ROOT / "conf/base/mlflow.yml").read_text())["tracking"]
    view = json.loads(tracking["experiment"]["create_experiment_kwargs"]["tags"]["mlflow.sharedViewState.results"])
    columns = [re.fullmatch(r"(metrics|tags)\.`(.+)`", column).groups() for column in view["selectedColumns"]]
    assert {name for kind, name in columns if kind == "metrics"} <= set(logged)
    assert {name for kind, name in columns if kind == "tags"} <= {*tags, *IDENTITY}
    assert logged["test/rank_ic_5d"] == metrics["test"]["model"]["5d"]["rank_ic"]
    assert logged["less_best_baseline_5d/rank_ic"] == answers["better"]["horizons"]["5d"]["difference"]
    assert logged["portfolio_5d/net_sharpe"] == answers["tradable"]["horizons"]["5d"]["sharpe_net"]
    assert (files["metrics.json"], files["key_results.json"]) == (metrics, answers)
    assert tags["best_baseline"] == "lightgbm"
    assert "better than lightgbm" in tags["mlflow.note.content"]


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
