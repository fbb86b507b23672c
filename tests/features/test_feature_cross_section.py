import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from gogooku_kedro.features import gaussian_rank, membership, normalise

CODES = ["a", "b", "c", "d", "e", "f"]


def one_day(values, member=None, **settings):
    coords = {"date": [0], "code": CODES[: len(values)]}
    raw = xr.DataArray(np.array([values], dtype=np.float32), coords, ("date", "code"))
    inside = np.ones((1, len(values)), bool) if member is None else np.array([member])
    found = normalise(xr.Dataset({"x": raw}), raw.copy(data=inside), **settings)
    assert found.dims == ("date", "code", "feature")
    assert found.dtype == np.float32
    return found.values[0, :, 0]


def test_gaussian_rank_of_five_stocks():
    expected = norm.ppf([0.9, 0.1, 0.3, 0.5, 0.7])
    np.testing.assert_allclose(one_day([50, -2, 0, 1, 9]), expected, atol=1e-6)


def test_ties_share_their_mean_rank():
    expected = norm.ppf([0.2, 0.2, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(one_day([1, 1, 2, 3, 4]), expected, atol=1e-6)


def test_missing_values_and_non_members_are_the_middle_and_do_not_count():
    member = [True, True, True, True, True, False]
    found = one_day([1, 2, 3, 4, 5, 99], member)
    np.testing.assert_allclose(found[:5], norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9]), atol=1e-6)
    assert found[5] == 0
    assert one_day([1, 2, np.nan, 4, 5, 6])[2] == 0


def test_robust_z_of_five_stocks_is_clipped():
    found = one_day([1, 2, 3, 4, 100], method="robust_z", clip=5.0)
    np.testing.assert_allclose(found, [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 5], rtol=1e-6)


def test_robust_z_is_zero_when_most_stocks_are_equal():
    assert one_day([1, 1, 1, 1, 9], method="robust_z").tolist() == [0] * 5


@pytest.mark.parametrize("method", ["gaussian_rank", "robust_z"])
def test_fewer_than_five_stocks_say_nothing(method):
    assert one_day([1, 2, 3, 4], method=method).tolist() == [0] * 4


def test_every_date_is_on_its_own():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 30))
    later = values.copy()
    later[2:] *= 100
    np.testing.assert_array_equal(gaussian_rank(later)[:2], gaussian_rank(values)[:2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"method": "z"}, "features.normalisation = 'z'"), ({"clip": 0}, "features.clip = 0")],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        one_day([1, 2, 3, 4, 5], **settings)


def test_members_trade_today_on_a_full_session_after_enough_history(panel_factory):
    panel = panel_factory(n_dates=10, n_codes=3, gaps=False)
    panel["traded"][4, 1] = False
    panel["traded"][:6, 2] = False
    panel["thin_date"][8] = True
    member = membership(panel, min_history=3).values
    assert np.flatnonzero(member[:, 0]).tolist() == [2, 3, 4, 5, 6, 7, 9]
    assert np.flatnonzero(member[:, 1]).tolist() == [2, 3, 5, 6, 7, 9]
    assert np.flatnonzero(member[:, 2]).tolist() == [9]
    with pytest.raises(ValueError, match="min_history = 0"):
        membership(panel, min_history=0)
