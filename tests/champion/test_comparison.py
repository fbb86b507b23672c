"""What a difference between two models on the same days decides, and how many days are lacking."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.champion import comparison
from gogooku_kedro.champion.comparison import Candidate, Comparison, StoredMarket, compare_models, decide, describe

SINCE = pd.Timestamp("2024-01-04")


def compared(days: int, ahead: float, deviation: float = 0.05, horizon: int = 1) -> Comparison:
    """Daily differences of exactly this mean and standard deviation, without serial correlation."""
    noise = np.random.default_rng(0).normal(size=days)
    noise = (noise - noise.mean()) / noise.std() if days else noise
    champion = np.random.default_rng(1).normal(0.03, 0.1, days)
    table = pd.DataFrame({"challenger": champion + ahead + deviation * noise, "champion": champion})
    return Comparison("version 1", "version 2", SINCE, {horizon: table.set_index(pd.bdate_range(SINCE, periods=days))})


def test_a_challenger_whose_interval_lies_above_0_takes_over():
    verdict = decide(compared(200, 0.03), 1, 0.0)
    assert (verdict.promote, verdict.lacking) == (True, None)
    assert "rank IC 1d of version 2 less version 1: +0.0300 on 200 matured days, interval [" in verdict.sentence
    assert verdict.sentence.endswith("which is above 0")


def test_a_margin_has_to_be_below_the_interval_too():
    verdict = decide(compared(200, 0.03), 1, 0.025)
    assert not verdict.promote
    assert "which is not above 0.025" in verdict.sentence


@pytest.mark.parametrize(("horizon", "fewest"), [(1, 20), (5, 25), (20, 100)])
def test_below_the_days_of_an_interval_those_are_lacking(horizon, fewest):
    verdict = decide(compared(fewest - 3, 0.5, horizon=horizon), horizon, 0.0)
    assert (verdict.promote, verdict.lacking) == (False, 3)
    assert f"on {fewest - 3} matured days since 2024-01-04" in verdict.sentence
    assert verdict.sentence.endswith(f"and an interval needs {fewest}: 3 matured days are lacking")


def test_without_a_matured_day_all_are_lacking():
    verdict = decide(compared(0, 0.0), 1, 0.0)
    assert (verdict.promote, verdict.lacking) == (False, 20)


def test_days_are_lacking_until_a_difference_like_the_one_found_would_be_seen():
    verdict = decide(compared(400, 0.003), 1, 0.0)
    assert not verdict.promote
    # (2.8 * 0.05 / 0.003)^2 = 2,178 sessions without serial correlation, whose deviation is estimated from 21 cosines.
    assert verdict.lacking == pytest.approx(2178 - 400, rel=0.5)
    assert f"not above 0: {verdict.lacking} matured days are lacking" in verdict.sentence
    with_margin = decide(compared(400, 0.003), 1, 0.001)
    assert with_margin.lacking == pytest.approx((verdict.lacking + 400) * 9 / 4 - 400, abs=2)


def test_who_is_not_ahead_lacks_no_days():
    verdict = decide(compared(100, -0.02), 1, 0.0)
    assert (verdict.promote, verdict.lacking) == (False, None)
    assert "the challenger is not ahead, and no number of days like these brings" in verdict.sentence


def test_two_equal_models_decide_nothing():
    assert not decide(compared(100, 0.0, deviation=0.0), 1, 0.0).promote
    alike = decide(compared(100, 1e-5), 1, 0.0)
    assert not alike.promote
    assert alike.sentence.endswith("more than 5,000 matured days are lacking, so alike are the two")


def test_the_table_marks_the_horizon_that_decides():
    lines = describe(compared(200, 0.03, horizon=5), 5)
    assert "from 2024-01-04 on" in lines[0]
    assert lines[2].startswith("5d *")
    assert lines[2].split()[-1] == "200"


def test_days_count_that_neither_model_has_seen_and_whose_label_is_known(monkeypatch):
    dates, codes = pd.bdate_range("2024-01-04", periods=12), [f"{1300 + n}" for n in range(8)]
    returns = np.random.default_rng(2).normal(size=(12, 8, 1))
    returns[-2:] = np.nan  # not matured
    labels = xr.Dataset({"ret": (("date", "code", "horizon"), returns)}, {"date": dates, "code": codes, "horizon": [1]})
    asked = []

    def scored(sign, features, edges, manifest, sessions, device):
        asked.append(sessions)
        rows = labels["ret"].sel(horizon=1, date=sessions).to_series().rename("score_1d").reset_index()
        return rows.assign(score_1d=sign * rows["score_1d"], split="test")

    monkeypatch.setattr(comparison, "score_sessions", scored)
    market = StoredMarket(xr.Dataset(), pd.DataFrame(), {}, labels)
    champion, challenger = Candidate("version 1", -1, dates[2]), Candidate("version 2", 1, dates[5])  # type: ignore
    for first, second in ((champion, challenger), (challenger, champion)):
        found = compare_models(first, second, market, "cpu")
        assert found.since == dates[5]
        assert list(found.daily[1].index) == list(dates[5:10])
        assert all(sessions.equals(dates[5:10]) for sessions in asked)
    found = compare_models(champion, challenger, market, "cpu")
    assert found.difference(1).first == pytest.approx(1)
    assert found.difference(1).second == pytest.approx(-1)
    late = Candidate("version 3", 1, dates[-1])  # type: ignore
    verdict = decide(compare_models(champion, late, market, "cpu"), 1, 0.0)
    assert (verdict.promote, verdict.lacking) == (False, 20)
