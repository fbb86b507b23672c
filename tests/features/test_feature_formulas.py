"""Cases small enough to work out by hand; every formula is in tests/features/oracles."""

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.arrays.groups import group_ids, group_rank, group_std, leave_one_out_mean
from gogooku_kedro.features import FEATURES, compute_features
from gogooku_kedro.features.families.regime import mean_over_stocks
from gogooku_kedro.features.normalise import price_channels


def value(name, **variables) -> float:
    """Today's value of a feature of one stock, from its last sessions."""
    panel = xr.Dataset(
        {n: (("date", "code"), np.asarray(v)[:, None]) for n, v in variables.items() if n != "index_return"},
        coords={"date": np.arange(len(next(iter(variables.values()))))},
    )
    if "index_return" in variables:
        panel["index_return"] = ("date", np.asarray(variables["index_return"], dtype=float))
    return float(FEATURES[name].function(panel).isel(date=-1).squeeze())


def test_a_return_and_a_log_range_by_hand():
    close = np.array([100.0, 50, 80, 100, 100, 110])
    assert value("return_5d", adj_close=close) == pytest.approx(0.1)
    assert value("return_2d", adj_close=close) == pytest.approx(0.1)
    assert value("sma_gap_5d", adj_close=close) == pytest.approx(110 / 88 - 1)
    high, low = np.full(5, np.e), np.array([1.0, 1, 1, 1, np.e])
    assert value("high_low_range_5d", adj_high=high, adj_low=low) == pytest.approx(0.8)


def test_five_returns_by_hand():
    returns = np.array([0.02, -0.01, 0.0, 0.03, -0.04])
    assert value("rsi_5d", ret_1d=returns) == pytest.approx(0.05 / 0.10)
    assert value("volatility_5d", ret_1d=np.expm1([0.1, -0.1, 0.1, -0.1, 0.0])) == pytest.approx(0.1)


def test_a_day_between_its_low_and_high_by_hand():
    bar = {"adj_high": [12.0], "adj_low": [8.0], "adj_close": [11.0]}
    assert value("close_location_1d", **bar) == 0.75
    assert value("limit_position_1d", close=[130.0], limit_base=[100.0], limit_width=[50.0]) == 0.6
    assert value("limit_width", close=[100.0], next_limit_width=[30.0]) == 0.3


def test_a_beta_by_hand():
    index = np.tile([0.01, -0.01], 30)
    returns = 0.001 + 2 * index
    assert value("beta_60d", ret_1d=returns, index_return=index) == pytest.approx(2)
    assert value("market_correlation_60d", ret_1d=returns, index_return=index) == pytest.approx(1)
    assert value("residual_return_5d", ret_1d=returns, index_return=index) == pytest.approx(0.005)


def test_a_return_needs_a_trade_on_both_ends(panel_factory):
    panel = panel_factory(n_dates=60, gaps=False)
    panel["adj_close"][50, 1] = np.nan
    found = compute_features(panel, ["returns"])["return_5d"].isel(code=1)
    assert np.flatnonzero(np.isnan(found.values[5:])).tolist() == [45, 50]


def test_zero_trade_count_counts_listed_sessions_without_a_trade(panel_factory):
    panel = panel_factory(n_dates=90, gaps=False)
    panel["traded"][45:48, 1] = False
    count = compute_features(panel, ["liquidity"])["zero_trade_count_60d"]
    assert count.values[-1, :3].tolist() == [0, 3, 0]


def test_sessions_since_a_gap_start_again_at_each(panel_factory):
    panel = panel_factory(n_dates=270, gaps=False)
    panel["ret_1d"][[251, 260], 1] = np.nan
    since = compute_features(panel, ["validity"])["sessions_since_gap_250d"]
    assert since.values[250:264, 1].tolist() == [249, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3]


def test_the_sector_return_leaves_the_stock_itself_out(panel_factory):
    panel = panel_factory(gaps=False)
    x = compute_features(panel, ["returns", "sector"]).isel(date=-1)
    others = x["return_5d"].values[[3, 6, 9]]  # codes 0, 3, 6, 9 are Foods
    assert float(x["sector_return_5d"][0]) == pytest.approx(others.mean(), rel=1e-5)
    gap = float(x["return_5d"][0]) - others.mean()
    assert float(x["sector_gap_5d"][0]) == pytest.approx(gap, rel=1e-5)
    ranks = x["sector_rank_120d"].values[[0, 3, 6, 9]]
    assert sorted(ranks.tolist()) == [0.125, 0.375, 0.625, 0.875]


def test_groups_leave_out_the_stock_the_absent_and_the_unknown():
    ids = group_ids(["A", "A", "A", "B", "n/a"])
    values = np.array([[1.0, 3.0, np.nan, 5.0, 7.0]])
    np.testing.assert_array_equal(leave_one_out_mean(values, ids), [[3, 1, 2, np.nan, np.nan]])
    np.testing.assert_array_equal(group_rank(values, ids), [[0.25, 0.75, np.nan, np.nan, np.nan]])


def test_a_weighted_mean_leaves_out_the_stock_and_what_has_no_weight():
    ids = group_ids(["A", "A", "A", "A", "B", "B"])
    values = np.array([[1.0, 2.0, 4.0, 9.0, 5.0, 6.0]])
    weights = np.array([[3.0, 1.0, 2.0, np.nan, 0.0, 1.0]])
    found = leave_one_out_mean(values, ids, weights)
    # (1*2 + 2*4) / 3, (3*1 + 2*4) / 5, (3*1 + 1*2) / 4, all of them; 6; nothing but a weight of 0
    np.testing.assert_allclose(found, [[10 / 3, 11 / 5, 5 / 4, 13 / 6, 6, np.nan]])


def test_the_deviation_of_a_group_is_that_of_its_present_stocks():
    ids = group_ids(["A", "A", "A", "B", "B", "C", "n/a"])
    values = np.array([[1.0, 3.0, np.nan, 5.0, 5.0, 2.0, 7.0], [1.0, np.nan, np.nan, 1.0, 4.0, 2.0, 7.0]])
    expected = [[1, 1, 1, 0, 0, np.nan, np.nan], [np.nan, np.nan, np.nan, 1.5, 1.5, np.nan, np.nan]]
    np.testing.assert_allclose(group_std(values, ids), expected)


def test_a_market_of_one_move_has_no_dispersion():
    returns = np.full((20, 11), 0.07)  # mean of squares - square of the mean: -2e-18
    panel = xr.Dataset({"ret_1d": (("date", "code"), returns)}, coords={"date": np.arange(20)})
    found = FEATURES["dispersion_20d"].function(panel)
    assert found.values[-1] == pytest.approx(0, abs=1e-8)
    absent = mean_over_stocks(panel["ret_1d"].where(False))
    assert np.isnan(absent).all()


def test_price_channels_are_logarithms_and_absent_without_a_trade(panel):
    levels = price_channels(panel)
    assert levels.dims == ("date", "code", "channel")
    assert levels.dtype == np.float32
    absent = ~panel["traded"].values
    for channel in ("log_close", "log_volume", "log_turnover", "sma_gap_60d"):
        assert np.isnan(levels.sel(channel=channel).values[absent]).all()
    traded = panel["traded"].values
    found = levels.sel(channel="log_close").values[traded]
    np.testing.assert_allclose(found, np.log(panel["adj_close"].values[traded]), rtol=1e-6)
