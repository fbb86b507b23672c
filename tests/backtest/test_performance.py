"""Equity, drawdown and ratios of four days that can be worked by hand."""

import math

import numpy as np
import pytest

from gogooku_kedro.backtest.performance import (
    annual_return,
    annual_volatility,
    calmar,
    drawdown,
    equity,
    hit_days,
    max_drawdown,
    performance,
    sortino,
)

FOUR = np.array([0.02, -0.03, -0.01, 0.04])


def test_returns_on_a_constant_notional_add_up() -> None:
    np.testing.assert_allclose(equity(FOUR), [1.02, 0.99, 0.98, 1.02])
    np.testing.assert_allclose(drawdown(FOUR), [0.0, 0.03, 0.04, 0.0], atol=1e-15)
    np.testing.assert_allclose(drawdown([-0.01, np.nan, 0.005]), [0.01, 0.01, 0.005])
    assert max_drawdown(FOUR) == pytest.approx(0.04)


def test_ratios_by_hand() -> None:
    assert annual_return(FOUR, 250) == pytest.approx(0.005 * 250)
    # deviations 0.015, -0.035, -0.015, 0.035: sum of squares 0.0029
    assert annual_volatility(FOUR, 250) == pytest.approx(math.sqrt(0.0029 / 3 * 250))
    assert sortino(FOUR, 250) == pytest.approx(0.005 / math.sqrt((0.0009 + 0.0001) / 4) * math.sqrt(250))
    assert calmar(FOUR, 250) == pytest.approx(1.25 / 0.04)
    assert hit_days(FOUR) == 0.5


def test_the_sharpe_ratio_is_annual_and_missing_days_are_left_out() -> None:
    figures = performance(np.insert(FOUR, 2, np.nan), 250)
    assert figures["sharpe"] == pytest.approx(0.005 / math.sqrt(0.0029 / 3) * math.sqrt(250))
    assert figures == pytest.approx(performance(FOUR, 250))


def test_a_figure_that_does_not_exist_is_missing() -> None:
    assert all(math.isnan(value) for value in performance(np.full(5, np.nan), 250).values())
    always_up = performance([0.01, 0.02], 250)
    assert math.isnan(always_up["sortino"])
    assert math.isnan(always_up["calmar"])
    assert always_up["max_drawdown"] == 0.0
