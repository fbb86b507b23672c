"""Facts of the Tokyo Stock Exchange."""

import numpy as np
import pytest

from gogooku_kedro.exchange.tse import (
    SECTORS_33,
    SEGMENT_SUCCESSOR,
    SEGMENTS,
    limit_band,
    limit_width,
    round_to_tick,
    tick_size,
)


@pytest.mark.parametrize(
    ("base", "width"),
    [
        (99, 30),
        (100, 50),
        (199, 50),
        (499, 80),
        (699, 100),
        (999, 150),
        (1_000, 300),
        (1_999, 400),
        (2_999, 500),
        (4_999, 700),
        (6_999, 1_000),
        (9_999, 1_500),
        (14_999, 3_000),
        (29_999, 5_000),
        (99_999, 15_000),
        (149_999, 30_000),
        (699_999, 100_000),
        (999_999, 150_000),
        (1_000_000, 300_000),
    ],
)
def test_daily_limit(base, width):
    assert limit_width(np.array([base]))[0] == width


@pytest.mark.parametrize(
    ("price", "fine", "tick"),
    [
        (1_000, True, 0.1),
        (1_000, False, 1),
        (1_000.5, True, 0.5),
        (3_000, False, 1),
        (3_001, True, 1),
        (3_001, False, 5),
        (9_990, False, 10),
        (30_000, True, 5),
        (30_000, False, 10),
        (50_000, False, 50),
        (60_000, True, 10),
        (60_000, False, 100),
    ],
)
def test_tick_size(price, fine, tick):
    assert tick_size(np.array([price]), fine)[0] == tick


def test_limits_lie_on_the_tick_grid_inside_the_band():
    lower, upper = limit_band(np.array([2_998.0, 20.0]), fine=False)
    assert upper.tolist() == [3_495, 50]  # 3,498 lies between two ticks of 5 yen
    assert lower.tolist() == [2_498, 1]  # no price below one tick


def test_prices_round_to_ticks():
    assert round_to_tick(np.array([3_007.4, 0.2]), fine=False).tolist() == [3_005, 1]
    assert round_to_tick(np.array([999.96]), fine=True).tolist() == [1_000]


def test_a_base_price_must_be_positive():
    with pytest.raises(ValueError, match="base_price"):
        limit_width(np.array([0.0]))


def test_33_sectors_in_17_groups_and_a_successor_for_each_old_segment():
    assert len(SECTORS_33) == 33
    assert {sector.s17 for sector in SECTORS_33.values()} == {str(group) for group in range(1, 18)}
    assert SECTORS_33["0050"].s17 == "1"
    assert set(SEGMENT_SUCCESSOR.values()) == {"0111", "0112", "0113"} <= set(SEGMENTS)
