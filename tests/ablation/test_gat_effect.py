"""gat_effect.json on daily series of known difference, the table of variants, and the figures made of both."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.ablation.gat_effect import TABLE_COLUMNS, VariantSeries, gat_effect, variant_table, verdict
from gogooku_kedro.ablation.scores import ENSEMBLE
from gogooku_kedro.metrics.paired_seeds import days_to_decide
from gogooku_kedro.report.figures.effect import cumulative_difference, variant_forest

GOALS = {"rank_ic": 0.05, "rank_icir": 0.0, "sharpe_net": 0.10}
GAINS = {"on": 0.02, "off": 0.0, "identity": 0.0, "permuted": -0.001, "pca_neutral": 0.0}
NUMBERS = {
    *("on", "off", "diff", "relative", "ci95", "goal", "verdict", "days_to_decide"),
    *("relative_ci95", "days"),
}
HORIZONS, DAYS, OFF = ("1d", "5d"), 160, 0.04


def ablation_daily(gains: Mapping[str, float], noise: float = 0.01, off: float = OFF) -> pd.DataFrame:
    """Two folds, two seeds: rank IC = a day's common part + the variant's gain + a model's noise."""
    rng = np.random.default_rng(0)
    dates, tables = pd.bdate_range("2021-01-04", periods=DAYS), []
    for horizon in HORIZONS:
        common = off + 0.08 * rng.standard_normal(DAYS)
        for variant, gain in gains.items():
            for seed in ("0", "1", ENSEMBLE):
                rank_ic = common + gain + noise * rng.standard_normal(DAYS)
                table = pd.DataFrame({"date": dates, "rank_ic": rank_ic, "long_short_net": rank_ic / 10})
                table["fold"] = np.repeat([1, 2], DAYS // 2)
                tables.append(table.assign(variant=variant, seed=seed, horizon=horizon))
    daily = pd.concat(tables, ignore_index=True)
    return pd.concat([daily.assign(scores=k) for k in ("raw", "peer_neutral", "pca_neutral")])


def series_of(daily: pd.DataFrame) -> VariantSeries:
    return VariantSeries(daily, sessions_per_year=245, replications=200)


@pytest.fixture(scope="module")
def daily() -> pd.DataFrame:
    return ablation_daily(GAINS)


@pytest.fixture(scope="module")
def effect(daily) -> dict:
    return gat_effect(series_of(daily), GOALS)


def table_of(daily: pd.DataFrame) -> pd.DataFrame:
    runs = [
        {"variant": variant, "fold": fold, "n_parameters": 1000 + (variant == "on"), "seconds": 10.0 * fold}
        for variant in GAINS
        for fold in (1, 2)
    ]
    return variant_table(daily, pd.DataFrame(runs), series_of(daily))


@pytest.fixture(scope="module")
def table(daily) -> pd.DataFrame:
    return table_of(daily)


def test_the_file_has_the_shape_that_others_read(effect):
    assert set(effect) == {*HORIZONS, "controls", "seeds", "folds", "neutral", "peer_neutral", "legend"}
    for kind in (effect, effect["neutral"], effect["peer_neutral"]):
        for horizon in HORIZONS:
            assert set(kind[horizon]) == set(GOALS)
            for name, cell in kind[horizon].items():
                assert set(cell) == NUMBERS
                assert cell["ci95"][0] < cell["diff"] < cell["ci95"][1]
                assert cell["goal"] == GOALS[name]
                assert cell["verdict"] in ("met", "not met", "undecided")
        for control in kind["controls"].values():
            assert set(control) == set(HORIZONS)
            assert {"diff", "ci95"} <= set(control["1d"]["rank_ic"])
    assert set(effect["controls"]) == {"identity", "permuted", "pca_neutral"}
    assert set(effect["neutral"]["controls"]) == {"identity", "permuted"}
    assert (effect["seeds"], effect["folds"]) == ([0, 1], 2)
    assert json.loads(json.dumps(effect, allow_nan=False)) == effect


def test_a_gain_of_half_is_found_and_the_controls_add_nothing(effect):
    for horizon in HORIZONS:
        cell = effect[horizon]["rank_ic"]
        assert cell["diff"] == pytest.approx(0.02, abs=0.003)
        assert cell["relative"] == pytest.approx(cell["diff"] / cell["off"])
        assert cell["ci95"][0] > 0
        assert cell["verdict"] == "met"
        identity = effect["controls"]["identity"][horizon]["rank_ic"]
        assert identity["ci95"][0] <= 0 <= identity["ci95"][1]
        assert identity["on_less_control_ci95"][0] > 0
        assert identity["diff"] + identity["on_less_control"] == pytest.approx(cell["diff"])


def test_the_sharpe_ratio_is_a_year_of_the_ratio(effect, daily):
    net = daily[(daily["variant"] == "on") & (daily["seed"] == "0") & (daily["horizon"] == "1d")]
    net = net[net["scores"] == "raw"]["long_short_net"]
    assert effect["1d"]["sharpe_net"]["on"] == pytest.approx(net.mean() / net.std() * math.sqrt(245), rel=0.02)
    assert effect["1d"]["rank_icir"]["on"] * math.sqrt(245) == pytest.approx(effect["1d"]["sharpe_net"]["on"])


@pytest.mark.parametrize(
    ("gain", "noise", "expected"), [(0.02, 0.01, "met"), (0.0, 0.002, "not met"), (0.002, 0.02, "undecided")]
)
def test_a_goal_is_met_not_met_or_undecided(gain, noise, expected):
    # The goal is 5% of 0.04 = 0.002.
    found = gat_effect(series_of(ablation_daily({"on": gain, "off": 0.0}, noise)), GOALS)
    assert found["1d"]["rank_ic"]["verdict"] == expected


def test_the_verdict_is_that_of_the_whole_interval():
    assert verdict((0.051, 0.2), 0.05) == "met"
    assert verdict((0.01, 0.049), 0.05) == "not met"
    assert verdict((0.049, 0.2), 0.05) == "undecided"
    assert verdict((math.nan, math.nan), 0.05) == "undecided"


def test_the_days_that_would_decide_are_those_of_the_formula(effect, daily):
    series = series_of(daily)
    for name in ("rank_ic", "sharpe_net"):
        found, cell = series.compare("on", "off", "raw", "1d", name), effect["1d"][name]
        expected = (2.8 * found.day_deviation / (GOALS[name] * cell["off"])) ** 2
        assert cell["days_to_decide"] == math.ceil(expected)
    # Noise 0.01 of two models a variant: the daily difference has a deviation of 0.01, the goal is 0.002.
    by_hand = (2.8 * 0.01 / 0.002) ** 2
    assert effect["1d"]["rank_ic"]["days_to_decide"] == pytest.approx(by_hand, rel=0.5)


def test_a_goal_of_any_gain_takes_the_days_of_the_gain_there_is(effect, daily):
    found = series_of(daily).compare("on", "off", "raw", "1d", "rank_icir")
    cell = effect["1d"]["rank_icir"]
    assert cell["days_to_decide"] == days_to_decide(found.day_deviation, cell["diff"])


def test_a_gain_over_a_loss_counts_upwards():
    found = gat_effect(series_of(ablation_daily({"on": 0.02, "off": 0.0}, off=-0.04)), GOALS)
    cell = found["1d"]["rank_ic"]
    assert cell["off"] < cell["on"] < 0 < cell["relative"]


def test_on_and_off_are_asked_for(daily):
    with pytest.raises(ValueError, match=r"no variant 'off', only \['on', .*add it to ablation\.run"):
        gat_effect(series_of(daily[daily["variant"] != "off"]), GOALS)


def test_the_ensemble_is_no_seed(daily):
    assert series_of(daily).seeds == [0, 1]
    assert list(series_of(daily).series("on", "raw", "1d", "rank_ic")) == ["0", "1"]


def test_the_table_has_every_variant_beside_on(table):
    assert list(table) == TABLE_COLUMNS
    assert len(table) == len(GAINS) * 3 * len(HORIZONS)
    rows = table[(table["scores"] == "raw") & (table["horizon"] == "1d")].set_index("variant")
    assert rows.loc["on", "rank_ic_less_on"] == 0
    assert rows.loc["off", "rank_ic_less_on"] == pytest.approx(-0.02, abs=0.003)
    assert rows.loc["off", "rank_ic_less_on_low"] < -0.015 < rows.loc["off", "rank_ic_less_on_high"] + 0.01
    assert rows.loc["off", "rank_ic_less_on"] == pytest.approx(rows.loc["off", "rank_ic"] - rows.loc["on", "rank_ic"])
    assert rows.loc["on", ["n_parameters", "seconds", "days"]].tolist() == [1001, 30.0, DAYS]
    # Days vary by 0.08, models by 0.01 of which two are averaged.
    assert rows["rank_ic_se"].between(0.6 * 0.08 / DAYS**0.5, 1.6 * 0.08 / DAYS**0.5).all()


def test_the_ensemble_of_the_table_is_measured_by_itself(table, daily):
    own = daily[(daily["variant"] == "on") & (daily["seed"] == ENSEMBLE) & (daily["horizon"] == "5d")]
    row = table[(table["variant"] == "on") & (table["scores"] == "raw") & (table["horizon"] == "5d")]
    assert row["rank_ic_ensemble"].item() == pytest.approx(own[own["scores"] == "raw"]["rank_ic"].mean())


def test_the_curve_ends_at_the_mean_difference_times_the_days(daily, effect):
    figure = cumulative_difference(series_of(daily))
    curve = next(trace for trace in figure.data if trace.name == "on - off" and trace.xaxis == "x")
    assert len(curve.y) == DAYS
    assert curve.y[-1] == pytest.approx(DAYS * effect["1d"]["rank_ic"]["diff"], abs=1e-3)
    band = [trace for trace in figure.data if trace.name is None and trace.xaxis == "x"]
    assert band[0].y[-1] == -band[1].y[-1]
    assert band[1].y[-1] == pytest.approx(2 * band[1].y[DAYS // 4 - 1], abs=1e-4)  # with the root of the days


def test_the_forest_has_an_interval_for_every_variant_but_on(table):
    figure = variant_forest(table)
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(points) == len(HORIZONS)
    assert set(points[0].y) == set(GAINS) - {"on"}
    off = list(points[0].y).index("off")
    row = table[(table["scores"] == "raw") & (table["horizon"] == "1d") & (table["variant"] == "off")].iloc[0]
    assert points[0].x[off] + points[0].error_x["array"][off] == pytest.approx(row["rank_ic_less_on_high"], abs=1e-4)


def test_numbers_that_do_not_exist_are_none():
    short = ablation_daily({"on": 0.02, "off": 0.0})
    short = short[short["date"] <= short["date"].unique()[9]]
    found = gat_effect(series_of(short), GOALS)
    assert found["1d"]["rank_ic"]["ci95"] == [None, None]
    assert found["1d"]["rank_ic"]["verdict"] == "undecided"
    assert found["1d"]["rank_ic"]["days_to_decide"] is None
