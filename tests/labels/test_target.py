import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from gogooku_kedro.datasets import ZarrDataset
from gogooku_kedro.labels.returns import Status, forward_returns
from gogooku_kedro.labels.target import gaussian_rank_labels, make_labels


def brute_force(panel, t, code, horizon, entry):
    lag = {"next_open": 1, "close": 0}[entry]
    price = panel["exact_open" if entry == "next_open" else "exact_close"].values
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
    expected = [[[brute_force(panel, t, c, h, entry) for h in (1, 5, 10)] for c in range(6)] for t in range(40)]
    assert ret.dims == ("date", "code", "horizon")
    assert ret.dtype == np.float64
    assert ret["horizon"].values.tolist() == [1, 5, 10]
    np.testing.assert_allclose(ret.values, expected, rtol=1e-14)


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
    for name in ("exact_open", "exact_close"):
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


def lock(panel, session, code):
    for name in ("high", "low"):
        panel[name][session, code] = panel["close"][session, code]
    panel["limit_up"][session, code] = True


def status_of(labels, t, code=0, horizon=0):
    return Status(int(labels["status"][t, code, horizon])).name


@pytest.mark.parametrize(("entry", "t"), [("next_open", 9), ("close", 10)])
def test_nobody_gets_in_on_a_session_locked_at_its_limit(full, entry, t):
    lock(full, 10, 0)
    masked = make_labels(full, [3], entry)
    printed = make_labels(full, [3], entry, limit_entry="traded")
    assert status_of(masked, t) == "entry_locked_at_limit"
    assert status_of(printed, t) == "present"
    differ = (masked["ret"] != printed["ret"]) & printed["ret"].notnull()
    assert np.argwhere(differ.values).tolist() == [[t, 0, 0]]
    assert masked["ret"][t - 3, 0, 0].notnull()  # the exit of t - 3 is priced at the limit


def test_a_limit_that_opened_and_a_flat_session_without_a_limit_can_be_entered(full):
    full["limit_down"][10, 0] = True  # touched, with other prices on the day
    for name in ("high", "low"):
        full[name][12, 0] = full["close"][12, 0]
    labels = make_labels(full, [3], "close")
    assert [status_of(labels, t) for t in (10, 12)] == ["present", "present"]


@pytest.fixture
def ending(full):
    """Stock 0 trades last on 20, has its last row on 21; 1 halts from 20 on; 2 has no rows on 20-22."""
    for code, sessions in enumerate([slice(21, None), slice(20, None), slice(20, 23)]):
        full["traded"][sessions, code] = False
    full["listed"][22:, 0] = False
    full["listed"][20:23, 2] = False
    for name in ("exact_open", "exact_close"):
        full[name] = full[name].where(full["traded"])
    return full


def test_a_delisted_stock_is_closed_at_its_last_traded_price(ending):
    opening, close = (ending[name].values for name in ("exact_open", "exact_close"))
    at_open = make_labels(ending, [5], "next_open", delisting="last_price")
    at_close = make_labels(ending, [5], "close", delisting="last_price")
    # t = 15: still listed on the exit session 21, where it is halted
    assert status_of(at_open, 15) == "exit_not_traded"
    assert status_of(at_open, 16) == status_of(at_close, 17) == "closed_at_last_price"
    np.testing.assert_allclose(at_open["ret"][16, 0, 0], close[20, 0] / opening[17, 0] - 1, rtol=1e-6)
    np.testing.assert_allclose(at_close["ret"][17, 0, 0], close[20, 0] / close[17, 0] - 1, rtol=1e-6)
    # in at the last open, out at the last close; in at the last close, never out
    np.testing.assert_allclose(at_open["ret"][19, 0, 0], close[20, 0] / opening[20, 0] - 1, rtol=1e-6)
    assert status_of(at_close, 20) == "delisted_before_exit"
    assert np.isnan(at_close["ret"][20, 0, 0])
    assert [status_of(at_open, t) for t in (20, 21)] == ["entry_not_traded", "not_listed_at_entry"]


def test_without_the_last_price_rule_a_label_across_the_end_is_missing(ending):
    labels = make_labels(ending, [5], "close")
    assert [status_of(labels, t) for t in (16, 17, 20)] == ["exit_not_traded", *["delisted_before_exit"] * 2]
    assert np.isnan(labels["ret"][17:, 0, 0]).all()


@pytest.mark.parametrize("code", [1, 2])
def test_a_halt_is_not_a_delisting_even_where_rows_are_missing(ending, code):
    labels = make_labels(ending, [5], "close", delisting="last_price")
    assert status_of(labels, 16, code) == "exit_not_traded"
    assert (labels["status"][:, code] != Status.closed_at_last_price).all()


