"""Statistics of a window that depend on the order of its sessions, and how a window is folded."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gogooku_kedro.arrays import path
from gogooku_kedro.arrays.fold import fold_panel, fold_window

NAN = np.nan


def series(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=float)[:, None], dims=("date", "code"))


def last(result: xr.DataArray) -> float:
    return float(result.values[-1, 0])


def test_the_deepest_fall_is_from_a_high_to_a_later_low():
    assert last(path.max_drawdown(series([100, 80, 120, 90, 130]), 5)) == 90 / 120 - 1
    assert last(path.max_drawdown(series([50, 100, 120, 90, 60]), 5)) == 0.5 - 1
    assert last(path.max_drawdown(series([1, 2, 3, 4, 5]), 5)) == 0


def test_the_low_before_the_high_is_no_fall():
    assert last(path.max_drawdown(series([10, 1, 5, 4, 6]), 4)) == 4 / 5 - 1  # the 10 is outside


def test_an_absent_price_is_left_out_of_a_drawdown():
    assert last(path.max_drawdown(series([100, NAN, 80, 120, 90]), 5)) == 90 / 120 - 1
    assert np.isnan(last(path.max_drawdown(series([100, NAN, NAN, 120, 90]), 5)))


@pytest.mark.parametrize(
    ("values", "since_max", "since_min"),
    [
        ([1, 2, 3, 4, 5], 0, 4),
        ([5, 4, 3, 2, 1], 4, 0),
        ([5, 1, 5, 1, 2], 2, 1),  # the latest of equal ones
        ([7, 7, 7, 7, 7], 0, 0),
        ([9, 9, 1, NAN, 2], 3, 2),
    ],
)
def test_sessions_since_an_extreme_count_from_the_latest_one(values, since_max, since_min):
    assert last(path.sessions_since_max(series(values), 5)) == since_max
    assert last(path.sessions_since_min(series(values), 5)) == since_min


def test_sessions_since_an_extreme_need_four_fifths_of_the_window():
    assert np.isnan(last(path.sessions_since_max(series([9, NAN, 1, NAN, 2]), 5)))


def test_the_adaptive_mean_starts_at_the_first_price_of_the_window():
    found = path.adaptive_mean(series([100, 10, 20, 40]), series([1, 0.9, 0.5, 0.25]), 3)
    assert last(found) == (10 + 0.5 * (20 - 10)) + 0.25 * (40 - 15)
    absent_first = path.adaptive_mean(series([NAN, 10, 20, 20, 40]), series([1, 1, 0.5, 0, 0.25]), 5)
    assert last(absent_first) == 15 + 0.25 * (40 - 15)


def test_a_session_without_a_price_or_a_weight_leaves_the_adaptive_mean_as_it_is():
    price, weight = series([10, 20, NAN, 20, 40]), series([0.5, 0.5, 0.5, NAN, 0.5])
    assert last(path.adaptive_mean(price, weight, 5)) == (10 + 0.5 * 10) + 0.5 * (40 - 15)
    assert np.isnan(last(path.adaptive_mean(price[:3], weight[:3], 3)))  # no price today


@pytest.mark.parametrize("window", [5, 14, 60])
def test_a_trend_is_the_regression_on_time_of_the_present_sessions(window):
    rng = np.random.default_rng(window)
    values = 100 + np.cumsum(rng.standard_normal(160))
    values[rng.random(160) < 0.1] = NAN
    found = path.rolling_trend(series(values), window)
    compared = 0
    for end in range(window, 160, 7):
        y = values[end - window + 1 : end + 1]
        present = np.isfinite(y)
        got = [float(part.values[end, 0]) for part in found]
        if present.sum() < 0.8 * window:
            assert np.isnan(got).all()
            continue
        time = np.arange(window)[present]
        fit = stats.linregress(time, y[present])
        assert got[0] == pytest.approx(fit.slope, rel=1e-9, abs=1e-12)
        assert got[0] == pytest.approx(np.polyfit(time, y[present], 1)[0], rel=1e-7, abs=1e-10)
        assert got[1] == pytest.approx(fit.rvalue, rel=1e-9, abs=1e-12)
        assert got[2] == pytest.approx(fit.slope / fit.stderr, rel=1e-7, abs=1e-10)
        compared += 1
    assert compared > 10


def test_a_straight_line_has_its_slope_and_a_flat_one_no_correlation():
    line = path.rolling_trend(series(3 + 0.5 * np.arange(10)), 10)
    assert last(line.slope) == pytest.approx(0.5)
    assert last(line.correlation) == pytest.approx(1)
    flat = path.rolling_trend(series([0.1] * 10), 10)
    assert last(flat.slope) == pytest.approx(0, abs=1e-15)
    assert np.isnan(last(flat.correlation))


def join_words(recent, older, out, lag):
    """Polynomials in 10: the fold is right only if every session is in its place."""
    out[0][...] = recent[0] + older[0] * 10.0**lag
    np.maximum(recent[1], older[1], out=out[1])


@settings(deadline=None, max_examples=60)
@given(
    digits=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    window=st.integers(1, 12),
)
def test_a_folded_window_holds_its_sessions_in_order_and_no_other(digits, window):
    values = np.array(digits, dtype=float)
    word, highest = fold_window([values, values], window, join_words)
    for end in range(len(values)):
        part = values[max(0, end - window + 1) : end + 1]
        assert word[end] == float("".join(str(int(d)) for d in part))
        assert highest[end] == part.max()


@settings(deadline=None, max_examples=30)
@given(window=st.integers(1, 40), seed=st.integers(0, 10))
def test_a_folded_sum_equals_the_naive_loop(window, seed):
    x = np.random.default_rng(seed).standard_normal((3, 50))
    (found,) = fold_window([x], window, lambda new, old, out, lag: np.add(new[0], old[0], out=out[0]))
    expected = [[row[max(0, t - window + 1) : t + 1].sum() for t in range(50)] for row in x]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_folding_leaves_its_input_and_labels_as_they_are():
    x = xr.DataArray(np.arange(12.0).reshape(2, 6), dims=("code", "date"), coords={"code": ["a", "b"]})
    before = x.copy(deep=True)
    (found,) = fold_panel([x], 3, lambda new, old, out, lag: np.add(new[0], old[0], out=out[0]))
    xr.testing.assert_identical(x, before)
    assert found.dims == x.dims
    assert found.sel(code="b").values.tolist() == [6, 13, 21, 24, 27, 30]
