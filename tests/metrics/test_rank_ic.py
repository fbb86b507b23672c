import numpy as np
import pytest
from scipy import stats

from gogooku_kedro.metrics.rank_ic import MIN_PAIRS, ic, rank_ic


def ragged_market(dates: int = 12, codes: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    score = rng.integers(0, 9, size=(dates, codes)).astype(float)  # many ties
    ret = 0.1 * score + rng.standard_t(3, size=(dates, codes))
    score[rng.random(score.shape) < 0.1] = np.nan
    ret[rng.random(ret.shape) < 0.2] = np.nan
    return score, ret


def test_rank_ic_is_the_spearman_correlation_of_each_date() -> None:
    score, ret = ragged_market()
    expected = [stats.spearmanr(s, r, nan_policy="omit").statistic for s, r in zip(score, ret, strict=True)]
    np.testing.assert_allclose(rank_ic(score, ret), expected, rtol=1e-12)


def test_ic_is_the_pearson_correlation_of_each_date() -> None:
    score, ret = ragged_market()
    expected = []
    for s, r in zip(score, ret, strict=True):
        both = np.isfinite(s) & np.isfinite(r)
        expected.append(stats.pearsonr(s[both], r[both]).statistic)
    np.testing.assert_allclose(ic(score, ret), expected, rtol=1e-12)


def test_high_score_on_high_return_is_plus_one() -> None:
    score = np.array([[1.0, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    ret = np.array([[-0.02, -0.01, 0.0, 0.01, 0.30]] * 2)
    np.testing.assert_allclose(rank_ic(score, ret), [1.0, -1.0])


def test_rank_ic_ignores_the_size_of_a_jump_and_ic_does_not() -> None:
    score = np.array([[1.0, 2, 3, 4, 5]])
    calm, jump = np.array([[1.0, 2, 3, 4, 5]]), np.array([[1.0, 2, 3, 4, 500]])
    assert rank_ic(score, calm) == pytest.approx(rank_ic(score, jump))
    assert ic(score, calm)[0] > ic(score, jump)[0] + 0.2


@pytest.mark.parametrize("measure", [rank_ic, ic])
def test_degenerate_dates_are_nan_and_never_zero(measure) -> None:
    rising = np.arange(6.0)
    few = np.where(rising < MIN_PAIRS - 1, rising, np.nan)
    score = np.stack([np.full(6, 0.1), rising, few, np.full(6, np.nan), rising])
    ret = np.stack([rising, np.full(6, 0.01), rising, rising, rising])
    result = measure(score, ret)
    assert np.isnan(result[:4]).all()
    assert result[4] == pytest.approx(1.0)


def test_arrays_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and ret \(2, 4\)"):
        rank_ic(np.zeros((2, 3)), np.zeros((2, 4)))
