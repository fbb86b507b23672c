"""Why this stock on this day: the pieces fit each other, and what is not there is said."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from gogooku_kedro.explanation import Subject, Why, explain_stock, render
from gogooku_kedro.explanation.why import recent_returns
from gogooku_kedro.training import predict_days
from tests.explanation.conftest import HandMade, real_model, subject
from tests.training.conftest import tables

QUANTILES = (0.1, 0.5, 0.9)
DAY, STOCK = 40, 5


def panel(of: Subject) -> xr.Dataset:
    close = 100 + np.arange(len(of.dates))[:, None] + np.arange(len(of.codes))
    return xr.Dataset(
        {"adj_close": (("date", "code"), close.astype(np.float32))},
        coords={"date": of.dates, "code": np.asarray(of.codes, dtype=str)},
    )


def explained(of: Subject, code: str = "13050", date: str | None = None, horizon: int = 5, steps: int = 16) -> Why:
    session = of.dates[DAY] if date is None else pd.Timestamp(date)
    return explain_stock(of, panel(of), QUANTILES, code, session, horizon, steps)


@pytest.fixture(scope="module")
def of() -> Subject:
    return subject(real_model(market_gate={"enabled": False}))


def test_score_rank_and_quantiles_are_those_of_the_predictions(of):
    why = explained(of)
    ((_, score, quantiles),) = predict_days(of.models[0], of.market, [DAY], "cpu")
    assert why.score == pytest.approx(float(score[STOCK, 1]), abs=1e-6)
    assert why.rank == 1 + int((score[:, 1] > score[STOCK, 1]).sum())
    assert why.stocks == 20
    assert list(why.quantiles) == list(QUANTILES)
    np.testing.assert_allclose(list(why.quantiles.values()), quantiles[STOCK, 1], atol=1e-6)


def test_features_and_families_add_up_to_what_sets_the_stock_apart(of):
    why = explained(of, steps=32)
    for table in (why.features, why.families):
        assert table["attribution"].sum() == pytest.approx(why.own_score - why.median_score, rel=0.05)
        assert table["attribution"].abs().is_monotonic_decreasing
    assert why.gap < 0.05
    assert dict(zip(why.features["feature"], why.features["value"], strict=True)) == pytest.approx(
        dict(zip("abcd", of.market.x[DAY, STOCK].tolist(), strict=True))
    )


def test_neighbours_come_with_their_effect_score_and_recent_returns():
    model = HandMade([1.0, 0, 0, 0], [0, 2.0, 0, 0])
    of = subject(model)
    (row,) = explained(of).neighbours.to_dict("records")
    x = of.market.x[DAY]
    # From session 30 on a stock hears the one two before it, a third of its attention, and itself.
    assert (row["source"], row["sign"], row["same_sector"]) == ("13030", 1, 0)
    assert row["attention"] == pytest.approx(1 / 3)
    assert row["lift"] == pytest.approx(2 / 3)
    heard = 2.0 * (x[3, 1] / 3 + x[5, 1] * 2 / 3)
    assert row["effect"] == pytest.approx(float(heard - 2.0 * x[5, 1]), abs=1e-5)
    assert explained(of).peers_effect == pytest.approx(row["effect"], abs=1e-6)
    ((_, score, _),) = predict_days(model, of.market, [DAY], "cpu")
    assert row["score"] == pytest.approx(float(score[3, 1]), abs=1e-6)
    assert row["return_5d"] == pytest.approx((100 + DAY + 3) / (100 + DAY + 3 - 5) - 1)


def test_an_ensemble_is_explained_by_the_means_of_its_members():
    one, two = HandMade([1.0, 0, 0, 0], [0.0] * 4), HandMade([3.0, 0, 0, 0], [0.0] * 4)
    of = subject(one, two)
    why = explained(of)
    value = float(of.market.x[DAY, STOCK, 0])
    assert why.own_score == pytest.approx(2 * value, rel=1e-5)
    assert dict(zip(why.features["feature"], why.features["attribution"], strict=True))["a"] == pytest.approx(
        2 * value, rel=1e-4
    )
    assert len(why.neighbours) == 1
    assert abs(why.score) < 2  # a mean of Gaussian ranks


def test_the_market_gate_is_shown_furthest_from_neutral_first():
    model = real_model(market_gate={"enabled": True, "temperature": 1.0})
    assert model.market_gate is None  # the tiny market has no context
    why = explained(subject(model))
    assert why.gate.empty
    gated = subject(HandMade([1.0, 0, 0, 0], [0.0] * 4))
    gate = torch.nn.Module()
    gate.gate = lambda context: torch.tensor([1.1, 0.4, 1.5, 1.0]).expand(len(context), 1, 4)
    gated.models[0].market_gate = gate
    assert list(explained(gated).gate["feature"]) == ["b", "c", "a", "d"]


def test_without_graph_there_are_no_neighbours():
    why = explained(subject(real_model(gat={"enabled": False})))
    assert why.neighbours.empty
    assert math.isnan(why.peers_effect)
    assert why.as_dict(3)["peers_effect"] is None
    assert "Neighbours" not in render(why, 3)


def test_text_and_json_say_the_same(of):
    why = explained(of)
    text, plain = render(why, 2), why.as_dict(2)
    assert f"13050 on {of.dates[DAY]:%Y-%m-%d}, 5 sessions ahead" in text
    assert f"rank {why.rank} of 20" in text
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert [row["feature"] for row in plain["features"]] == list(why.features["feature"][:2])
    assert all(feature in text for feature in why.features["feature"][:2])
    assert plain["neighbours"][0]["source"] in text


def test_without_a_date_the_latest_cross_section_is_explained():
    features, labels, edges = tables()
    features["in_universe"][-2:] = False
    of = subject(HandMade([1.0, 0, 0, 0], [0.0] * 4), data=(features, labels, edges))
    why = explain_stock(of, panel(of), QUANTILES, "13050", None, 1, 4)
    assert why.date == of.dates[-3]


def test_the_last_zero_of_a_code_may_be_left_out(of):
    for written in ("1305", "1305.T", "TYO:1305"):
        assert explained(of, code=written).code == "13050"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"code": "1355"}, r"--code 1355: not among the 20 stocks of the features; did you mean 13\d\d0"),
        (
            {"code": "ABC"},
            "--code ABC: not among the 20 stocks of the features; they run from 13000 to 13190",
        ),
        (
            {"date": "2020-02-01"},
            "--date 2020-02-01: no session of the market, which has 60 from 2020-01-06 to",
        ),
        ({"date": "2031-01-06"}, "--date 2031-01-06: no session of the market"),
        ({"date": "2020-01-07"}, "reads 6 sessions, so the first day it scores is 2020-01-13"),
        (
            {"code": "13030", "date": "2020-02-05"},
            r"--code 13030: not in the cross-section of 2020-02-05 .*the last time before was 2020-01-31",
        ),
    ],
    ids=["unknown_code", "far_code", "weekend", "future", "too_early", "absent"],
)
def test_what_is_not_there_is_said(of, asked, message):
    with pytest.raises(ValueError, match=message):
        explained(of, **asked)


def test_recent_returns_end_on_the_session_and_are_missing_where_a_price_is():
    dates = pd.bdate_range("2020-01-06", periods=8)
    close = np.array([[100.0, 50.0]] * 7 + [[110.0, np.nan]], dtype=np.float32)
    prices = xr.Dataset({"adj_close": (("date", "code"), close)}, coords={"date": dates, "code": ["10010", "10020"]})
    returns = recent_returns(prices, dates[-1])
    assert list(returns) == ["return_1d", "return_5d"]  # eight sessions have no return over 20
    assert returns.loc["10010"].tolist() == pytest.approx([0.1, 0.1])
    assert returns.loc["10020"].isna().all()
    assert recent_returns(prices, dates[-2]).loc["10010", "return_1d"] == 0.0
