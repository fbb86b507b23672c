import math

import numpy as np
import pytest

from gogooku_kedro.metrics.paired import paired_difference
from gogooku_kedro.metrics.significance import (
    block_length,
    cosine_error,
    icir,
    mean_interval,
    mean_p_value,
    newey_west_lag,
    newey_west_t,
    percentiles,
    sharpe,
)


def newey_west_by_hand(x: list[float], lag: int) -> float:
    n, mean = len(x), sum(x) / len(x)
    d = [v - mean for v in x]
    total = sum(v * v for v in d) / n
    for k in range(1, lag + 1):
        weight = 1 - k / (lag + 1)
        total += 2 * weight * sum(d[t] * d[t - k] for t in range(k, n)) / n
    return mean / math.sqrt(total / n)


def smooth_series(days: int = 250, overlap: int = 20, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.02, 0.1, days + overlap)
    return np.convolve(noise, np.ones(overlap) / overlap, mode="valid")[:days]


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_newey_west_t_equals_the_textbook_sum(horizon: int) -> None:
    series = smooth_series(60, 5)
    lag = newey_west_lag(horizon)
    assert newey_west_t(series, lag) == pytest.approx(newey_west_by_hand(list(series), lag))


def test_lag_covers_the_overlap_of_the_labels_and_four_sessions_more() -> None:
    assert [newey_west_lag(h) for h in (1, 5, 10, 20)] == [4, 8, 13, 23]


def test_without_lags_it_is_the_ordinary_t_value() -> None:
    x = smooth_series(50, 1)
    assert newey_west_t(x, 0) == pytest.approx(x.mean() / (x.std() / math.sqrt(50)))


def test_overlap_lowers_the_t_value() -> None:
    series = smooth_series()
    assert newey_west_t(series, newey_west_lag(20)) < 0.5 * newey_west_t(series, 0)


def test_missing_days_are_left_out() -> None:
    series = smooth_series(40)
    holes = np.insert(series, [3, 20], np.nan)
    assert newey_west_t(holes, 4) == newey_west_t(series, 4)
    assert icir(holes) == icir(series)


def test_icir_and_sharpe_on_three_known_days() -> None:
    days = [0.01, 0.02, 0.03]
    assert icir(days) == pytest.approx(2.0)
    assert sharpe(days, 245) == pytest.approx(2.0 * math.sqrt(245))


@pytest.mark.parametrize("series", [[], [0.1], [0.01] * 40, [np.nan] * 40])
def test_what_cannot_vary_has_no_ratio(series: list[float]) -> None:
    assert math.isnan(sharpe(series, 245))
    assert math.isnan(newey_west_t(series, 4))


def test_blocks_are_never_shorter_than_the_horizon() -> None:
    white = np.random.default_rng(2).normal(size=250)
    assert block_length(white, 20) >= 20
    assert block_length(smooth_series(), 1) > 5


def test_interval_of_a_mean_is_that_of_dependent_days() -> None:
    series = smooth_series(2000, 10)  # as the labels of ten sessions overlap
    low, high = mean_interval(series, 10)
    assert (low + high) / 2 == pytest.approx(series.mean())
    # ten overlapping days hold one independent one: sqrt(10) times the interval of independent days
    independent = 2 * 1.96 * series.std() / math.sqrt(2000)
    assert (high - low) / independent == pytest.approx(math.sqrt(10), rel=0.2)
    assert mean_p_value(series, 10) < 0.05
    assert low > 0


def test_cosine_error_by_hand() -> None:
    series = np.array([0.3, -0.1, 0.2, 0.5, 0.1] * 6)
    n, total = 30, 0.0
    for j in range(1, 4 + 1):
        c = sum(x * math.cos(math.pi * j * (t - 0.5) / n) for t, x in enumerate(series, start=1))
        total += 2 / n * c**2
    assert cosine_error(series, 5) == (pytest.approx(math.sqrt(total / 4 / n)), 4)  # 30 / (1.5 * 5) = 4
    assert cosine_error(smooth_series(1010), 1)[1] == 40  # 0.4 * 1010^(2/3)
    assert cosine_error(smooth_series(1000), 20)[1] == 33  # 1000 / (1.5 * 20)


@pytest.mark.parametrize(("days", "horizon"), [(19, 1), (49, 10), (99, 20)])
def test_too_few_days_for_their_horizon_have_no_interval(days: int, horizon: int) -> None:
    assert np.isnan(mean_interval(smooth_series(days), horizon)).all()
    assert not np.isnan(mean_interval(smooth_series(days + 1), horizon)).any()
    assert math.isnan(mean_p_value(np.full(200, 0.1), horizon))


@pytest.mark.parametrize("horizon", [1, 5, 10, 20])
def test_in_19_of_20_series_without_a_mean_the_interval_holds_0(horizon: int) -> None:
    # Newey and West's t beyond 1.96 would be called significant in 6, 9, 11 and 15% of these series.
    series = [smooth_series(240, horizon, seed) - 0.02 for seed in range(1000)]
    intervals = np.array([mean_interval(x, horizon) for x in series])
    outside = ((intervals[:, 0] > 0) | (intervals[:, 1] < 0)).mean()
    assert 0.03 < outside < 0.08
    assert outside == np.mean([mean_p_value(x, horizon) < 0.05 for x in series])


def test_percentiles_are_stretched_by_the_number_of_blocks() -> None:
    draws = np.append(np.linspace(-1.0, 1.0, 2001), np.nan)
    wide = percentiles(draws, 0.0, days=100, block=20, confidence=0.95)
    # 5 blocks: Student's 2.776 with 4 degrees over 1.960, times sqrt(5 / 4)
    assert wide == pytest.approx((-0.95 * 1.5836, 0.95 * 1.5836), rel=1e-3)
    assert percentiles(draws, 0.0, 10**6, 1, 0.95) == pytest.approx((-0.95, 0.95), rel=1e-3)
    assert np.isnan(percentiles(draws, 0.0, 40, 20, 0.95)).all()


def test_paired_difference_sees_what_two_separate_intervals_cannot() -> None:
    market = np.random.default_rng(5).normal(0.03, 0.10, 250)
    better = market + 0.01 + np.random.default_rng(6).normal(0, 0.01, 250)
    result = paired_difference(better, market, horizon=1)
    assert result.difference == pytest.approx((better - market).mean())
    assert result.relative == pytest.approx(result.difference / market.mean())
    assert 0.0 < result.low < result.difference < result.high
    assert result.t > 5
    assert result.p < 0.001
    assert result.days == 250


def test_paired_difference_of_equal_series_has_no_interval() -> None:
    series = smooth_series(60)
    result = paired_difference(series, series, horizon=1)
    assert result.difference == 0.0
    assert math.isnan(result.t)
    assert math.isnan(result.p)
    assert math.isnan(result.low)


def test_paired_difference_uses_common_days_and_any_statistic() -> None:
    first, second = smooth_series(60, 1, 1), smooth_series(60, 1, 2)
    first[:5], second[-5:] = np.nan, np.nan
    result = paired_difference(first, second, horizon=1, statistic=icir, replications=50)
    assert result.days == 50
    assert result.first == pytest.approx(icir(first[5:55]))


def test_series_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="second has shape"):
        paired_difference(np.zeros(5), np.zeros(6), horizon=1)
