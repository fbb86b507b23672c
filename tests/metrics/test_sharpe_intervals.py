"""Bootstrap intervals of Sharpe ratios."""

import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from gogooku_kedro.metrics.sharpe_intervals import SharpeIntervals
from gogooku_kedro.metrics.significance import block_length, icir, percentiles, sharpe
from tests.metrics.test_significance import smooth_series

RETURNS = np.random.default_rng(0).normal(0.001, 0.01, 300)


@pytest.mark.parametrize("horizon", [1, 20])
def test_intervals_of_several_series_are_those_of_sessions_drawn_for_each(horizon: int) -> None:
    several = [RETURNS, -RETURNS, np.insert(RETURNS, 9, np.nan), RETURNS[:150], RETURNS[:19], np.full(100, 0.01)]
    found = SharpeIntervals(245, 200, seed=4).of(several, horizon)
    for series, ends in zip(several[:4], found, strict=False):
        days = series[np.isfinite(series)]
        block = block_length(days, horizon)
        draws = [data[0][0] for data in StationaryBootstrap(block, days, seed=4).bootstrap(200)]
        ratios = np.array([draw.mean() / draw.std(ddof=1) for draw in draws])
        expected = np.array(percentiles(ratios, icir(days), len(days), block, 0.95)) * math.sqrt(245)
        assert ends == pytest.approx(expected, abs=1e-9)
    assert np.isnan(found[4:]).all()


@pytest.mark.parametrize("series", [[], [0.1], [0.01] * 40, [np.nan] * 40])
def test_what_cannot_vary_has_no_interval(series: list[float]) -> None:
    assert np.isnan(SharpeIntervals(245).of([series], 1)).all()


def test_interval_holds_the_estimate_and_repeats_under_its_seed() -> None:
    [first] = SharpeIntervals(245, seed=4).of([RETURNS], 1)
    [again] = SharpeIntervals(245, seed=4).of([RETURNS], 1)
    [other] = SharpeIntervals(245, seed=5).of([RETURNS], 1)
    assert first == again != other
    assert first[0] < sharpe(RETURNS, 245) < first[1]
    # se of an annual Sharpe ratio over 300 of 245 sessions is about .9: the interval is about 3.6 wide
    assert 2.3 < first[1] - first[0] < 5.0


def test_interval_covers_the_true_sharpe_of_autocorrelated_returns() -> None:
    covered = 0
    for seed in range(40):
        [(low, high)] = SharpeIntervals(245, 200, seed=seed).of([smooth_series(250, 5, seed) - 0.02], 5)
        covered += low < 0.0 < high
    assert covered >= 32
