import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from gogooku_kedro.features import gaussian_rank_labels, make_labels


def brute_force(panel, t, code, horizon, entry):
    lag = {"next_open": 1, "close": 0}[entry]
    price = panel["adj_open" if entry == "next_open" else "adj_close"].values
    first, last = t + lag, t + lag + horizon
    if last >= panel.sizes["date"]:
        return np.nan
    traded, jump = panel["traded"].values, panel["invalid_jump"].values
    if not (traded[first, code] and traded[last, code]) or jump[t + 1 : last + 1, code].any():
        return np.nan
    return price[last, code] / price[first, code] - 1


@pytest.mark.parametrize("entry", ["next_open", "close"])
def test_labels_equal_brute_force(panel_factory, entry):
    panel = panel_factory(n_dates=40, n_codes=6, seed=3)
    panel["invalid_jump"][20, 2] = True
    ret = make_labels(panel, [1, 5, 10], entry)["ret"]
    expected = [
        [[brute_force(panel, t, c, h, entry) for h in (1, 5, 10)] for c in range(6)] for t in range(40)
    ]
    assert ret.dims == ("date", "code", "horizon")
    assert ret.dtype == np.float32
    assert ret["horizon"].values.tolist() == [1, 5, 10]
    np.testing.assert_allclose(ret.values, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def full(panel_factory):
    return panel_factory(n_dates=30, n_codes=3, gaps=False)


def missing_days(panel, horizon, entry):
    ret = make_labels(panel, [horizon], entry)["ret"].values[:, 0, 0]
    return np.flatnonzero(np.isnan(ret)).tolist()


def test_label_is_missing_beyond_the_end_of_the_data(full):
    assert missing_days(full, 5, "close") == [25, 26, 27, 28, 29]
    assert missing_days(full, 5, "next_open") == [24, 25, 26, 27, 28, 29]


def test_label_is_missing_when_the_stock_does_not_trade_on_entry_or_exit(full):
    full["traded"][10, 0] = False
    assert missing_days(full, 3, "close")[:2] == [7, 10]
    assert missing_days(full, 3, "next_open")[:2] == [6, 9]


def test_a_stock_locked_at_its_limit_without_a_trade_has_no_label(full):
    for name in ("adj_open", "adj_close"):
        full[name][10, 0] = np.nan  # only the quote is left: no trade, no price
    full["limit_up"][10, 0] = True
    assert 9 in missing_days(full, 3, "next_open")
    assert 10 in missing_days(full, 3, "close")


def test_label_is_missing_when_an_invalid_jump_lies_between(full):
    full["invalid_jump"][10, 0] = True
    assert missing_days(full, 3, "close")[:3] == [7, 8, 9]
    assert missing_days(full, 3, "next_open")[:4] == [6, 7, 8, 9]


def test_a_halt_between_entry_and_exit_does_not_matter(full):
    full["traded"][11, 0] = False
    assert 10 not in missing_days(full, 3, "close")


@pytest.mark.parametrize("horizons", [[], [0, 1], [5, 1], [1, 1]])
def test_horizons_increase_from_one_session(full, horizons):
    with pytest.raises(ValueError, match=r"labels\.horizons"):
        make_labels(full, horizons, "close")


def test_the_entry_is_known(full):
    with pytest.raises(ValueError, match=r"labels\.entry = 'open'"):
        make_labels(full, [1], "open")
    assert make_labels(full, [1], "close").attrs["entry"] == "close"


def test_training_labels_rank_the_members_of_each_date():
    values = np.array([0.5, 0.1, np.nan, 0.2, 0.3, 0.9, 0.4])
    member = xr.DataArray([[True] * 5 + [False, True]], dims=("date", "code"))
    ret = xr.DataArray(values[None, :, None], dims=("date", "code", "horizon"))
    found = gaussian_rank_labels(ret, member).values[0, :, 0]
    expected = norm.ppf([0.9, 0.1, np.nan, 0.3, 0.5, np.nan, 0.7])
    np.testing.assert_allclose(found, expected, atol=1e-6)
