import numpy as np
import pytest
from scipy.stats import norm

from gogooku_kedro.arrays.cross_section import gaussian_rank, past_z, sector_deviation, universe_mask
from gogooku_kedro.features.normalise import normalised_cross_section

SECTORS = np.zeros(6, dtype=np.int64)


def one_day(values, in_universe=None, method="gaussian_rank", ids=None, sector_neutral=False):
    inside = np.ones((1, len(values)), bool) if in_universe is None else np.array([in_universe])
    ids = SECTORS[: len(values)] if ids is None else np.asarray(ids)
    given = np.array([values], dtype=np.float32)
    return normalised_cross_section(given, inside, ids, method=method, sector_neutral=sector_neutral)[0]


def test_gaussian_rank_of_five_stocks():
    expected = norm.ppf([0.9, 0.1, 0.3, 0.5, 0.7])
    np.testing.assert_allclose(one_day([50, -2, 0, 1, 9]), expected, atol=1e-6)


def test_ties_share_their_mean_rank():
    expected = norm.ppf([0.2, 0.2, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(one_day([1, 1, 2, 3, 4]), expected, atol=1e-6)


def test_missing_values_and_non_members_do_not_count():
    found = one_day([1, 2, 3, 4, 5, 99], [True, True, True, True, True, False])
    np.testing.assert_allclose(found[:5], norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9]), atol=1e-6)
    assert np.isnan(found[5])
    assert np.isnan(one_day([1, 2, np.nan, 4, 5, 6])[2])


def test_robust_z_of_five_stocks():
    found = one_day([1, 2, 3, 4, 100], method="robust_z")
    np.testing.assert_allclose(found, [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 97 / 1.4826], rtol=1e-6)


def test_robust_z_is_zero_when_most_stocks_are_equal():
    assert one_day([1, 1, 1, 1, 9], method="robust_z").tolist() == [0] * 5


@pytest.mark.parametrize("method", ["gaussian_rank", "robust_z"])
def test_fewer_than_five_stocks_say_nothing(method):
    assert np.isnan(one_day([1, 2, 3, 4], method=method)).all()


def test_the_sector_neutral_variant_ranks_the_distance_to_the_sector_median():
    ids = [0, 0, 0, 1, 1, 1]
    found = one_day([1, 2, 4, 101, 102, 110], ids=ids, sector_neutral=True)
    np.testing.assert_allclose(found, gaussian_rank(np.array([-1.0, 0, 2, -1, 0, 8])), atol=1e-6)


def test_a_sector_median_leaves_missing_values_out_and_unknown_sectors_are_one_group():
    values = np.array([[1.0, np.nan, 5.0, 10.0, 20.0, 40.0]])
    found = sector_deviation(values, np.array([0, 0, 0, -1, -1, -1]))
    np.testing.assert_array_equal(found, [[-2, np.nan, 2, -10, 0, 20]])


def test_every_date_is_on_its_own():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 30))
    later = values.copy()
    later[2:] *= 100
    np.testing.assert_array_equal(gaussian_rank(later)[:2], gaussian_rank(values)[:2])


def test_a_series_is_measured_against_its_own_past():
    rng = np.random.default_rng(0)
    series = 100 + rng.standard_normal(200)
    series[150] = np.nan
    found = past_z(series)
    assert np.isnan(found[:59]).all()
    assert np.isnan(found[150])
    past = series[:101]
    assert found[100] == pytest.approx((past[-1] - past.mean()) / past.std())
    known = series[:180][np.isfinite(series[:180])]
    assert found[179] == pytest.approx((known[-1] - known.mean()) / known.std())
    later = series.copy()
    later[120:] = 1e6
    np.testing.assert_array_equal(past_z(later)[:120], found[:120])
    assert past_z(np.full(80, 3.0))[-1] == 0


def test_the_universe_trades_today_on_a_full_session_after_enough_history(panel_factory):
    panel = panel_factory(n_dates=10, n_codes=3, gaps=False)
    panel["traded"][4, 1] = False
    panel["traded"][:6, 2] = False
    panel["thin_date"][8] = True
    in_universe = universe_mask(panel, min_history=3).values
    assert np.flatnonzero(in_universe[:, 0]).tolist() == [2, 3, 4, 5, 6, 7, 9]
    assert np.flatnonzero(in_universe[:, 1]).tolist() == [2, 3, 5, 6, 7, 9]
    assert np.flatnonzero(in_universe[:, 2]).tolist() == [9]
    with pytest.raises(ValueError, match="min_history = 0"):
        universe_mask(panel, min_history=0)
    sessions = panel.sizes["date"]
    assert not universe_mask(panel, min_history=sessions).isnull().any()
    with pytest.raises(ValueError, match=rf"min_history = {sessions + 1}: the data have {sessions} sessions"):
        universe_mask(panel, min_history=sessions + 1)
