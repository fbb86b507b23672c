"""Probabilistic and deflated Sharpe against their papers, SciPy and the bootstrap."""

import math

import numpy as np
import pytest
from scipy import stats

from gogooku_kedro.backtest.sharpe_tests import (
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
    sharpe_probability,
)

RETURNS = np.random.default_rng(3).standard_t(4, 250) * 0.01 + 0.001


def test_the_example_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2014), numerical example: annual SR 2.5 over five years of 250 days, skewness
    # -3, kurtosis 10, 100 trials with an annual variance of 1/2. SR0 = 0.1132 a day, DSR = 0.9004.
    best = expected_best_sharpe(math.sqrt(0.5 / 250), 100)
    assert best == pytest.approx(0.1132, abs=5e-5)
    probability = sharpe_probability(2.5 / math.sqrt(250), best, 1250, skewness=-3.0, kurtosis=10.0)
    assert probability == pytest.approx(0.9004, abs=5e-5)


def test_probability_by_hand_for_normal_returns() -> None:
    # SR 0.1 over 101 days: 0.1 * 10 / sqrt(1 + 0.01 / 2) = 0.99751
    assert sharpe_probability(0.1, 0.0, 101) == pytest.approx(stats.norm.cdf(0.997509), abs=1e-6)
    assert sharpe_probability(0.1, 0.1, 101) == 0.5


def test_moments_are_those_of_scipy() -> None:
    ratio = RETURNS.mean() / RETURNS.std(ddof=1)
    expected = sharpe_probability(ratio, 0.02, 250, stats.skew(RETURNS), stats.kurtosis(RETURNS, fisher=False))
    assert probabilistic_sharpe(RETURNS, 0.02) == pytest.approx(expected, rel=1e-12)


def test_left_tails_and_few_days_make_it_less_sure() -> None:
    sure = sharpe_probability(0.1, 0.0, 250)
    assert sharpe_probability(0.1, 0.0, 250, skewness=-2.0) < sure
    assert sharpe_probability(0.1, 0.0, 250, kurtosis=12.0) < sure
    assert sharpe_probability(0.1, 0.0, 60) < sure


def test_one_trial_is_the_probabilistic_ratio_and_more_trials_are_less_sure() -> None:
    assert expected_best_sharpe(0.1, 1) == 0.0
    probabilities = [deflated_sharpe(RETURNS, 0.05, trials) for trials in (1, 2, 10, 100)]
    assert probabilities[0] == probabilistic_sharpe(RETURNS)
    assert probabilities == sorted(probabilities, reverse=True)


def test_the_expected_best_is_that_of_many_markets_without_skill() -> None:
    best = np.random.default_rng(0).normal(0, 0.06, (20_000, 50)).max(axis=1).mean()
    assert expected_best_sharpe(0.06, 50) == pytest.approx(best, rel=0.02)


def test_missing_days_are_left_out_and_short_or_flat_series_have_no_probability() -> None:
    gaps = np.insert(RETURNS, [3, 50, 200], np.nan)
    assert probabilistic_sharpe(gaps) == probabilistic_sharpe(RETURNS)
    assert math.isnan(probabilistic_sharpe(RETURNS[:19]))
    assert math.isnan(probabilistic_sharpe(np.full(100, 0.01)))
    assert math.isnan(deflated_sharpe(np.full(100, np.nan), 0.1, 8))
