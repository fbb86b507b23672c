import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gogooku_kedro.graph import correlation
from gogooku_kedro.graph.correlation import column_ranks, correlate, lagged_correlation, masked_correlation


def gappy(n_dates=80, n_codes=7, seed=0):
    rng = np.random.default_rng(seed)
    returns = 0.02 * rng.standard_normal((n_dates, n_codes)) + 0.01 * rng.standard_normal((n_dates, 1))
    returns[rng.random(returns.shape) < 0.15] = np.nan
    return returns


@pytest.mark.parametrize("min_observations", [3, 56])
def test_correlation_equals_pandas(min_observations):
    returns = gappy()
    expected = pd.DataFrame(returns).corr(min_periods=min_observations).to_numpy()
    np.testing.assert_allclose(masked_correlation(returns, min_observations), expected, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_common_rows_are_counted_as_a_product_of_masks_counts_them(rows):
    rng = np.random.default_rng(rows)
    left, right = rng.random((rows, 5)) < 0.9, rng.random((rows, 3)) < 0.6
    found = correlation._common_bits(correlation._packed(left), correlation._packed(right))
    np.testing.assert_array_equal(found, left.T.astype(int) @ right.astype(int))


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 250])
def test_ranks_are_those_of_scipy_among_the_present(rows):
    rng = np.random.default_rng(rows)
    returns = np.round(rng.standard_normal((rows, 40)), 1)  # ties, of 0.0 and -0.0 too
    returns[:, 20:] = rng.standard_normal((rows, 20))
    returns[rng.random(returns.shape) < 0.1] = np.nan
    returns[:, 3], returns[:, 4], returns[0, 5] = np.nan, 0.0, np.inf
    expected = stats.rankdata(returns, axis=0, nan_policy="omit")
    np.testing.assert_array_equal(column_ranks(returns), expected)


def test_many_stocks_are_worked_on_in_blocks_and_the_result_is_symmetric_in_every_bit():
    returns = gappy(60, 300)
    found = masked_correlation(returns, 40)
    np.testing.assert_allclose(found, pd.DataFrame(returns).corr(min_periods=40), atol=1e-6)
    np.testing.assert_array_equal(found, found.T)
    assert found.dtype == np.float32


@pytest.mark.parametrize("half_life", [2.5, 20, 1000])
def test_ewma_equals_pandas(half_life):
    returns = gappy()
    frame = pd.DataFrame(returns)
    expected = frame.ewm(halflife=half_life, ignore_na=False).corr(pairwise=True).loc[79]
    np.testing.assert_allclose(masked_correlation(returns, 3, half_life), expected, atol=2e-6)


def test_ewma_weights_halve_every_half_life():
    returns = np.array([[4.0, -4.0], [0.0, 0.0], [1.0, 1.0], [-1.0, -1.0]])
    weight = np.array([0.125, 0.25, 0.5, 1.0])
    cross = np.cov(returns, rowvar=False, aweights=weight)
    expected = cross[0, 1] / np.sqrt(cross[0, 0] * cross[1, 1])
    assert masked_correlation(returns, 3, 1.0)[0, 1] == pytest.approx(expected, abs=1e-6)
    assert masked_correlation(returns, 3)[0, 1] == pytest.approx(-10 / 14, abs=1e-6)


def test_ewma_counts_observations_and_not_weights():
    returns = gappy()
    np.testing.assert_array_equal(
        np.isnan(masked_correlation(returns, 56, 5)), np.isnan(masked_correlation(returns, 56))
    )


def test_spearman_of_complete_returns_equals_pandas_and_ties_share_a_rank():
    returns = np.round(np.nan_to_num(gappy()), 2)
    expected = pd.DataFrame(returns).corr(method="spearman").to_numpy()
    np.testing.assert_allclose(correlate(returns, "spearman", 3, 1), expected, atol=1e-6)
    assert column_ranks(np.array([[0.3], [0.1], [np.nan], [0.3]]))[:, 0].tolist()[:2] == [2.5, 1.0]


def test_spearman_ranks_a_column_once_whatever_the_other_lacks():
    returns = gappy()
    expected = pd.DataFrame(returns).rank().corr(min_periods=40).to_numpy()
    np.testing.assert_allclose(correlate(returns, "spearman", 40, 1), expected, atol=1e-6)


def test_spearman_is_not_moved_by_one_extreme_day():
    returns = gappy()
    shocked = returns.copy()
    shocked[np.nanargmax(returns[:, 0]), 0] = 9.0
    before, after = (correlate(r, "spearman", 40, 1) for r in (returns, shocked))
    np.testing.assert_array_equal(before, after)
    assert np.nanmax(np.abs(correlate(shocked, "pearson", 40, 1) - masked_correlation(returns, 40))) > 0.1


