"""The comparison of a recipe with its controls, on series small enough to see the answer."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecast import BLENDS, CONTROLS, SAMPLE_SEEDS, _before_last_year, compare, difference

SESSIONS = pd.bdate_range("2020-01-06", periods=300)


def pairs(shift: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    control = rng.normal(0.02, 0.1, len(SESSIONS))
    return pd.DataFrame({"model": control + shift + rng.normal(0, 0.01, len(SESSIONS)), "control": control})


def test_a_difference_within_one_market_has_the_interval_of_its_sessions():
    found = difference([pairs(0.01, 0)], horizon=1)
    assert found["difference"] == pytest.approx(0.01, abs=0.002)
    assert 0 < found["low"] < found["difference"] < found["high"]
    assert found["days"] == 300
    assert found["days_to_decide"] < 300


def test_of_several_markets_the_markets_decide():
    shifts = (0.01, 0.02, 0.03)
    found = difference([pairs(shift, seed) for seed, shift in enumerate(shifts)], horizon=1)
    half = 4.302653 * 0.01 / np.sqrt(3)  # Student's quantile with 2 degrees, standard deviation .01
    assert found["difference"] == pytest.approx(0.02, abs=0.002)
    assert found["low"] == pytest.approx(0.02 - half, abs=0.003)
    assert found["high"] == pytest.approx(0.02 + half, abs=0.003)


def test_tuning_does_not_see_the_last_year():
    prices = pd.DataFrame({"date": SESSIONS.repeat(2), "code": ["a", "b"] * 300})
    known = _before_last_year(prices, "tune")
    assert known["date"].max() == SESSIONS[300 - 245 - 1]
    assert len(_before_last_year(prices, "open")) == len(prices)


def test_no_sample_market_is_opened_that_was_tuned_on():
    assert not set(SAMPLE_SEEDS["tune"]) & set(SAMPLE_SEEDS["open"])
    assert 1 not in {*SAMPLE_SEEDS["tune"], *SAMPLE_SEEDS["open"]}


def test_every_control_is_compared_raw_neutral_and_a_session_late():
    names = {"model", *BLENDS, *CONTROLS}
    names |= {f"{name}_pca_neutral" for name in names}
    days = pd.concat(
        pd.DataFrame({"model": name, "horizon": f"{h}d", "date": SESSIONS, "rank_ic": 0.1, "rank_ic_one_day_late": 0.0})
        for name in sorted(names)
        for h in (1, 5, 10, 20)
    )
    rows = pd.DataFrame(compare({"tokyo": days, "sample_11": days, "sample_12": days}))
    assert set(rows["markets"]) == {"tokyo", "sample"}
    assert set(rows["scores"]) == {"raw", "raw, neutral", "lag-1", "lag-1, neutral"}
    blend = rows[rows["model"] == "model_lightgbm_ridge"]
    assert set(blend["control"]) == {*CONTROLS, "model"}
    assert (rows["difference"] == 0).all()
