"""Figures over folds, on daily series made by hand."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.metrics.daily import DAILY_COLUMNS, daily_metrics
from gogooku_kedro.metrics.significance import mean_interval, mean_p_value, newey_west_t
from gogooku_kedro.report.figures.ranking import ALL, rank_ic_by_fold
from gogooku_kedro.walk_forward.table import measure_folds, measure_seeds, summarise_folds, summarise_seeds
from tests.metrics import conftest as tiny

labels, predict = tiny.labels, tiny.predict  # fixtures
SPLITS = [
    {"test": ["2024-01-04", "2024-02-14"]},  # 30 sessions
    {"test": ["2024-02-15", "2024-03-27"]},  # 30 sessions
]


def daily(rank_ic, net, model="model") -> pd.DataFrame:
    """Two folds of 30 sessions with the given series, one session ahead."""
    dates = pd.bdate_range("2024-01-04", periods=60)
    table = pd.DataFrame({name: np.nan for name in DAILY_COLUMNS}, index=range(60))
    table["model"], table["split"], table["horizon"] = model, "test", "1d"
    table["date"], table["rank_ic"], table["long_short_net"] = dates, rank_ic, net
    table.insert(0, "fold", np.repeat([1, 2], 30))
    return table


def test_the_mean_of_all_days_the_folds_and_their_spread():
    wave = np.tile([0.01, -0.01], 15)
    rank_ic = np.concatenate([0.02 + wave, 0.06 + wave])
    net = np.concatenate([wave, 0.01 + wave]) / 10
    table = summarise_folds(daily(rank_ic, net), 245, replications=20, seed=0)["model"]["1d"]
    assert table["rank_ic"] == pytest.approx(0.04)
    assert table["days"] == 60
    assert table["rank_ic_t"] == pytest.approx(newey_west_t(rank_ic, 4))
    assert [fold["rank_ic"] for fold in table["folds"].values()] == pytest.approx([0.02, 0.06])
    assert list(table["folds"]) == ["1", "2"]
    assert table["between_folds"]["rank_ic"] == pytest.approx(
        {"std": 0.04 / np.sqrt(2), "min": 0.02, "max": 0.06, "share_positive": 1.0}
    )
    sharpes = [0.0, 0.001 / np.std(wave / 10, ddof=1) * np.sqrt(245)]
    assert [fold["sharpe_net"] for fold in table["folds"].values()] == pytest.approx(sharpes, abs=1e-9)
    assert table["folds"]["2"]["rank_icir"] == pytest.approx(0.06 / np.std(wave, ddof=1))


def test_a_fold_without_labels_is_missing_and_never_zero():
    rank_ic = np.concatenate([np.full(30, 0.03) + np.tile([0.01, -0.01], 15), np.full(30, np.nan)])
    table = summarise_folds(daily(rank_ic, np.nan), 245, replications=20, seed=0)["model"]["1d"]
    assert table["rank_ic"] == pytest.approx(0.03)
    second = table["folds"]["2"]
    assert (second["rank_ic"], second["rank_ic_t"], second["sharpe_net"], second["days"]) == (
        None,
        None,
        None,
        0,
    )
    assert second["rank_ic_ci"] == [None, None]
    assert table["between_folds"]["rank_ic"] == {
        "std": None,
        "min": pytest.approx(0.03),
        "max": pytest.approx(0.03),
        "share_positive": 1.0,
    }
    assert table["between_folds"]["sharpe_net"]["share_positive"] is None


def test_every_fold_and_all_days_have_the_interval_of_their_mean():
    series = np.random.default_rng(0).normal(0.02, 0.1, 60)
    table = summarise_folds(daily(series, np.nan), 245, replications=20, seed=0)["model"]["1d"]
    assert tuple(table["rank_ic_ci"]) == mean_interval(series, 1)
    assert tuple(table["folds"]["2"]["rank_ic_ci"]) == mean_interval(series[30:], 1)
    assert table["rank_ic_p"] == mean_p_value(series, 1)


def test_a_portfolio_is_carried_from_one_fold_into_the_next(labels, predict):
    # A score that never changes: the portfolio is bought once, in the first session of the first fold.
    score = np.arange(30.0)[None, :]
    scores = predict(score)
    folds = scores.assign(fold=np.where(scores["date"] <= pd.Timestamp("2024-02-14"), 1, 2))
    measured = measure_folds(folds, labels, SPLITS, cost_bps=10)
    pd.testing.assert_frame_equal(measured.drop(columns="fold"), daily_metrics(scores, labels, 10))
    days = measured[measured["horizon"] == "1d"].set_index("date")
    assert days["fold"].value_counts().to_dict() == {1: 30, 2: 30}
    assert days.index[days["fold"] == 2][0] == pd.Timestamp("2024-02-15")
    assert days["turnover"].iloc[0] == pytest.approx(1.0)
    assert (days["turnover"].iloc[1:-1] < 1e-12).all()


def test_every_seed_is_measured_by_itself(labels, predict):
    perfect = labels["ret"].sel(horizon=1).fillna(0).to_numpy()
    members = pd.concat([predict(perfect).assign(seed=3), predict(-perfect).assign(seed=4)])
    members = members.drop(columns="model").assign(fold=1)
    measured = measure_seeds(members, labels, SPLITS, cost_bps=0)
    assert set(measured["model"]) == {"model"}
    table = summarise_seeds(measured, 245)
    assert table["3"]["1d"]["rank_ic"] == pytest.approx(1.0)
    assert table["4"]["1d"]["rank_ic"] == pytest.approx(-1.0)
    assert set(table["3"]["1d"]) == {"rank_ic", "rank_icir", "sharpe_net", "days"}


def test_the_figure_shows_every_fold_with_its_interval():
    wave = np.tile([0.01, -0.01], 15)
    both = [
        daily(np.concatenate([0.02 + wave, 0.06 + wave]), np.nan),
        daily(np.concatenate([-0.01 + wave, np.full(30, np.nan)]), np.nan, "lightgbm"),
    ]
    table = summarise_folds(pd.concat(both), 245, replications=20, seed=0)
    figure = rank_ic_by_fold(table, SPLITS)
    model, trees = figure.data
    assert list(model.x) == ["1: 2024-01", "2: 2024-02", ALL]
    assert list(model.y) == [0.02, 0.06, 0.04]
    assert all(half > 0 for half in model.error_y.array)
    assert (trees.name, list(trees.y)) == ("lightgbm", [-0.01, None, -0.01])
    assert trees.error_y.array[1] is None
    assert [note.text for note in figure.layout.annotations] == ["1d horizon"]
