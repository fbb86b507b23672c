import json
import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.metrics.daily import (
    DAILY_COLUMNS,
    MEANS_OF_DAYS,
    daily_metrics,
    daily_metrics_and_deciles,
    hit_rate,
    summarise_extras,
    summarise_metrics,
)
from gogooku_kedro.metrics.deciles import decile_profile
from gogooku_kedro.metrics.rank_ic import rank_ic

KEYS = [
    "rank_ic",
    "rank_ic_t",
    "rank_ic_p",
    "rank_ic_ci",
    "ic",
    "icir",
    "rank_icir",
    "hit_rate",
    "decile_spread",
    "turnover",
    "sharpe_gross",
    "sharpe_net",
    "sharpe_net_ci",
    "rank_ic_one_day_late",
    *MEANS_OF_DAYS,
    "profile_monotonicity",
    "days",
]


def one_day(labels: xr.Dataset) -> np.ndarray:
    return labels["ret"].sel(horizon=1).values.copy()


def summary_of(predictions: pd.DataFrame, labels: xr.Dataset, name: str = "1d") -> dict:
    daily = daily_metrics(predictions, labels, cost_bps=10.0)
    return summarise_metrics(daily, 245, replications=100)["test"]["model"][name]


def test_perfect_foresight_reaches_every_maximum(labels, predict) -> None:
    numbers = summary_of(predict(one_day(labels)), labels)
    assert numbers["rank_ic"] == pytest.approx(1.0)
    assert numbers["ic"] == pytest.approx(1.0)
    assert numbers["hit_rate"] == pytest.approx(1.0)
    assert numbers["sharpe_net"] > 20
    ret = np.sort(one_day(labels)[:-1], axis=1)
    spread = (ret[:, -3:].mean(axis=1) - ret[:, :3].mean(axis=1)).mean()
    assert numbers["decile_spread"] == pytest.approx(spread, rel=1e-5)
    assert numbers["days"] == 59


def test_inverse_foresight_is_the_mirror_image(labels, predict) -> None:
    right = summary_of(predict(one_day(labels)), labels)
    wrong = summary_of(predict(-one_day(labels)), labels)
    for key in ("rank_ic", "ic", "decile_spread", "sharpe_gross"):
        assert wrong[key] == pytest.approx(-right[key], rel=1e-6)
    assert wrong["hit_rate"] == pytest.approx(0.0)


def test_constant_score_has_no_skill_number_at_all(labels, predict) -> None:
    numbers = summary_of(predict(np.full((60, 30), 0.5)), labels)
    intervals = {"sharpe_net_ci", "rank_ic_ci"}
    undefined = set(KEYS) - {"turnover", "days", "dispersion", "distinct_share"} - intervals
    assert {numbers[key] for key in undefined} == {None}
    assert all(numbers[key] == [None, None] for key in intervals)
    assert (numbers["turnover"], numbers["days"]) == (0.0, 0)


def test_random_score_is_within_three_standard_errors_of_no_skill(labels, predict) -> None:
    score = np.random.default_rng(11).normal(size=(60, 30))
    numbers = summary_of(predict(score), labels)
    assert abs(numbers["rank_ic"]) < 3 / np.sqrt(30 * 59)
    assert abs(numbers["hit_rate"] - 0.5) < 3 * 0.5 / np.sqrt(30 * 59)


def test_one_day_late_holds_yesterdays_score_against_todays_label(labels, predict) -> None:
    tomorrow = np.vstack([one_day(labels)[1:], np.full((1, 30), np.nan)])
    daily = daily_metrics(predict(tomorrow), labels, 0.0).query("horizon == '1d'")
    late = daily["rank_ic_one_day_late"].to_numpy()
    assert np.isnan(late[0])
    np.testing.assert_allclose(late[1:-1], 1.0)
    assert abs(daily["rank_ic"].mean()) < 0.1


def test_late_score_comes_from_the_session_before_even_if_it_scored_nothing(labels, predict) -> None:
    rows = predict(one_day(labels))
    gap = labels["date"].values[10]
    daily = daily_metrics(rows[rows["date"] != gap], labels, 0.0).query("horizon == '1d'")
    assert len(daily) == 60
    assert np.isnan(daily["rank_ic"].iloc[10])
    assert np.isnan(daily["rank_ic_one_day_late"].iloc[11])
    assert daily["n"].iloc[10] == 0


def test_hit_rate_counts_stocks_on_the_same_side_of_both_medians() -> None:
    score = np.array([[1.0, 2, 3, 4, 5]])
    ret = np.array([[-0.2, 0.4, 0.1, 0.2, 0.0]])
    # medians 3 and 0.1: sides (-,-) (-,+) (on) (+,+) (+,-): two of four
    assert hit_rate(score, ret)[0] == pytest.approx(0.5)
    assert np.isnan(hit_rate(np.ones((1, 5)), ret)[0])


def test_missing_labels_and_scores_shrink_the_cross_section(labels, predict) -> None:
    score = one_day(labels)
    score[0, :10] = np.nan
    labels["ret"][0, 10:12] = np.nan
    daily = daily_metrics(predict(score), labels, 0.0)
    assert daily.loc[daily["horizon"] == "1d", "n"].tolist()[:2] == [18, 30]


