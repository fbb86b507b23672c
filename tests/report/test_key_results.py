"""key_results.json compares the same sessions and says what it does not know."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from gogooku_kedro.report.cards import terminal_lines
from gogooku_kedro.report.key_results import _matters, best_baseline, compare_models, summarise_key_results
from gogooku_kedro.report.results import GatEffect, Metrics, ModelMetrics, parse
from tests.report.report_run import COST, RUN, effect, evidence_of, metrics_of


def test_model_is_compared_on_the_same_days(daily) -> None:
    name, first = next(iter(compare_models(daily).items()))
    assert (name, first.answer) == ("1d", "better")
    mirrored = compare_models(daily, "lightgbm", "model")["1d"]
    assert mirrored.answer == "worse"
    assert mirrored.difference == pytest.approx(-first.difference)
    assert compare_models(daily, second="absent") == {}


def test_the_gain_in_sharpe_is_that_of_the_portfolios_after_costs(daily) -> None:
    evidence = evidence_of(daily)
    after = {
        model: evidence.portfolios.test[model]["long_short"]["5d"].costs["10"].sharpe_active
        for model in ("model", "lightgbm")
    }
    found = evidence.key_results.better.horizons["5d"].sharpe_net
    assert found.difference == pytest.approx(after["model"] - after["lightgbm"])


def test_the_best_baseline_is_chosen_on_the_validation_part_alone(daily) -> None:
    metrics = metrics_of(daily)

    def measured(**rank_ic: float) -> dict[str, dict[str, ModelMetrics]]:
        return {name: {"5d": ModelMetrics(rank_ic=value), "1d": ModelMetrics()} for name, value in rank_ic.items()}

    test = measured(model=0.2, lightgbm=0.09, ridge=0.01, random=0.3)
    valid = measured(model=0.3, lightgbm=0.01, ridge=0.02, random=0.5, lstm=0.9)
    assert best_baseline(replace(metrics, test=test, valid=valid)) == "ridge"  # lstm has no test part
    assert best_baseline(replace(metrics, test=test, valid={})) == "lightgbm"


def test_months_of_a_rising_and_of_a_falling_universe_are_told_apart(daily) -> None:
    regimes = evidence_of(daily).key_results.regimes
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")].dropna(subset="rank_ic")
    january = rows["date"].dt.month == 1
    assert regimes["up"].months == 1
    assert regimes["down"].months == rows["date"].dt.month.nunique() - 1
    assert regimes["up"].models["model"]["1d"] == pytest.approx(rows.loc[january, "rank_ic"].mean())
    assert regimes["down"].models["model"]["1d"] == pytest.approx(rows.loc[~january, "rank_ic"].mean())


def low_of_control(low: float | None, horizon: str = "5d") -> dict[str, Any]:
    """A control at one horizon, with this lower end of what `on` has more."""
    return {horizon: {"rank_ic": {"on_less_control_ci95": [low, 0.05]}}}


GAIN_WITHOUT_CONTROL = "a gain, but no control was run"
NO_MORE = "no more than a control graph"


@pytest.mark.parametrize(
    ("controls", "answer"),
    [
        ({}, GAIN_WITHOUT_CONTROL),
        ({"identity": low_of_control(0.001)}, "matters"),
        ({"identity": low_of_control(0.001), "permuted": low_of_control(0.002)}, "matters"),
        ({"identity": low_of_control(0.001), "permuted": low_of_control(-0.001)}, NO_MORE),
        ({"identity": low_of_control(-0.001), "permuted": low_of_control(0.001)}, NO_MORE),
        ({"identity": low_of_control(0.001), "mean": low_of_control(-0.001)}, NO_MORE),
        ({"identity": low_of_control(0.001), "pca_neutral": low_of_control(-0.001)}, "no more than neutral scores"),
        ({"identity": low_of_control(None)}, NO_MORE),
        ({"identity": low_of_control(0.001, horizon="1d")}, NO_MORE),
    ],
)
def test_the_graph_matters_where_every_control_that_was_asked_for_is_beaten_and_at_least_one_was(
    controls, answer
) -> None:
    found = GatEffect.of(effect() | {"controls": controls})
    assert _matters(found, "5d") == answer
    assert _matters(found, "10d") == "undecided"  # no gain over the model without graph, whatever the controls say


def test_the_first_screen_is_of_the_test_part_alone(daily) -> None:
    settings = {"cost_bps": COST, "sessions_per_year": 245, "replications": 50}
    metrics = metrics_of(daily)
    earlier = daily.assign(split="valid", date=daily["date"] - pd.Timedelta(days=200), rank_ic=-0.9)
    both = summarise_key_results(metrics, pd.concat([earlier, daily]), **settings)
    assert both.better == summarise_key_results(metrics, daily, **settings).better


def test_daily_metrics_without_days_leave_no_answer() -> None:
    empty = pd.DataFrame(
        {name: pd.Series(dtype=kind) for name, kind in (("model", str), ("split", str), ("horizon", str))}
        | {"date": pd.Series(dtype="datetime64[ns]")}
        | {name: pd.Series(dtype=float) for name in ("rank_ic", "long_short_net")}
    )
    metrics = parse(Metrics, {"run": RUN, "test": {}})
    found = summarise_key_results(metrics, empty, cost_bps=COST, sessions_per_year=245)
    assert found.horizon is None
    assert found.better.horizons == found.tradable.horizons == {}
    assert terminal_lines(found)[0] == "better than lightgbm at no horizon"
