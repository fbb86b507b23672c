"""Where a feature has no value: before its look-back, on a halted day, after a long halt, at a listing."""

import re

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.features import FEATURES, compute_features
from tests.features.oracles import ORACLES

OWN = [n for family in ORACLES.values() for n in family if FEATURES[n].kind != "market"]
MARKET = [n for family in ORACLES.values() for n in family if FEATURES[n].kind == "market"]
N_DATES, TODAY, LISTED = 520, 519, 260
BARS = ("open", "high", "low", "close", "volume", "turnover_value", "next_limit_width")
BARS += ("adj_open", "adj_high", "adj_low", "adj_close", "adj_volume")
VOLUMES = ("volume", "adj_volume", "turnover_value")

HALTS = {20: (17, 13), 60: (33, 21), 120: (110, 81), 250: (200, 141)}
"""The window that a halt makes too thin: its first and last session, counted back from today."""
STOCK_OF = {20: 2, 60: 3, 120: 4, 250: 5}
LATE, HALTED, FULL = 0, 1, 6

# Tables of what is special, and why.
ENDS_ONLY = re.compile(
    r"(log_)?return_\d+d|momentum_\d+_\d+|return_acceleration_20d|sector_gap_\d+d|sector_rank_120d|leaders_gap_5d"
)  # two closes and nothing between them
OF_OTHERS = re.compile(
    r"(lagged_)?sector_return_\d+d|sector_momentum_250_20|sector_volatility_20d|sector_dispersion_20d"
    r"|leaders_return_\d+d|(lagged_)?neighbour_return_\d+d|neighbour_volume_gap_5_60"
    r"|neighbour_(count|strength|clustering|same_sector)"
)  # the others of the sector or the graph trade on: the stock's own absence does not matter
OF_ABSENCE = {
    "zero_trade_count_60d",
    "valid_return_share_120d",
    "sessions_since_gap_250d",
    "sessions_listed_250d",
}
WINDOWS = {  # a window that is not in the name
    "ema_gap_12d": (48,),
    "macd": (90,),
    "kama_gap_10d": (60,),
    "atr_14d": (84,),
    "directional_difference_14d": (84,),
    "keltner_position_20d": (80, 120),
    "aroon_25d": (26,),
    "residual_return_1d": (1, 60),
    "residual_return_5d": (5, 60),
    "residual_return_20d": (20, 60),
    "residual_ewma_5d": (60,),
    "residual_ewma_20d": (60,),
    "sector_gap_ewma_20d": (60,),
    "neighbour_gap_ewma_5d": (60,),
    "limit_width": (1,),
}
SMOOTHED_TWICE = {  # halts after which too few of the first statistic are left for the second
    "macd_histogram": {60, 120},
    "adx_14d": {120},
    "stochastic_d_14d": {20},
    "volatility_of_volatility_60d": {60},
}
NEEDS_TODAY = re.compile(
    r"(log_)?return_\d+d|overnight_return_1d|intraday_return_1d|return_acceleration_20d|absolute_return_1d"
    r"|information_discreteness_120d|close_location_1d|range_ratio_1_20|range_position_\d+d|drawdown_\d+d"
    r"|rise_from_low_250d|(sma|ema|kama|vwap)_gap_\d+d|macd(_histogram)?|bollinger_20d|stochastic_[kd]_14d"
    r"|atr_14d|cci_20d|keltner_position_20d|volume_ratio_1_5|volume_z_20d|residual_return_1d"
    r"|sector_gap_\d+d|sector_rank_120d|leaders_gap_5d|neighbour_gap_1d|limit_position_1d|limit_width"
)  # today's price, range, volume or return is one of the terms; %D wants 80% of three sessions
EARLY = {  # the first value after a listing, in sessions, where it is not 80% of the look-back
    "kama_gap_10d": 47,  # 48 of 60 closes; a session without an efficiency ratio leaves the mean as it is
    "leaders_gap_5d": 5,  # the look-back of 60 is of the others' turnover
    **dict.fromkeys(OF_ABSENCE - {"zero_trade_count_60d"}, 0),  # an absence is what they count
}


@pytest.fixture(scope="module")
def complete(panel_factory) -> xr.Dataset:
    return panel_factory(n_dates=N_DATES, seed=8, gaps=False)


@pytest.fixture(scope="module")
def computed(complete) -> xr.Dataset:
    return compute_features(complete, list(ORACLES))


def without_trade(panel: xr.Dataset, code: int, first: int, last: int) -> None:
    for name in BARS:
        panel[name].values[first : last + 1, code] = np.nan
    panel["traded"].values[first : last + 1, code] = False
    panel["ret_1d"].values[first : last + 2, code] = np.nan


@pytest.fixture(scope="module")
def halted(complete) -> xr.Dataset:
    panel = complete.copy(deep=True)
    for window, (first, last) in HALTS.items():
        without_trade(panel, STOCK_OF[window], TODAY - first, TODAY - last)
    without_trade(panel, HALTED, TODAY, TODAY)
    without_trade(panel, LATE, 0, LISTED - 1)
    panel["listed"].values[:LISTED, LATE] = False
    return compute_features(panel, list(ORACLES))