def test_an_extreme_label_counts_like_any_other(labels, predict) -> None:
    """Leaving out the labels that no score foresaw would be looking ahead."""
    labels["ret"][5, 3, :] = 4.0
    labels["ret"][6, 8, :] = -0.99
    daily = daily_metrics(predict(-one_day(labels)), labels, cost_bps=10.0).set_index(["horizon", "date"])
    for day in (5, 6):
        numbers = daily.loc[("1d", labels["date"].values[day])]
        assert numbers["n"] == labels.sizes["code"]
        assert numbers["rank_ic"] == pytest.approx(-1.0)
    assert daily.loc[("1d", labels["date"].values[5]), "decile_spread"] < -4.0 / 3


def test_daily_rank_ic_equals_the_plain_function(labels, predict) -> None:
    score = np.random.default_rng(2).normal(size=(60, 30)).astype(np.float32)
    daily = daily_metrics(predict(score), labels, 0.0)
    for horizon in (1, 20):
        expected = rank_ic(score, labels["ret"].sel(horizon=horizon).values)
        rows = daily[daily["horizon"] == f"{horizon}d"]
        np.testing.assert_allclose(rows["rank_ic"], expected)


def test_summary_has_the_shape_of_metrics_json(labels, predict) -> None:
    score = np.random.default_rng(2).normal(size=(60, 30))
    both = [predict(score, "lightgbm"), predict(score, "model", "valid")]
    daily = daily_metrics(pd.concat(both, ignore_index=True), labels, 10.0)
    assert list(daily.columns) == DAILY_COLUMNS
    summary = summarise_metrics(daily, 245, replications=50)
    assert set(summary) == {"test", "valid"}
    assert list(summary["test"]["lightgbm"]) == ["1d", "5d", "10d", "20d"]
    assert list(summary["valid"]["model"]["5d"]) == KEYS
    text = json.dumps({**summary, "extras": summarise_extras(daily, 245)}, allow_nan=False, sort_keys=True)
    assert "NaN" not in text


def test_predictions_without_a_model_column_are_the_models(labels, predict) -> None:
    rows = predict(one_day(labels)).drop(columns="model")
    assert daily_metrics(rows, labels, 0.0)["model"].unique().tolist() == ["model"]


def test_row_order_of_predictions_does_not_matter(labels, predict) -> None:
    rows = predict(np.random.default_rng(4).normal(size=(60, 30)))
    shuffled = rows.sample(frac=1.0, random_state=0)
    one, other = (daily_metrics(frame, labels, 5.0) for frame in (rows, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_break_even_cost_makes_the_portfolio_earn_nothing(labels, predict) -> None:
    score = one_day(labels) + np.random.default_rng(1).normal(0, 0.05, size=(60, 30))
    daily = daily_metrics(predict(score), labels, 10.0)
    cost = summarise_extras(daily, 245)["test"]["model"]["1d"]["break_even_bps"]
    again = daily_metrics(predict(score), labels, cost).query("horizon == '1d'")
    assert again["long_short_net"].mean() == pytest.approx(0.0, abs=1e-9)


def test_decile_profile_rises_with_foresight(labels, predict) -> None:
    _, deciles = daily_metrics_and_deciles(predict(one_day(labels)), labels, 0.0)
    profile = decile_profile(deciles).query("horizon == '1d'")
    assert profile["mean_return"].is_monotonic_increasing
    assert profile["mean_return"].mean() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.drop(columns="score_5d"), "lacks the column 'score_5d'"),
        (lambda p: p.assign(code="9999"), "the code 9999"),
        (lambda p: p.assign(split="holdout"), "split 'holdout'"),
        (lambda p: pd.concat([p, p.iloc[:1]]), "more than once"),
    ],
)
def test_predictions_that_do_not_fit_are_named(labels, predict, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        daily_metrics(change(predict(one_day(labels))), labels, 0.0)


def test_labels_without_the_one_session_return_cannot_price_a_portfolio(labels, predict) -> None:
    with pytest.raises(ValueError, match="without 1"):
        daily_metrics(predict(one_day(labels)), labels.sel(horizon=[5, 10, 20]), 0.0)


def test_a_thousand_stocks_and_a_year_take_about_a_second_per_model() -> None:
    rng = np.random.default_rng(0)
    dates, codes = pd.bdate_range("2024-01-04", periods=250), [str(i) for i in range(1000, 2000)]
    ret = rng.normal(0, 0.02, size=(250, 1000, 4)).astype(np.float32)
    coords = {"date": dates, "code": codes, "horizon": [1, 5, 10, 20]}
    labels = xr.Dataset({"ret": (("date", "code", "horizon"), ret)}, coords=coords)
    rows = pd.DataFrame({"date": np.repeat(dates, 1000), "code": codes * 250, "split": "test"})
    for horizon in (1, 5, 10, 20):
        rows[f"score_{horizon}d"] = rng.normal(size=len(rows)).astype(np.float32)
    start = time.perf_counter()
    summarise_metrics(daily_metrics(rows, labels, 10.0), 245)
    assert time.perf_counter() - start < 10.0
