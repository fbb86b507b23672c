import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import build_panel, standardise_bars

NAN = np.nan
DAYS = pd.bdate_range("2024-01-04", periods=40)


def issue(code, closes, start=0, **more):
    """Bars of one issue on consecutive sessions; a None is a session without a row."""
    frame = pd.DataFrame(
        {
            "date": DAYS[start : start + len(closes)],
            "code": code,
            **dict.fromkeys(("open", "high", "low", "close"), closes),
            "volume": 100.0,
        }
    ).assign(**more)
    return frame[[close is not None for close in closes]].astype({"close": float})


def panel_of(*issues, **options):
    return build_panel(standardise_bars(pd.concat(issues))[0], **options)


def series(panel, name, code="AAA"):
    return panel[name].sel(code=code).to_numpy()


def test_a_split_leaves_the_past_and_rescales_what_follows():
    # 1:2 on the third day: 1000, 1100, 550, 605 is +10%, 0, +10%
    panel = panel_of(issue("AAA", [1000, 1100, 550, 605], adj_factor=[1, 1, 0.5, 1]))
    np.testing.assert_array_equal(series(panel, "close"), np.float32([1000, 1100, 550, 605]))
    np.testing.assert_array_equal(series(panel, "adj_close"), np.float32([1000, 1100, 1100, 1210]))
    np.testing.assert_array_equal(series(panel, "adj_volume"), np.float32([100, 100, 50, 50]))
    np.testing.assert_allclose(series(panel, "ret_1d"), [NAN, 0.1, 0, 0.1], atol=1e-7)
    assert not panel["invalid_jump"].any()


def test_a_consolidation_is_no_jump():
    panel = panel_of(issue("AAA", [50, 500, 510], adj_factor=[1, 10, 1]))
    np.testing.assert_allclose(series(panel, "adj_close"), [50, 50, 51])
    np.testing.assert_allclose(series(panel, "adj_volume"), [100, 1000, 1000])


def test_an_event_on_a_halted_day_counts_when_trading_resumes():
    halted = issue("AAA", [1000, NAN, 500], adj_factor=[1, 0.5, 1])
    panel = panel_of(halted)
    np.testing.assert_array_equal(series(panel, "adj_close"), np.float32([1000, NAN, 1000]))
    assert not panel["invalid_jump"].any()


def test_an_unadjusted_split_is_no_return_and_no_step_of_the_level():
    panel = panel_of(issue("AAA", [1000, 1100, 275, 302.5]))
    assert series(panel, "invalid_jump").tolist() == [False, False, True, False]
    np.testing.assert_allclose(series(panel, "ret_1d"), [NAN, 0.1, NAN, 0.1], rtol=1e-6)
    np.testing.assert_allclose(series(panel, "adj_close"), [1000, 1100, 1100, 1210])
    np.testing.assert_allclose(series(panel, "adj_open"), [1000, 1100, 1100, 1210])
    np.testing.assert_array_equal(series(panel, "close"), np.float32([1000, 1100, 275, 302.5]))


def test_max_move_is_a_setting():
    bars = issue("AAA", [100, 130])
    assert not panel_of(bars)["invalid_jump"].any()
    assert panel_of(bars, max_move=0.2)["invalid_jump"].any()


def test_a_halt_has_no_return_on_either_side_and_is_not_filled():
    panel = panel_of(issue("AAA", [100, NAN, 110, 121]), issue("BBB", [1, 1, 1, 1]))
    np.testing.assert_allclose(series(panel, "ret_1d"), [NAN, NAN, NAN, 0.1], rtol=1e-6)
    assert series(panel, "traded").tolist() == [True, False, True, True]
    assert series(panel, "listed").tolist() == [True] * 4


def test_a_delisted_issue_is_absent_and_stays_in_the_panel():
    panel = panel_of(issue("AAA", [100, 101]), issue("BBB", [1, 1, 1, 1]))
    assert series(panel, "listed").tolist() == [True, True, False, False]
    assert np.isnan(series(panel, "adj_close")[2:]).all()


def test_a_new_listing_has_no_return_on_its_first_day():
    panel = panel_of(issue("AAA", [100, 101], start=2), issue("BBB", [1, 1, 1, 1]))
    assert series(panel, "listed").tolist() == [False, False, True, True]
    np.testing.assert_allclose(series(panel, "ret_1d"), [NAN, NAN, NAN, 0.01], rtol=1e-5)