def test_no_value_before_the_look_back_and_one_right_after_it(computed):
    for name in (*OWN, *MARKET):
        lookback = FEATURES[name].lookback
        known = np.isfinite(computed[name].values)
        assert not known[:lookback].any(), name
        assert known[lookback:].all(), name


def test_a_feature_that_needs_todays_trade_has_no_value_on_a_halted_day(halted):
    found = {name for name in OWN if np.isnan(halted[name].values[TODAY, HALTED])}
    assert found == {name for name in OWN if NEEDS_TODAY.fullmatch(name)}


@pytest.mark.parametrize("halt", HALTS)
def test_a_statistic_survives_a_halt_of_a_fifth_of_its_window_and_no_more(halted, halt):
    first, last = HALTS[halt]
    for name in OWN:
        value = halted[name].values[TODAY, STOCK_OF[halt]]
        if name in SMOOTHED_TWICE:
            assert np.isnan(value) == (halt in SMOOTHED_TWICE[name]), name
            continue
        absent = {n: max(0, min(first, n - 1) - last + 1) for n in windows_of(name)}
        if any(count > 0.2 * n for n, count in absent.items()):
            assert np.isnan(value), name
        elif all(count + (count > 0) <= 0.2 * n for n, count in absent.items()):
            # A halt of k sessions takes k + 1 one-day returns.
            assert np.isfinite(value), name


def windows_of(name: str) -> tuple[int, ...]:
    if ENDS_ONLY.fullmatch(name) or OF_OTHERS.fullmatch(name) or name in OF_ABSENCE:
        return ()
    return WINDOWS.get(name) or tuple(int(n) for n in re.findall(r"_(\d+)", name))


def test_every_feature_is_either_about_windows_or_in_a_table():
    without = [name for name in OWN if not windows_of(name) and name not in SMOOTHED_TWICE]
    assert all(ENDS_ONLY.fullmatch(n) or OF_OTHERS.fullmatch(n) or n in OF_ABSENCE for n in without)


def test_a_listing_has_its_first_value_when_four_fifths_of_the_window_are_there(halted):
    for name in OWN:
        known = np.isfinite(halted[name].values[:, LATE])
        if OF_OTHERS.fullmatch(name):
            assert known[FEATURES[name].lookback :].all(), name
            continue
        assert not known[:LISTED].any(), name
        first, lookback = known.argmax() - LISTED, FEATURES[name].lookback
        if name in EARLY:
            assert first == EARLY[name], name
        else:
            assert np.ceil(0.8 * lookback) - 1 <= first <= lookback, name
        assert known[LISTED + first :].all(), name


def test_halts_and_listings_of_others_leave_the_market_and_an_unrelated_stock_with_values(halted):
    for name in MARKET:
        assert np.isfinite(halted[name].values[FEATURES[name].lookback :]).all(), name
    for name in OWN:
        assert np.isfinite(halted[name].values[TODAY, FULL]), name


@pytest.fixture(scope="module")
def odd(complete) -> xr.Dataset:
    """A stock that never moves, one without a range, one of constant volume, sessions of volume 0."""
    panel = complete.copy(deep=True)
    flat, without_range, constant, idle = range(4)
    for name in ("open", "high", "low", "close"):
        for variable in (name, f"adj_{name}"):
            panel[variable].values[:, flat] = 1234.5
            panel[variable].values[:, without_range] = panel["close"].values[:, without_range]
    panel["ret_1d"].values[1:, flat] = 0.0
    for name in ("volume", "adj_volume"):
        panel[name].values[:, constant] = 100.0
    for name in VOLUMES:
        panel[name].values[::7, idle] = 0.0
    return panel


def test_no_value_is_infinite_or_made_of_rounding(odd):
    computed = compute_features(odd, list(ORACLES))
    for name in (*OWN, *MARKET):
        values = computed[name].values
        assert not np.isinf(values).any(), name
        assert np.nanmax(np.abs(values)) < 1e4, name
    flat = computed.isel(date=TODAY, code=0)
    for name in (
        "return_20d",
        "volatility_20d",
        "parkinson_20d",
        "bollinger_width_20d",
        "atr_14d",
        "beta_60d",
    ):
        assert flat[name] == 0, name
    for name in ("skewness_60d", "rsi_14d", "bollinger_20d", "cci_20d", "range_position_20d", "adx_14d"):
        assert np.isnan(flat[name]), name  # 0 / 0
    assert computed["volume_volatility_20d"].values[TODAY, 2] == 0
    assert np.isnan(computed["volume_z_20d"].values[TODAY, 2])


def test_a_session_without_volume_counts_as_absent(odd):
    absent = odd.copy(deep=True)
    for name in VOLUMES:
        values = absent[name].values
        values[values == 0] = np.nan
    families = ["volume", "liquidity", "sector", "lead_lag", "regime"]
    zero, missing = compute_features(odd, families), compute_features(absent, families)
    for name in zero:
        np.testing.assert_array_equal(zero[name].values, missing[name].values, err_msg=name)
    assert np.isnan(zero["volume_ratio_1_5"].values[TODAY // 7 * 7, 3])
