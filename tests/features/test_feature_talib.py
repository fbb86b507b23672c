"""The technical indicators against TA-Lib, on a market without gaps.

What TA-Lib runs over a window must agree to rounding. What it runs over the whole history (EMA,
Wilder's smoothing) is cut off here, so that the look-back is finite: there the weight that is cut off,
0.03% to 0.2%, bounds the difference.
"""

import numpy as np
import pytest
import talib

from gogooku_kedro.features import FEATURES, compute_features

N_DATES, TAIL = 420, 40


def over(x, n):
    return talib.SUM(x, n)


def bands(s):
    upper, middle, lower = talib.BBANDS(np.log(s["close"]), 20, 2, 2)
    return middle, (upper - lower) * np.sqrt(20 / 19)  # TA-Lib divides by n, the library by n - 1


def stochastic(s):
    return talib.STOCHF(s["high"], s["low"], s["close"], fastk_period=14, fastd_period=3)


def channel(s, n):
    low, high = talib.MIN(s["low"], n), talib.MAX(s["high"], n)
    return (s["close"] - low) / (high - low)


def ages(extreme):
    return np.arange(N_DATES) - extreme


def change(x, n):
    return np.append(np.full(n, np.nan), x[n:] - x[:-n])


WINDOWED = {
    "return_20d": lambda s: talib.ROCP(s["close"], 20),
    "sma_gap_20d": lambda s: s["close"] / talib.SMA(s["close"], 20) - 1,
    "sma_gap_250d": lambda s: s["close"] / talib.SMA(s["close"], 250) - 1,
    "trend_slope_60d": lambda s: talib.LINEARREG_SLOPE(np.log(s["close"]), 60),
    "volume_trend_60d": lambda s: talib.LINEARREG_SLOPE(np.log(s["volume"]), 60),
    "trend_correlation_120d": lambda s: talib.CORREL(np.log(s["close"]), np.arange(N_DATES) * 1.0, 120),
    "bollinger_20d": lambda s: 0.5 + (np.log(s["close"]) - bands(s)[0]) / bands(s)[1],
    "bollinger_width_20d": lambda s: bands(s)[1],
    "stochastic_k_14d": lambda s: stochastic(s)[0] / 100,
    "stochastic_d_14d": lambda s: stochastic(s)[1] / 100,
    "cci_20d": lambda s: talib.CCI(s["high"], s["low"], s["close"], 20),
    "aroon_25d": lambda s: talib.AROONOSC(s["high"], s["low"], 25) / 100,
    "money_flow_index_14d": lambda s: talib.MFI(s["high"], s["low"], s["close"], s["volume"], 14) / 100,
    "on_balance_slope_20d": lambda s: change(talib.OBV(s["close"], s["volume"]), 20) / over(s["volume"], 20),
    "chaikin_money_flow_20d": lambda s: (
        change(talib.AD(s["high"], s["low"], s["close"], s["volume"]), 20) / over(s["volume"], 20)
    ),
    "range_position_60d": lambda s: channel(s, 60),
    "drawdown_250d": lambda s: s["close"] / talib.MAX(s["close"], 250) - 1,
    "sessions_since_high_250d": lambda s: ages(talib.MAXINDEX(s["high"], 250)),
    "sessions_since_low_250d": lambda s: ages(talib.MININDEX(s["low"], 250)),
    "max_return_20d": lambda s: talib.MAX(s["return"], 20),
    "volatility_20d": lambda s: talib.STDDEV(np.log1p(s["return"]), 20) * np.sqrt(20 / 19),
    "beta_60d": lambda s: talib.BETA(s["index"], s["close"], 60),
    "beta_250d": lambda s: talib.BETA(s["index"], s["close"], 250),
    "market_correlation_60d": lambda s: talib.CORREL(s["return"], s["index_return"], 60),
}


def kama_gap(s):
    """TA-Lib's KAMA(10) starts from the close of its tenth session: give it the 69 that the feature reads."""
    close = s["close"]
    gaps = np.full(N_DATES, np.nan)
    for t in range(N_DATES - TAIL, N_DATES):
        gaps[t] = close[t] / talib.KAMA(np.ascontiguousarray(close[t - 68 : t + 1]), 10)[-1] - 1
    return gaps


def macd_histogram(s):
    share = talib.MACD(s["close"])[0] / s["close"]
    known = np.isfinite(share)
    signal = np.full(N_DATES, np.nan)
    signal[known] = talib.EMA(share[known], 9)
    return share - signal


def directional(s):
    plus, minus = (f(s["high"], s["low"], s["close"], 14) for f in (talib.PLUS_DI, talib.MINUS_DI))
    np.testing.assert_allclose(100 * abs(plus - minus) / (plus + minus), talib.DX(s["high"], s["low"], s["close"], 14))
    return (plus - minus) / (plus + minus)


RECURSIVE = {  # name: (TA-Lib, largest difference)
    "ema_gap_12d": (lambda s: s["close"] / talib.EMA(s["close"], 12) - 1, 2e-4),
    "macd": (lambda s: talib.MACD(s["close"])[0] / s["close"], 5e-4),
    "macd_histogram": (macd_histogram, 2e-4),
    "atr_14d": (lambda s: talib.ATR(s["high"], s["low"], s["close"], 14) / s["close"], 1e-4),
    "directional_difference_14d": (directional, 0.01),
    "adx_14d": (lambda s: talib.ADX(s["high"], s["low"], s["close"], 14) / 100, 0.005),
    "keltner_position_20d": (
        lambda s: (s["close"] - talib.EMA(s["close"], 20)) / talib.ATR(s["high"], s["low"], s["close"], 20),
        0.02,
    ),
}


@pytest.fixture(scope="module")
def market(panel_factory):
    panel = panel_factory(n_dates=N_DATES, n_codes=6, seed=11, gaps=False).astype(np.float64)
    names = dict.fromkeys([*WINDOWED, "kama_gap_10d", *RECURSIVE])
    computed = compute_features(panel, list(dict.fromkeys(FEATURES[name].family for name in names)))
    index_return = panel["index_return"].values
    shared = {"index_return": index_return, "index": np.cumprod(1 + np.nan_to_num(index_return))}
    stocks = []
    for code in range(panel.sizes["code"]):
        bars = {n: panel[f"adj_{n}"].values[:, code].copy() for n in ("high", "low", "close", "volume")}
        stocks.append(shared | bars | {"return": panel["ret_1d"].values[:, code].copy()})
    return computed, stocks


def tails(market, name, function):
    computed, stocks = market
    return computed[name].values[-TAIL:].T, np.array([function(stock)[-TAIL:] for stock in stocks])


@pytest.mark.parametrize("name", WINDOWED)
def test_a_windowed_indicator_is_that_of_talib(market, name):
    found, expected = tails(market, name, WINDOWED[name])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_the_adaptive_mean_is_that_of_talib_started_at_the_first_close_of_the_window(market):
    found, expected = tails(market, "kama_gap_10d", kama_gap)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", RECURSIVE)
def test_a_recursive_indicator_is_that_of_talib_but_for_the_weight_cut_off(market, name):
    function, largest = RECURSIVE[name]
    found, expected = tails(market, name, function)
    np.testing.assert_allclose(found, expected, rtol=0, atol=largest)
    assert np.abs(found).max() > 10 * largest
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9995
