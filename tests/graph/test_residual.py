import numpy as np
import pytest
from sklearn.decomposition import PCA

from gogooku_kedro.graph.residual import principal_factors, residual_returns
from tests.graph.test_correlation import gappy

NO_SECTORS = np.zeros(7, np.int64)


def residual(returns, kind, market=None, ids=NO_SECTORS, pca_factors=2):
    index = np.zeros(len(returns)) if market is None else market
    return residual_returns(returns, index, ids, kind, pca_factors)


def test_the_market_residual_is_that_of_least_squares():
    returns = gappy()
    market = 0.01 * np.random.default_rng(5).standard_normal(80)
    market[3] = np.nan
    found = residual(returns, "market", market)
    for column in range(7):
        both = np.isfinite(returns[:, column]) & np.isfinite(market)
        slope, intercept = np.polyfit(market[both], returns[both, column], 1)
        expected = returns[both, column] - intercept - slope * market[both]
        np.testing.assert_allclose(found[both, column], expected, atol=1e-12)
        assert np.isnan(found[~both, column]).all()


def test_the_sector_residual_leaves_the_stock_out():
    returns = np.array([[0.01, 0.03, 0.05, 0.02], [0.0, -0.02, 0.02, 0.04], [0.03, 0.0, 0.0, 0.0]])
    ids = np.array([0, 0, 0, -1])
    alone = residual(returns, "market", ids=ids)
    found = residual(returns, "sector", ids=ids)
    expected = alone[:, 0] - alone[:, [1, 2]].mean(axis=1)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-15)
    np.testing.assert_allclose(found[:, 3], alone[:, 3])


def test_the_pca_residual_of_complete_returns_is_what_sklearn_does_not_explain():
    returns = np.nan_to_num(gappy(60, 12))
    found = residual(returns, "pca", pca_factors=3)
    scale = returns.std(axis=0)
    scaled = (returns - returns.mean(axis=0)) / scale
    model = PCA(n_components=3, svd_solver="full").fit(scaled)
    expected = (scaled - model.inverse_transform(model.transform(scaled))) * scale
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_gap_counts_as_the_mean_in_the_factors_and_is_left_out_of_the_regression():
    returns = gappy()
    found = residual(returns, "pca")
    present = np.isfinite(returns)
    scaled = np.nan_to_num((returns - np.nanmean(returns, axis=0)) / np.nanstd(returns, axis=0))
    left, _, _ = np.linalg.svd(scaled, full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_factors(returns, 2)), np.abs(left[:, :2]), atol=1e-12)
    for column in range(7):
        rows = present[:, column]
        design = np.column_stack([np.ones(rows.sum()), left[rows, :2]])
        beta, *_ = np.linalg.lstsq(design, returns[rows, column])
        np.testing.assert_allclose(found[rows, column], returns[rows, column] - design @ beta, atol=1e-12)
        assert np.isnan(found[~rows, column]).all()


def test_pca_takes_a_planted_factor_out():
    rng = np.random.default_rng(2)
    factor, loading = rng.standard_normal(250), rng.uniform(0.5, 1.5, 40)
    noise = rng.standard_normal((250, 40))
    found = residual(np.outer(factor, loading) + noise, "pca", pca_factors=1)
    correlation = np.corrcoef(found, rowvar=False)[np.triu_indices(40, 1)]
    assert abs(correlation.mean()) < 0.04  # 0.5 before
    assert abs(np.corrcoef(found.mean(axis=1), factor)[0, 1]) < 0.05


def test_a_column_with_too_few_returns_for_the_factors_has_no_residual():
    returns = gappy(40, 7)
    returns[3:, 1], returns[:3, 1] = np.nan, 0.01
    returns[:, 2] = np.nan
    found = residual(returns, "pca")
    assert np.isnan(found[:, [1, 2]]).all()
    assert np.isfinite(found[:, 0]).any()


def test_no_residual_leaves_the_returns():
    returns = gappy()
    assert residual(returns, "none") is returns
    with pytest.raises(ValueError, match=r"graph\.residual = 'beta': choose one of"):
        residual(returns, "beta")