def test_a_price_far_from_its_own_close_is_missing():
    bars = issue("AAA", [100, 100]).assign(open=[100, 151], high=[100, 152])
    panel = panel_of(bars)
    assert np.isnan(series(panel, "open")).tolist() == [False, True]
    assert np.isnan(series(panel, "adj_high")).tolist() == [False, True]
    assert not np.isnan(series(panel, "low")).any()
    assert panel.attrs["far_from_close"] == 2


def test_limit_flags_and_labels_stand_in_the_panel():
    bars = issue("AAA", [100, 101, 102], sector=["", "Tech", "Food"], limit_up=[0, 1, 0])
    panel = panel_of(bars, issue("BBB", [1, 1, 1]))
    assert series(panel, "limit_up").tolist() == [False, True, False]
    assert panel["sector"].values.tolist() == ["Tech", "n/a"]  # first known, so later ones do not matter


def test_the_base_of_the_limits_splits_with_the_price():
    # 1:2 on the third day; the fourth is halted, with 1:5 on the fifth: 605 / 5 = 121
    split = issue("AAA", [1000, 1210, 605, NAN, 121, 120], adj_factor=[1, 1, 0.5, 1, 0.2, 1])
    panel = panel_of(split, price_limits="tse")
    np.testing.assert_allclose(series(panel, "limit_base"), [NAN, 1000, 605, NAN, 121, 121], rtol=1e-6)
    np.testing.assert_array_equal(series(panel, "limit_width"), np.float32([NAN, 300, 100, NAN, 50, 50]))
    np.testing.assert_array_equal(series(panel, "next_limit_width"), np.float32([300, 300, 100, NAN, 50, 50]))


def test_the_base_of_the_limits_follows_an_event_on_a_halted_day():
    panel = panel_of(issue("AAA", [1000, NAN, 510], adj_factor=[1, 0.5, 1]), price_limits="tse")
    np.testing.assert_allclose(series(panel, "limit_base"), [NAN, NAN, 500])
    np.testing.assert_array_equal(series(panel, "limit_width"), np.float32([NAN, NAN, 80 + 20]))


def test_the_index_is_the_mean_return_without_a_market_index():
    panel = panel_of(issue("AAA", [100, 110, 110]), issue("BBB", [100, 100, NAN]))
    np.testing.assert_allclose(panel["index_return"], [NAN, 0.05, 0], atol=1e-7)
    assert panel.attrs["index_source"] == "equal-weighted mean of ret_1d"


def test_the_index_comes_from_its_closes_and_is_missing_where_they_are():
    index = pd.DataFrame({"Date": DAYS[[0, 1, 3]].strftime("%F"), "C": ["1000", "1,010", "1020"]})
    panel = panel_of(issue("AAA", [1, 1, 1, 1]), market_index=index)
    np.testing.assert_allclose(panel["index_return"], [NAN, 0.01, NAN, NAN], rtol=1e-5)
    with pytest.raises(ValueError, match=r"market_index: no column \['C'\]"):
        panel_of(issue("AAA", [1, 1]), market_index=index[["Date"]])


def test_a_thin_session_is_flagged_and_kept():
    many = [issue(f"A{i}", [10, 10, None if i > 3 else 10, 10]) for i in range(9)]
    panel = panel_of(*many)
    assert panel["thin_date"].values.tolist() == [False, False, True, False]
    assert int(panel["traded"].isel(date=2).sum()) == 4


def test_dtypes_are_those_of_the_contract():
    panel = panel_of(issue("AAA", [100, 101]))
    flags = {"traded", "listed", "limit_up", "limit_down", "invalid_jump", "thin_date"}
    for name, variable in panel.data_vars.items():
        number = np.float64 if name in ("exact_open", "exact_close") else np.float32
        assert variable.dtype == (bool if name in flags else number), name
    assert panel["date"].dtype == "datetime64[ns]"
    assert panel["code"].dtype.kind == panel["sector"].dtype.kind == "U"


def test_unusable_input_is_refused():
    bars = standardise_bars(issue("AAA", [100, 101]))[0]
    with pytest.raises(ValueError, match=r"lacks the columns .'adj_factor'."):
        build_panel(bars.drop(columns="adj_factor"))
    with pytest.raises(ValueError, match=r"1 repeated stock-days"):
        build_panel(pd.concat([bars, bars.head(1)]))
    with pytest.raises(ValueError, match=r"daily_bars is empty"):
        build_panel(bars.head(0))
    with pytest.raises(ValueError, match=r"max_move is 0"):
        build_panel(bars, max_move=0)


