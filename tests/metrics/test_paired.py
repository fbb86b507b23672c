"""Two daily series beside one another: the same days, and blocks of the horizon's length."""

import numpy as np
import pytest

from gogooku_kedro.metrics.paired import paired_difference
from gogooku_kedro.metrics.significance import icir, percentiles, resampled_days

DAYS = 60


def pair(days: int = DAYS) -> tuple[np.ndarray, np.ndarray]:
    """Independent days, which both series share but for a little noise."""
    rng = np.random.default_rng(3)
    market = rng.normal(0.02, 0.1, days)
    return market + 0.01 + rng.normal(0, 0.02, days), market + rng.normal(0, 0.02, days)


def width(horizon: int, first: np.ndarray, second: np.ndarray) -> float:
    found = paired_difference(first, second, horizon=horizon, statistic=icir)
    return found.high - found.low


def test_the_interval_draws_blocks_of_the_horizon() -> None:
    """Sixty days hold three independent labels of twenty sessions: Student's 4.30 over 1.96, times the root of 3/2."""
    assert width(20, *pair()) > 1.5 * width(1, *pair())


def test_the_interval_is_that_of_the_same_days_of_both_series() -> None:
    first, second = pair()
    days = resampled_days(DAYS, 20, 1000, seed=0)
    drawn = np.array([icir(first[draw]) - icir(second[draw]) for draw in days])
    found = paired_difference(first, second, horizon=20, statistic=icir)
    expected = percentiles(drawn, icir(first) - icir(second), DAYS, 20, 0.95)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)
    apart = np.array([icir(first[one]) - icir(second[two]) for one, two in zip(days, days[::-1], strict=True)])
    assert found.high - found.low < 0.7 * np.diff(percentiles(apart, found.difference, DAYS, 20, 0.95))[0]


def test_a_day_that_one_series_lacks_counts_for_neither() -> None:
    first, second = pair(80)
    one, two = first.copy(), second.copy()
    one[:10], two[70:] = np.nan, np.nan
    assert paired_difference(one, two, horizon=1, statistic=icir) == paired_difference(
        first[10:70], second[10:70], horizon=1, statistic=icir
    )


def test_overlapping_labels_lower_the_t_value() -> None:
    """The same persistent difference counts for less where its lag is that of twenty sessions."""
    steps = np.repeat(np.random.default_rng(0).normal(0.01, 0.02, 12), 20)
    far, near = (paired_difference(steps, np.zeros(240), horizon=h) for h in (20, 1))
    assert abs(far.t) < 0.7 * abs(near.t)
    assert far.high - far.low > near.high - near.low
