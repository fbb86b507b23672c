"""key_results.json compares the same sessions and says what it does not know."""

import pandas as pd
import pytest

from gogooku_kedro.report.cards import terminal_lines
from gogooku_kedro.report.key_results import compare_models, summarise_key_results
from gogooku_kedro.report.results import Metrics, parse
from tests.report.report_run import COST, RUN, evidence_of


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


def test_months_of_a_rising_and_of_a_falling_universe_are_told_apart(daily) -> None:
    regimes = evidence_of(daily).key_results.regimes
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")].dropna(subset="rank_ic")
    january = rows["date"].dt.month == 1
    assert regimes["up"].months == 1
    assert regimes["down"].months == rows["date"].dt.month.nunique() - 1
    assert regimes["up"].models["model"]["1d"] == pytest.approx(rows.loc[january, "rank_ic"].mean())
    assert regimes["down"].models["model"]["1d"] == pytest.approx(rows.loc[~january, "rank_ic"].mean())


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
    assert terminal_lines(found)[0] == "better than LightGBM at no horizon"
