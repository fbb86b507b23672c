import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.graph import masked_correlation, residual_returns


def gappy(n_dates=80, n_codes=7, seed=0):
    rng = np.random.default_rng(seed)
    returns = 0.02 * rng.standard_normal((n_dates, n_codes)) + 0.01 * rng.standard_normal((n_dates, 1))
    returns[rng.random(returns.shape) < 0.15] = np.nan
    return returns


@pytest.mark.parametrize("min_observations", [3, 56])
def test_correlation_equals_pandas(min_observations):
    returns = gappy()
    expected = pd.DataFrame(returns).corr(min_periods=min_observations).to_numpy()
    np.testing.assert_allclose(masked_correlation(returns, min_observations), expected, atol=1e-12)


def test_a_stock_that_does_not_move_has_no_correlation():
    returns = np.nan_to_num(gappy(40, 3))
    returns[:, 1] = 0.001
    found = masked_correlation(returns, 3)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[0, 2])


def test_a_halted_stock_is_aligned_by_date():
    rng = np.random.default_rng(1)
    twin = 0.02 * rng.standard_normal(60)
    halted = twin.copy()
    halted[30:40] = np.nan
    returns = np.column_stack([twin, halted])
    assert masked_correlation(returns, 40)[0, 1] == pytest.approx(1)
    by_tail = np.corrcoef(twin[10:], halted[np.isfinite(halted)])[0, 1]
    assert abs(by_tail) < 0.9  # what stacking the last values of each stock would give


def test_the_market_residual_is_that_of_least_squares():
    returns = gappy()
    market = 0.01 * np.random.default_rng(5).standard_normal(80)
    market[3] = np.nan
    found = residual_returns(returns, market, np.zeros(7, np.int64), "market")
    for column in range(7):
        both = np.isfinite(returns[:, column]) & np.isfinite(market)
        slope, intercept = np.polyfit(market[both], returns[both, column], 1)
        expected = returns[both, column] - intercept - slope * market[both]
        np.testing.assert_allclose(found[both, column], expected, atol=1e-12)
        assert np.isnan(found[~both, column]).all()


def test_the_sector_residual_leaves_the_stock_out():
    returns = np.array([[0.01, 0.03, 0.05, 0.02], [0.0, -0.02, 0.02, 0.04], [0.03, 0.0, 0.0, 0.0]])
    flat = np.zeros(3)
    ids = np.array([0, 0, 0, -1])
    alone = residual_returns(returns, flat, ids, "market")
    found = residual_returns(returns, flat, ids, "sector")
    expected = alone[:, 0] - alone[:, [1, 2]].mean(axis=1)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-15)
    np.testing.assert_allclose(found[:, 3], alone[:, 3])


def test_no_residual_leaves_the_returns():
    returns = gappy()
    assert residual_returns(returns, np.zeros(80), np.zeros(7, np.int64), "none") is returns
    with pytest.raises(ValueError, match=r"graph\.residual = 'beta'"):
        residual_returns(returns, np.zeros(80), np.zeros(7, np.int64), "beta")
