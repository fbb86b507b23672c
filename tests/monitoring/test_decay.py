"""The alarm line: what it sums, and how often it is crossed without decay."""

import numpy as np
import pytest

from gogooku_kedro.monitoring.decay import alarm_rule, shortfall

SESSIONS = 120


def history(rng: np.random.Generator, length: int, horizon: int, mean: float) -> np.ndarray:
    """Daily rank IC of overlapping labels."""
    noise = np.convolve(rng.normal(size=length + horizon - 1), np.ones(horizon) / np.sqrt(horizon), "valid")
    return mean + 0.1 * noise


def test_the_sum_by_hand():
    found = shortfall([0.1, 0.0, np.nan, 0.0, 0.2, -0.1], 0.1)
    np.testing.assert_allclose(found, [0.0, 0.05, 0.05, 0.1, 0.0, 0.15], atol=1e-12)
    two = shortfall([[0.0, 0.0], [1.0, 0.0]], np.array([[0.1], [0.2]]))
    np.testing.assert_allclose(two, [[0.05, 0.1], [0.0, 0.1]], atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 5])
def test_without_decay_years_cross_the_line_as_often_as_is_stated(horizon):
    """In 200 histories a rate of 10% gives more than 34 alarms, or fewer than 6, once in 1,000 times."""
    rng, alarms = np.random.default_rng(0), 0
    for seed in range(200):
        days = history(rng, 240 + 2 * SESSIONS, horizon, mean=0.09)
        rule = alarm_rule(days[:240], horizon=horizon, sessions=SESSIONS, rate=0.1, draws=150, seed=seed)
        alarms += shortfall(days[240:], rule.mean)[SESSIONS:].max() > rule.threshold
    assert 6 <= alarms <= 34


def test_a_fall_to_nothing_is_found_within_the_stated_delay():
    rng, delays = np.random.default_rng(1), []
    for seed in range(40):
        days = history(rng, 400, 5, mean=0.09)
        rule = alarm_rule(days[:240], horizon=5, sessions=245, rate=0.1, draws=150, seed=seed)
        crossed = shortfall(days[240:] - 0.09, rule.mean) > rule.threshold
        delays.append((crossed.argmax() + 1 if crossed.any() else 161, rule.delay))
    found, stated = np.median(delays, axis=0)
    assert 0.6 * stated < found < 1.6 * stated
    assert found < 120


def test_a_rarer_alarm_has_a_higher_line_and_the_draws_repeat():
    days = history(np.random.default_rng(2), 240, 5, mean=0.09)
    rules = [alarm_rule(days, horizon=5, sessions=245, rate=rate, draws=300) for rate in (0.3, 0.1, 0.02)]
    lines = [rule.threshold for rule in rules]
    assert lines == sorted(lines)
    assert alarm_rule(days, horizon=5, sessions=245, rate=0.1, draws=300) == rules[1]


@pytest.mark.parametrize(
    "days",
    [np.full(240, 0.1), np.random.default_rng(0).normal(-0.05, 0.1, 240), np.full(24, np.nan), np.arange(24) / 9],
)
def test_where_there_is_no_skill_or_too_few_sessions_there_is_no_line(days):
    assert alarm_rule(days, horizon=5, sessions=245, rate=0.1) is None