def test_an_unknown_correlation_is_named():
    with pytest.raises(ValueError, match=r"graph\.correlation = 'kendall': choose one of"):
        correlate(gappy(), "kendall", 3, 1)


@pytest.mark.parametrize("kind", ["pearson", "ewma", "spearman"])
def test_a_stock_that_does_not_move_has_no_correlation(kind):
    returns = np.nan_to_num(gappy(40, 3))
    returns[:, 1] = 0.001
    found = correlate(returns, kind, 3, 20)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[0, 2])


def test_a_stock_that_moves_only_while_the_other_is_halted_has_no_correlation_with_it():
    returns = np.nan_to_num(gappy(40, 2))
    returns[:20, 0], returns[20:, 1] = 0.003, np.nan
    found = masked_correlation(returns, 3)
    assert np.isnan(found[0, 1])
    assert found[0, 0] == pytest.approx(1)


def test_a_halted_stock_is_aligned_by_date():
    rng = np.random.default_rng(1)
    twin = 0.02 * rng.standard_normal(60)
    halted = twin.copy()
    halted[30:40] = np.nan
    returns = np.column_stack([twin, halted])
    assert masked_correlation(returns, 40)[0, 1] == pytest.approx(1)
    by_tail = np.corrcoef(twin[10:], halted[np.isfinite(halted)])[0, 1]
    assert abs(by_tail) < 0.9  # what stacking the last values of each stock would give


def test_the_lagged_correlation_is_of_the_target_with_the_source_a_session_before():
    returns = gappy()
    found, observations = lagged_correlation(returns, 40)
    for target in range(7):
        for source in range(7):
            pair = np.column_stack([returns[1:, target], returns[:-1, source]])
            pair = pair[np.isfinite(pair).all(axis=1)]
            expected = stats.pearsonr(*pair.T).statistic if len(pair) >= 40 else np.nan
            np.testing.assert_allclose(found[target, source], expected, atol=1e-6)
            assert observations[target, source] == len(pair)


def test_a_lag_is_one_session_even_across_a_halt():
    leader = np.random.default_rng(3).standard_normal(60)
    follower = np.r_[0.0, leader[:-1]]
    leader[20:30] = np.nan  # its last return before the halt is not "yesterday" of the next day
    found, _ = lagged_correlation(np.column_stack([follower, leader]), 40)
    assert found[0, 1] == pytest.approx(1, abs=1e-6)
    assert np.isnan(lagged_correlation(np.column_stack([follower, leader]), 50)[0][0, 1])


def reference(left, right, min_observations):
    """Correlations of two blocks as numpy expressions in float32, one after the other."""
    count, total = left.present.T @ right.present, left.weights.T @ right.weights
    left_sum, right_sum = left.values.T @ right.weights, left.weights.T @ right.values
    left_square = left.squares.T @ right.present * total
    right_square = left.present.T @ right.squares * total
    variances = (left_square - left_sum**2) * (right_square - right_sum**2)
    known = (count >= min_observations) & (variances > left_square * right_square * np.float32(1e-4))
    covariance = left.values.T @ right.values * total - left_sum * right_sum
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.where(known, covariance / np.sqrt(variances), np.nan), -1.0, 1.0)


@pytest.mark.parametrize("half_life", [None, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_compiled_division_has_the_bits_of_the_numpy_expressions(seed, half_life):
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(3, (80, 150))
    returns[rng.random(returns.shape) < rng.random(150) * 0.6] = np.nan
    returns[:40, 7] = np.nan
    returns[:, 8] = 1.0
    returns[:, 9] = np.where(np.arange(80) < 40, -3.0, 3.0) + 0.15 * rng.standard_normal(80)  # beside 7 hardly varies
    columns = correlation._prepare(returns, correlation._row_weights(80, half_life))
    found, count = correlation._correlation_of(columns, columns, 12)
    np.testing.assert_array_equal(count, columns.present.T @ columns.present)
    assert 0 < np.isnan(found).sum() < found.size
    np.testing.assert_array_equal(found, reference(columns, columns, 12))


def test_without_columns_there_is_nothing_to_correlate():
    empty = np.ones((70, 0))
    assert masked_correlation(empty, 40).shape == (0, 0)
    assert [found.shape for found in lagged_correlation(empty, 40)] == [(0, 0), (0, 0)]
    assert column_ranks(empty).shape == (70, 0)
