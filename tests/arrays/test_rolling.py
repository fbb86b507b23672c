import numpy as np
import pytest
import xarray as xr
from scipy import stats

from gogooku_kedro.arrays import rolling


def series(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=float)[:, None], dims=("date", "code"))


def noise(n_dates=90, n_codes=4, missing=0.1, seed=1) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_dates, n_codes))
    values[rng.random(values.shape) < missing] = np.nan
    return xr.DataArray(values, dims=("date", "code"))


@pytest.mark.parametrize("window", [1, 2, 5, 14, 20, 60])
def test_windows_equal_pandas_with_four_fifths_present(window):
    x = noise()
    frame = x.to_pandas().rolling(window, min_periods=rolling.min_present(window))
    for name in ("sum", "mean", "max", "min"):
        ours = getattr(rolling, f"rolling_{name}")(x, window)
        np.testing.assert_allclose(ours.values, getattr(frame, name)().values, atol=1e-12)
    if window > 2:
        np.testing.assert_allclose(rolling.rolling_std(x, window).values, frame.std().values, atol=1e-12)


def test_skewness_equals_the_population_formula():
    x = noise(60, 1, missing=0)
    values = x.values[:, 0]
    expected = ((values - values.mean()) ** 3).mean() / values.std() ** 3
    assert rolling.rolling_skewness(x, 60).values[-1, 0] == pytest.approx(expected)


def test_kurtosis_equals_scipy_on_the_present_sessions():
    x = noise(200, 2)
    found = rolling.rolling_kurtosis(x, 60).values
    for row in range(100, 200, 9):
        for column in range(2):
            values = x.values[row - 59 : row + 1, column]
            expected = stats.kurtosis(values, nan_policy="omit")
            if np.isfinite(values).sum() < 48:
                expected = np.nan
            assert found[row, column] == pytest.approx(expected, abs=1e-10, nan_ok=True)
    assert np.isnan(rolling.rolling_kurtosis(series([0.1] * 60), 60).values[-1, 0])


def test_regression_equals_numpy_on_the_common_sessions():
    y, x = noise(40, 1, seed=2), noise(40, 1, seed=3)
    both = np.isfinite(y.values[:, 0]) & np.isfinite(x.values[:, 0])
    own, market = y.values[both, 0], x.values[both, 0]
    slope, intercept = np.polyfit(market, own, 1)
    residual = own - intercept - slope * market
    found = rolling.rolling_regression(y, x, 40)
    assert found.beta.values[-1, 0] == pytest.approx(slope)
    assert found.correlation.values[-1, 0] == pytest.approx(np.corrcoef(own, market)[0, 1])
    expected = np.sqrt((residual**2).sum() / (len(own) - 2))
    assert found.residual_std.values[-1, 0] == pytest.approx(expected)


def test_ewma_halves_the_weight_every_half_life():
    found = rolling.rolling_ewma(series([0, 0, 0, 8]), 4, half_life=1)
    assert found.values[-1, 0] == pytest.approx(8 / (1 + 1 / 2 + 1 / 4 + 1 / 8))


def test_four_of_five_sessions_suffice_and_three_do_not():
    found = rolling.rolling_mean(series([1, 1, np.nan, 1, 1, np.nan]), 5)
    assert found.values[4, 0] == 1
    assert np.isnan(found.values[5, 0])


def test_an_old_extreme_value_leaves_no_trace():
    calm = noise(120, 3, missing=0)
    wild = calm.copy(deep=True)
    wild[10] = 1e12
    for function in (rolling.rolling_mean, rolling.rolling_std, rolling.rolling_skewness):
        after = slice(30, None)
        np.testing.assert_array_equal(function(wild, 20)[after], function(calm, 20)[after])


def test_a_constant_window_has_zero_spread():
    spread = rolling.rolling_std(series([0.1] * 30), 20)
    assert spread.values[-1, 0] == 0