def test_a_stock_whose_rows_go_to_the_end_of_the_panel_is_not_delisted(ending):
    shorter = ending.isel(date=slice(22))
    labels = make_labels(shorter, [5], "close", delisting="last_price")
    assert not (labels["status"][:, :2] == Status.closed_at_last_price).any()


def test_whether_rows_come_back_is_the_one_question_asked_beyond_the_exit(ending):
    known_so_far, whole = ending.isel(date=slice(22)), ending  # the rows of stock 2 come back on 23
    labels = [make_labels(panel, [5], "close", delisting="last_price") for panel in (known_so_far, whole)]
    assert [status_of(one, 16, code=2) for one in labels] == ["closed_at_last_price", "exit_not_traded"]


def test_an_invalid_jump_before_the_end_spoils_the_last_price(ending):
    ending["invalid_jump"][19, 0] = True
    labels = make_labels(ending, [5], "close", delisting="last_price")
    assert [status_of(labels, t) for t in (18, 19)] == ["invalid_jump", "closed_at_last_price"]


@pytest.mark.parametrize("entry", ["next_open", "close"])
@pytest.mark.parametrize("delisting", ["missing", "last_price"])
def test_the_status_says_why_a_label_is_missing(panel_factory, entry, delisting):
    panel = panel_factory(n_dates=60, n_codes=8, seed=4)
    panel["invalid_jump"][30, 3] = True
    panel["listed"][50:, 5] = panel["traded"][50:, 5] = False
    lock(panel, 40, 2)
    labels = make_labels(panel, [1, 5], entry, delisting=delisting)
    status, there = labels["status"], labels["ret"].notnull()
    assert status.dtype == np.int8
    assert ((status <= Status.closed_at_last_price) == there).all()
    unused = {Status.closed_at_last_price} if delisting == "missing" else set()
    if delisting == "last_price" and entry == "next_open":
        unused = {Status.delisted_before_exit}
    assert set(np.unique(status)) == set(Status) - unused
    assert status_of(labels, 0, code=0) == "not_listed_at_entry"
    assert status_of(labels, 59, code=1) == "exit_beyond_data"
    words = status.attrs["flag_meanings"].split()
    assert [Status[word] for word in words] == status.attrs["flag_values"] == list(Status)


def test_labels_come_back_from_disk_as_they_were(panel, tmp_path):
    labels = make_labels(panel, [1, 5], "close", residual=["market", "none"], residual_window=40)
    store = ZarrDataset(filepath=str(tmp_path / "labels.zarr"))
    store.save(labels)
    xr.testing.assert_identical(store.load(), labels)


def test_a_stock_listed_later_changes_no_bit_of_earlier_labels(panel):
    for entry in ("next_open", "close"):
        with_it = forward_returns(panel, [1, 5], entry).isel(code=slice(1, None))
        xr.testing.assert_identical(with_it, forward_returns(panel.isel(code=slice(1, None)), [1, 5], entry))


@pytest.mark.parametrize("horizons", [[], [0, 1], [5, 1], [1, 1]])
def test_horizons_increase_from_one_session(full, horizons):
    with pytest.raises(ValueError, match=r"labels\.horizons"):
        make_labels(full, horizons, "close")


def test_the_entry_is_known(full):
    with pytest.raises(ValueError, match=r"labels\.entry = 'open'"):
        make_labels(full, [1], "open")
    assert make_labels(full, [1], "close").attrs["entry"] == "close"


@pytest.mark.parametrize("name", ["limit_entry", "delisting"])
def test_words_are_known(full, name):
    with pytest.raises(ValueError, match=rf"labels\.{name} = 'never': choose one of"):
        make_labels(full, [1], "close", **{name: "never"})


def test_training_labels_rank_the_members_of_each_date():
    values = np.array([0.5, 0.1, np.nan, 0.2, 0.3, 0.9, 0.4])
    in_universe = xr.DataArray([[True] * 5 + [False, True]], dims=("date", "code"))
    ret = xr.DataArray(values[None, :, None], dims=("date", "code", "horizon"))
    found = gaussian_rank_labels(ret, in_universe).values[0, :, 0]
    expected = norm.ppf([0.9, 0.1, np.nan, 0.3, 0.5, np.nan, 0.7])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_returns_of_different_prices_are_equal_to_the_last_bit(panel_factory):
    """Ties decide ranks: 101 / 100 and 202 / 200 are one return, whatever splits lie before them."""
    panel = panel_factory(n_dates=30, n_codes=3, gaps=False)
    for code, (scale, split) in enumerate([(1.0, 1.0), (2.0, 1.0), (0.1, 3.0)]):
        panel["exact_close"][:, code] = np.where(np.arange(30) % 2, 101.0, 100.0) * scale / split
    ret = make_labels(panel, [1], "close")["ret"].values[:-1, :, 0]
    np.testing.assert_allclose(ret, ret[:, :1].repeat(3, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(ret[:, 0], ret[:, 1])