# Perturb the future: whatever happens after session t, the panel up to t stays as it was, bit for bit.


def random_market(seed, *, adj_close=False, splits=((1, 12, 2), (2, 25, 3), (3, 30, 0.1))):
    """Eight issues, 40 sessions, with splits, holes, dirt and an unadjusted jump."""
    rng = np.random.default_rng(seed)
    n_codes, n_days = 8, len(DAYS)
    value = 1000 * np.exp(np.cumsum(rng.normal(0, 0.03, (n_days, n_codes)), axis=0))
    shares = np.ones((n_days, n_codes))  # new shares per first share
    factor = np.ones((n_days, n_codes))
    for code, day, ratio in splits:
        shares[day:, code] *= ratio
        factor[day, code] = 1 / ratio
    close = np.round(value / shares, 1)
    close[20:, 4] *= 4  # a consolidation nobody told
    frame = pd.DataFrame(
        {
            "date": np.repeat(DAYS, n_codes),
            "code": np.tile([f"{1300 + i}0" for i in range(n_codes)], n_days),
            "close": close.ravel(),
        }
    )
    for name, spread in (("open", 0.01), ("high", 0.0), ("low", 0.0)):
        frame[name] = frame["close"] * (1 + rng.normal(0, spread, len(frame)))
    frame["high"] = frame[["open", "close"]].max(axis=1)
    frame["low"] = frame[["open", "close"]].min(axis=1)
    frame["volume"] = rng.integers(0, 50, len(frame)) * 100.0
    if adj_close:  # back-adjusted for every split of the file, rounded as sources do
        later = shares[-1] / shares
        frame["adj_close"] = np.round(close / later, 1).ravel()
    else:
        frame["adj_factor"] = factor.ravel()
    return frame[rng.random(len(frame)) > 0.05]


def change_values(after, rng):
    columns = ["open", "high", "low", "close", "volume"]
    noise = pd.DataFrame(rng.lognormal(0, 1, (len(after), len(columns))), index=after.index, columns=columns)
    if "adj_factor" in after:  # other events, and prices that move with them
        factor = pd.Series(rng.choice([1.0, 0.5, 2.0], len(after), p=[0.8, 0.1, 0.1]), index=after.index)
        level, stated = (values.groupby(after["code"]).cumprod() for values in (factor, after["adj_factor"]))
        noise = noise**0.1
        noise[columns[:4]] = noise[columns[:4]].mul(level / stated, axis=0)
        after = after.assign(adj_factor=factor)
    return after.assign(**(after[columns] * noise).to_dict("series"))


def delete_rows(after, rng):
    return after[rng.random(len(after)) < 0.5]


def add_issues(after, rng):
    one = after.drop_duplicates("date")
    return pd.concat([after, one.assign(code="13005"), one.assign(code="99990", close=7.0)])


def delete_everything(after, rng):
    return after.iloc[:0]


def assert_same_past(panel, other, last):
    past = panel.sel(date=slice(None, last))
    codes = past["code"].values[past["listed"].any("date").values]
    other = other.sel(date=slice(None, last), code=codes)
    for name, variable in past.sel(code=codes).data_vars.items():
        assert variable.values.tobytes() == other[name].values.tobytes(), name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "perturb", [change_values, delete_rows, add_issues, delete_everything], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("cut", [11, 24, 29])  # each the eve of a split
@pytest.mark.parametrize("adj_close", [False, True])
def test_the_future_changes_nothing_of_the_past(seed, perturb, cut, adj_close):
    raw = random_market(seed, adj_close=adj_close)
    before, after = raw[raw["date"] <= DAYS[cut]], raw[raw["date"] > DAYS[cut]]
    other = pd.concat([before, perturb(after, np.random.default_rng(seed + 100))])
    assert_same_past(panel_of(raw), panel_of(other), DAYS[cut])


@pytest.mark.parametrize("seed", range(3))
def test_a_source_that_restates_its_past_after_a_split_changes_nothing_either(seed):
    splits = ((1, 12, 2), (2, 25, 3))
    known = random_market(seed, adj_close=True, splits=splits)
    known = known[known["date"] <= DAYS[29]]
    restated = random_market(seed, adj_close=True, splits=(*splits, (1, 30, 10), (2, 30, 5)))
    past = restated[restated["date"] <= DAYS[29]]
    assert (known["close"] == past["close"]).all()
    assert not (known["adj_close"] == past["adj_close"]).all()
    assert_same_past(panel_of(known), panel_of(restated), DAYS[29])
