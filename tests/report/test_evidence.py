"""What is said of a run is computed from it."""

from dataclasses import replace

import pytest

from gogooku_kedro.report.evidence import run_facts
from gogooku_kedro.report.page import render_report
from gogooku_kedro.report.results import Metrics, parse
from tests.report.report_run import SPLIT, evidence_of


def test_limits_are_computed_from_the_run(daily) -> None:
    evidence = evidence_of(daily)
    html = render_report(evidence, [])
    low, high = evidence.key_results.better.horizons["5d"].ci95
    assert f"known to ±{(high - low) / 2:.3f} of rank IC" in html
    assert f"counts {evidence.portfolios.trials} trials" in html
    assert "trials, of this run only" in html
    counted = replace(evidence.portfolios, tuning=3)
    assert "trials, 3 of the tuning on this data among them" in render_report(replace(evidence, portfolios=counted), [])
    assert "short sales follow margin balances (70% of stock-days)" in html
    assert "One seed" in html
    several = replace(evidence.key_results, seeds={"0": {"5d": 0.01}, "1": {"5d": 0.03}})
    html = render_report(replace(evidence, key_results=several), [])
    assert "lies between +0.0100 and +0.0300" in html


@pytest.mark.parametrize(
    ("run", "shown"), [({"seeds": [0, 1, 2], "seed": 7}, "0, 1, 2"), ({"seed": 7}, "7"), ({}, "–")]
)
def test_the_page_names_the_seeds_of_the_models(run, shown) -> None:
    facts = run_facts(parse(Metrics, {"run": run, "split": SPLIT}), {}, {})
    assert facts["Seeds"] == shown
