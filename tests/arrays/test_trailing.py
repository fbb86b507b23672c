"""The compiled pass gives the bits of the fold that it stands for, and leaves no trace of other sessions."""

import operator

import numpy as np
import pytest

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.arrays.fold import fold_window
from gogooku_kedro.arrays.rolling import min_present
from gogooku_kedro.arrays.trailing import LANES, Statistic, mean_deviation, trailing

NAN = np.nan
WINDOWS = (1, 2, 3, 5, 20, 60, 64, 250)


def market(n_dates=300, n_codes=LANES + 7, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Prices and moves with gaps; more columns than are worked on at once."""
    rng = np.random.default_rng(seed)
    moves = 0.02 * rng.standard_normal((n_dates, n_codes))
    prices = 100 * np.exp(np.cumsum(moves, axis=0))
    absent = rng.random(moves.shape) < 0.05
    return np.where(absent, NAN, prices), np.where(absent, NAN, moves)


def folded(parts, window, combine) -> list[np.ndarray]:
    """The reference, along the first axis."""
    return [np.ascontiguousarray(part.T) for part in fold_window([p.T.copy() for p in parts], window, combine)]


def masked(values, x, window):
    counts = folded([np.isfinite(x).astype(float)], window, add)[0]
    return np.where(counts >= min_present(window), values, NAN)


def add(recent, older, out, lag):
    for now, before, merged in zip(recent, older, out, strict=True):
        np.add(now, before, out=merged)


def assert_same_bits(found, expected):
    present = ~np.isnan(expected)
    np.testing.assert_array_equal(~np.isnan(found), present)
    np.testing.assert_array_equal(found[present].view("u8"), expected[present].view("u8"))


@pytest.mark.parametrize("window", WINDOWS)
def test_sums_have_the_bits_of_the_fold(window):
    _, x = market()
    (total,) = folded([np.nan_to_num(x)], window, add)
    (found,) = trailing(Statistic.SUM, x, window, min_present(window))
    assert_same_bits(found, masked(total, x, window))


@pytest.mark.parametrize("window", WINDOWS)
def test_weighted_sums_have_the_bits_of_the_fold(window):
    _, x = market()
    decay = 0.5 ** (1 / 7)

    def fade(recent, older, out, lag):
        add(recent, [part * decay**lag for part in older], out, lag)

    total, weight = folded([np.nan_to_num(x), np.isfinite(x).astype(float)], window, fade)
    (found,) = trailing(Statistic.EWMA, x, window, min_present(window), decay=decay)
    with np.errstate(invalid="ignore"):
        assert_same_bits(found, masked(total / weight, x, window))


@pytest.mark.parametrize("window", WINDOWS)
def test_an_adaptive_mean_has_the_bits_of_the_fold(window):
    prices, moves = market()
    weight = np.where(np.random.default_rng(1).random(moves.shape) < 0.1, NAN, 1 / (1 + 50 * abs(moves)))

    def then(recent, older, out, lag):
        out[0][...] = recent[0] * older[0]
        out[1][...] = recent[1] + recent[0] * older[1]
        out[2][...] = np.where(older[3] > 0, recent[2], older[2])
        out[3][...] = recent[3] * older[3]

    both = np.isfinite(prices) & np.isfinite(weight)
    keep, gain = np.where(both, 1 - weight, 1.0), np.where(both, weight * prices, 0.0)
    kept, gained, first, _ = folded([keep, gain, np.nan_to_num(prices), np.isnan(prices) * 1.0], window, then)
    (found,) = trailing(Statistic.ADAPTIVE_MEAN, prices, window, min_present(window), weight)
    expected = masked(kept * first + gained, prices, window)
    assert_same_bits(found, np.where(np.isfinite(prices), expected, NAN))


@pytest.mark.parametrize("window", [1, 5, 60])
def test_extremes_and_falls_are_those_of_the_naive_loop(window):
    prices, _ = market(n_dates=150, n_codes=3)
    enough = min_present(window)
    kinds = (Statistic.MAX, Statistic.AGE_OF_MAX, Statistic.DRAWDOWN, Statistic.COUNT)
    highest, age, fall, count = (trailing(kind, prices, window, enough)[0] for kind in kinds)
    for t in range(150):
        for code in range(3):
            part = prices[max(t - window + 1, 0) : t + 1, code]
            known = part[np.isfinite(part)]
            assert count[t, code] == len(known)
            if len(known) < enough:
                assert np.isnan([highest[t, code], age[t, code], fall[t, code]]).all()
                continue
            assert highest[t, code] == known.max()
            assert age[t, code] == np.argmax(np.where(np.isnan(part), -np.inf, part)[::-1])
            assert fall[t, code] == min(later / known[i] - 1 for i in range(len(known)) for later in known[i:])


@pytest.mark.parametrize("statistic", list(Statistic))
def test_columns_sessions_before_the_window_and_later_ones_change_no_bit(statistic):
    prices, moves = market()
    window, now = 20, 200
    later = prices.copy()
    later[now + 1 :] *= 7
    later[: now - window + 1] = 1e12
    whole = trailing(statistic, prices, window, 16, moves)[:, now]
    assert_same_bits(trailing(statistic, later, window, 16, moves)[:, now], whole)
    few = trailing(statistic, prices[now - window + 1 :, 3:9], window, 16, moves[now - window + 1 :, 3:9])
    assert_same_bits(few[:, window - 1], whole[:, 3:9])


def test_the_deviation_is_from_the_centre_of_today():
    x = np.array([[1.0], [NAN], [4.0], [7.0]])
    centre = np.array([[1.0], [1.0], [NAN], [5.0]])
    np.testing.assert_array_equal(mean_deviation(x, centre, 3), [[0], [0], [NAN], [1.5]])
    np.testing.assert_array_equal(mean_deviation(np.array([[NAN]]), np.array([[1.0]]), 3), [[NAN]])


def test_where_no_folder_can_keep_what_is_compiled_it_is_compiled_all_the_same():
    scope = {}
    exec(compile("def twice(x):\n    return 2 * x\n", "<no file>", "exec"), scope)
    assert compiled(scope["twice"])(operator.index(21)) == 42
