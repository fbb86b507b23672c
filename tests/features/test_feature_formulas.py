import numpy as np
import pytest

from gogooku_kedro.features import FAMILIES, compute_features, level_channels
from gogooku_kedro.features.groups import group_ids, group_rank, leave_one_out_mean


def row(panel_factory):
    panel = panel_factory(gaps=False)
    return panel, compute_features(panel, list(FAMILIES)).isel(date=-1, code=2)


def test_price_and_range_features_follow_their_formulas(panel_factory):
    panel, x = row(panel_factory)
    stock = panel.isel(code=2)
    close, opening, high, low = (
        stock[f"adj_{name}"].values.astype(float) for name in ("close", "open", "high", "low")
    )
    expected = {
        "return_5d": close[-1] / close[-6] - 1,
        "momentum_120_20": close[-21] / close[-121] - 1,
        "overnight_return_1d": np.log(opening[-1] / close[-2]),
        "intraday_return_20d": np.log(close / opening)[-20:].mean(),
        "close_location_1d": (close[-1] - low[-1]) / (high[-1] - low[-1]),
        "high_low_range_5d": np.log(high / low)[-5:].mean(),
        "range_position_60d": (close[-1] - low[-60:].min()) / (high[-60:].max() - low[-60:].min()),
        "drawdown_60d": close[-1] / close[-60:].max() - 1,
        "sma_gap_20d": close[-1] / close[-20:].mean() - 1,
        "sma_slope_20d": close[-20:].mean() / close[-25:-5].mean() - 1,
        "bollinger_20d": 0.5
        + (np.log(close[-1]) - np.log(close[-20:]).mean()) / (4 * np.log(close[-20:]).std(ddof=1)),
        "parkinson_20d": np.sqrt((np.log(high / low)[-20:] ** 2).mean() / (4 * np.log(2))),
    }
    for name, value in expected.items():
        assert float(x[name]) == pytest.approx(value, rel=2e-4), name


def test_return_volume_and_market_features_follow_their_formulas(panel_factory):
    panel, x = row(panel_factory)
    stock = panel.isel(code=2)
    returns, volume, value = (
        stock[name].values.astype(float) for name in ("ret_1d", "adj_volume", "turnover_value")
    )
    index = panel["index_return"].values.astype(float)
    beta, _ = np.polyfit(index[-60:], returns[-60:], 1)
    gains, losses = np.clip(returns[-14:], 0, None).sum(), -np.clip(returns[-14:], None, 0).sum()
    weights = 0.5 ** (np.arange(60)[::-1] / 5)
    residual = returns[-60:] - beta * index[-60:]
    expected = {
        "volatility_20d": np.log1p(returns[-20:]).std(ddof=1),
        "downside_volatility_20d": np.sqrt((np.clip(returns[-20:], None, 0) ** 2).mean()),
        "max_return_20d": returns[-20:].max(),
        "volume_ratio_5_60": np.log(volume[-5:].mean() / volume[-60:].mean()),
        "amihud_20d": np.log((np.abs(returns) / value)[-20:].mean()),
        "volume_return_correlation_20d": np.corrcoef(returns[-20:], np.log(volume[-20:]))[0, 1],
        "rsi_14d": gains / (gains + losses),
        "beta_60d": beta,
        "residual_return_5d": residual[-5:].sum(),
        "residual_ewma_5d": (weights * residual).sum() / weights.sum(),
    }
    for name, number in expected.items():
        assert float(x[name]) == pytest.approx(number, rel=1e-4, abs=1e-7), name


def test_zero_trade_count_counts_listed_sessions_without_a_trade(panel_factory):
    panel = panel_factory(n_dates=60, gaps=False)
    panel["traded"][45:48, 1] = False
    count = compute_features(panel, ["volume"])["zero_trade_count_20d"].isel(date=-1)
    assert count.values[:3].tolist() == [0, 3, 0]


def test_a_return_needs_a_trade_on_both_ends(panel_factory):
    panel = panel_factory(n_dates=60, gaps=False)
    panel["adj_close"][50, 1] = np.nan
    found = compute_features(panel, ["returns"])["return_5d"].isel(code=1)
    assert np.flatnonzero(np.isnan(found.values[5:])).tolist() == [45, 50]


def test_the_sector_return_leaves_the_stock_itself_out(panel_factory):
    panel = panel_factory(gaps=False)
    x = compute_features(panel, ["returns", "sector"]).isel(date=-1)
    others = x["return_5d"].values[[3, 6, 9]]  # codes 0, 3, 6, 9 are Foods
    assert float(x["sector_return_5d"][0]) == pytest.approx(others.mean(), rel=1e-5)
    gap = float(x["return_5d"][0]) - others.mean()
    assert float(x["sector_gap_5d"][0]) == pytest.approx(gap, rel=1e-5)
    ranks = x["sector_rank_20d"].values[[0, 3, 6, 9]]
    assert sorted(ranks.tolist()) == [0.125, 0.375, 0.625, 0.875]


def test_groups_leave_out_the_stock_the_absent_and_the_unknown():
    ids = group_ids(["A", "A", "A", "B", "n/a"])
    values = np.array([[1.0, 3.0, np.nan, 5.0, 7.0]])
    np.testing.assert_array_equal(leave_one_out_mean(values, ids), [[3, 1, 2, np.nan, np.nan]])
    np.testing.assert_array_equal(group_rank(values, ids), [[0.25, 0.75, np.nan, np.nan, np.nan]])


def test_level_channels_are_logarithms_and_absent_without_a_trade(panel):
    levels = level_channels(panel)
    assert levels.dims == ("date", "code", "channel")
    assert levels.dtype == np.float32
    absent = ~panel["traded"].values
    for channel in ("log_close", "log_volume", "log_turnover", "sma_gap_60d"):
        assert np.isnan(levels.sel(channel=channel).values[absent]).all()
    traded = panel["traded"].values
    found = levels.sel(channel="log_close").values[traded]
    np.testing.assert_allclose(found, np.log(panel["adj_close"].values[traded]), rtol=1e-6)
