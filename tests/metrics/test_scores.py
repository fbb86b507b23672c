"""Known values of what is said of a score by itself, and of its deciles."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import spearmanr

from gogooku_kedro.metrics.daily import daily_metrics, daily_metrics_and_deciles, summarise_metrics
from gogooku_kedro.metrics.deciles import DECILE_COLUMNS, decile_profile, monotonicity
from gogooku_kedro.metrics.scores import autocorrelation, coverage, dispersion, distinct_share

NAN = np.nan
CONSTANT = np.full((60, 30), 0.5)


def one_day(labels) -> np.ndarray:
    return labels["ret"].sel(horizon=1).values.copy()


def test_coverage_is_the_share_of_members_with_a_score() -> None:
    score = np.array([[1.0, 2.0, NAN, 4.0], [NAN] * 4, [1.0, 2.0, 3.0, 4.0]])
    in_universe = np.array([[True, True, True, False], [True, False, False, False], [False] * 4])
    # two of three; nobody of one; no members: a score of a stranger does not count
    np.testing.assert_array_equal(coverage(score, in_universe), [2 / 3, 0.0, NAN])


def test_dispersion_is_the_standard_deviation_over_stocks_and_0_for_one_score() -> None:
    score = np.array([[1.0, 2, 3, 4, 5, NAN], [0.1] * 6, [1.0, 2, 3, 4, NAN, NAN]])
    np.testing.assert_allclose(dispersion(score), [np.sqrt(2.5), 0.0, NAN])
    assert dispersion(score)[1] == 0.0  # not the 1e-17 that rounding would leave


def test_distinct_share_counts_different_scores() -> None:
    score = np.array([[1.0, 1.0, 2.0, 3.0, NAN, 3.0], [7.0] * 6, [1.0, 2.0, 3.0, 4.0, NAN, NAN]])
    np.testing.assert_allclose(distinct_share(score), [3 / 5, 1 / 6, NAN])


def test_autocorrelation_is_spearmans_with_the_session_that_many_before() -> None:
    score = np.random.default_rng(0).normal(size=(7, 12))
    score[4, :3] = NAN
    found = autocorrelation(score, 2)
    assert np.isnan(found[:2]).all()
    assert found[3] == pytest.approx(spearmanr(score[3], score[1])[0])
    assert found[4] == pytest.approx(spearmanr(score[4, 3:], score[2, 3:])[0])
    assert np.isnan(autocorrelation(score, 7)).all()
    with pytest.raises(ValueError, match="1 session before or more"):
        autocorrelation(score, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(10.0), 1.0),
        (-np.arange(10.0), -1.0),
        (np.ones(10), NAN),
        ([0, 1, 2, NAN, NAN, NAN, NAN, NAN, NAN, 3], NAN),  # four deciles are no order
        ([0, 1, 2, NAN, NAN, NAN, NAN, NAN, 4, 3], 0.9),  # 1 - 6 * 2 / (5 * 24)
    ],
)
def test_monotonicity_is_spearmans_of_decile_and_return(values, expected) -> None:
    np.testing.assert_allclose(monotonicity(np.array([values], dtype=float)), [expected])


PREDICTORS = {
    "perfect": lambda ret: ret,
    "inverse": lambda ret: -ret,
    "constant": lambda ret: CONSTANT,
    "random": lambda ret: np.random.default_rng(5).normal(size=ret.shape),
}


@pytest.fixture
def measured(labels, predict) -> pd.DataFrame:
    """metrics.json of four predictors, 1d horizon: name -> number."""
    ret = one_day(labels)
    rows = [predict(make(ret), model=name) for name, make in PREDICTORS.items()]
    stacked = pd.concat(rows, ignore_index=True)
    in_universe = labels["ret"].sel(horizon=1, drop=True).notnull()
    daily = daily_metrics(stacked, labels, 10.0, in_universe=in_universe)
    deciles = daily_metrics_and_deciles(stacked, labels, 0.0)[1]
    summary = summarise_metrics(daily, 245, deciles=deciles, replications=20)["test"]
    return pd.DataFrame({name: horizons["1d"] for name, horizons in summary.items()})


def test_perfect_and_inverse_predictors_are_at_the_ends_of_every_scale(measured) -> None:
    for name in ("monotonicity", "profile_monotonicity", "rank_ic"):
        assert measured.at[name, "perfect"] == pytest.approx(1.0), name
        assert measured.at[name, "inverse"] == pytest.approx(-1.0), name
    for name in ("coverage", "distinct_share"):
        assert measured.at[name, "perfect"] == measured.at[name, "inverse"] == 1.0, name
    assert measured.at["dispersion", "perfect"] == pytest.approx(0.02, rel=0.05)  # that of the returns


def test_constant_predictor_has_no_order_and_no_memory(measured) -> None:
    constant = measured["constant"]
    for name in ("monotonicity", "profile_monotonicity", "score_autocorrelation", "score_autocorrelation_h"):
        assert constant[name] is None, name
    assert constant["dispersion"] == 0.0
    assert constant["distinct_share"] == pytest.approx(1 / 30)
    assert constant["coverage"] == 1.0


def test_random_predictor_is_within_three_standard_errors_of_nothing(measured) -> None:
    random = measured["random"]
    # Spearman's correlation of n pairs has a standard error of 1 / sqrt(n - 1), over 59 days
    assert abs(random["monotonicity"]) < 3 / np.sqrt(9 * 59)
    assert abs(random["score_autocorrelation"]) < 3 / np.sqrt(29 * 58)
    assert random["dispersion"] == pytest.approx(1.0, abs=3 / np.sqrt(2 * 30 * 60))
    assert random["distinct_share"] == 1.0


def test_a_score_that_never_changes_has_an_autocorrelation_of_one(labels, predict) -> None:
    daily = daily_metrics(predict(np.arange(30.0)), labels, 0.0)
    for horizon, name in ((1, "score_autocorrelation"), (20, "score_autocorrelation_h")):
        column = daily.loc[daily["horizon"] == f"{horizon}d", name].to_numpy()
        assert np.isnan(column[:horizon]).all()
        np.testing.assert_allclose(column[horizon:], 1.0)


def test_without_members_there_is_no_coverage(labels, predict) -> None:
    assert daily_metrics(predict(one_day(labels)), labels, 0.0)["coverage"].isna().all()


def test_coverage_knows_the_stocks_that_were_not_scored(labels, predict) -> None:
    rows = predict(np.arange(30.0))
    in_universe = xr.ones_like(labels["ret"].sel(horizon=1, drop=True), dtype=bool)
    daily = daily_metrics(rows[rows["code"] < "1316"], labels, 0.0, in_universe=in_universe)
    assert daily["coverage"].unique().tolist() == [0.5]


def test_deciles_of_a_date_hold_the_mean_label_of_their_stocks(labels, predict) -> None:
    score = np.random.default_rng(3).normal(size=(60, 30))
    deciles = daily_metrics_and_deciles(predict(score), labels, 0.0)[1]
    assert list(deciles) == DECILE_COLUMNS
    assert len(deciles) == 4 * 60 * 10
    day = labels["date"].values[17]
    of_day = deciles[(deciles["date"] == day) & (deciles["horizon"] == "5d")]
    order, ret = np.argsort(score[17].astype(np.float32)), labels["ret"].values[17, :, 1]
    np.testing.assert_allclose(of_day["mean_return"], ret[order].reshape(10, 3).mean(axis=1), rtol=1e-6)
    assert deciles.loc[deciles["date"] == labels["date"].values[-1], "mean_return"].isna().all()  # no label


def test_profile_is_the_mean_of_the_days_in_excess_of_each(labels, predict) -> None:
    deciles = daily_metrics_and_deciles(predict(one_day(labels)), labels, 0.0)[1]
    one = deciles[deciles["horizon"] == "1d"].pivot(index="date", columns="decile", values="mean_return")
    expected = one.sub(one.mean(axis=1), axis=0).mean()
    profile = decile_profile(deciles).query("horizon == '1d'")
    np.testing.assert_allclose(profile["mean_return"], expected)


def test_equal_scores_leave_deciles_empty_and_not_zero(labels, predict) -> None:
    deciles = daily_metrics_and_deciles(predict(np.repeat([0.0, 1.0], 15)), labels, 0.0)[1].query("horizon == '1d'")
    first = deciles.head(10).set_index("decile")["mean_return"]
    assert first.notna().sum() == 2  # two scores, two deciles
    assert daily_metrics_and_deciles(predict(CONSTANT), labels, 0.0)[1]["mean_return"].isna().all()
