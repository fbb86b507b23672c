"""What the features of a stock are worth to a model whose score is a known function of them."""

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.explanation import (
    attribution,
    daily_weights,
    family_importance,
    family_weights,
    feature_weights,
    feature_weights_by_month,
    integrated_gradients,
    seed_correlation,
)
from gogooku_kedro.explanation.features import LEVELS, Deal, deal
from gogooku_kedro.explanation.subject import combined_scores, feature_names
from tests.explanation.conftest import HandMade, real_model, subject
from tests.training.conftest import tables

DAYS = list(range(10, 55))
NOTHING = [0.0] * 4


def test_selection_weights_of_a_day_sum_to_one_and_their_ratios_average_one():
    of = subject(real_model(), real_model(1))
    daily = daily_weights(of, DAYS)
    assert daily.shape == (2 * len(DAYS), 4)
    np.testing.assert_allclose(daily.sum(axis=1), 1.0, rtol=1e-6)
    table = feature_weights(daily, of.features)
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table["ratio"].mean() == pytest.approx(1.0)
    assert (table["seed_low"] <= table["ratio"]).all()
    assert (table["ratio"] <= table["seed_high"]).all()
    assert family_weights(table)["weight"].sum() == pytest.approx(1.0)
    assert -1 <= seed_correlation(daily) <= 1


def test_weights_by_feature_family_and_month_are_those_of_the_hand():
    of = subject(HandMade(NOTHING, NOTHING, selection=[0.4, 0.3, 0.2, 0.1]))
    daily = daily_weights(of, DAYS)
    table = feature_weights(daily, of.features)
    assert list(table["feature"]) == list("abcd")
    np.testing.assert_allclose(table["ratio"], [1.6, 1.2, 0.8, 0.4], rtol=1e-6)
    families = family_weights(table).set_index("family")
    assert families.loc["first"].to_dict() == pytest.approx({"features": 2, "weight": 0.7, "ratio": 1.4})
    months = feature_weights_by_month(daily, of.features)
    assert list(months["month"].unique()) == ["2020-01", "2020-02", "2020-03"]
    assert months.loc[months["family"] == "third", "ratio"].tolist() == pytest.approx([0.4] * 3)
    assert seed_correlation(daily) is None


def test_the_weights_of_two_seeds_can_be_opposed():
    one, two = (HandMade(NOTHING, NOTHING, selection) for selection in ([0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]))
    assert seed_correlation(daily_weights(subject(one, two), DAYS)) == pytest.approx(-1.0)


def test_only_stocks_of_the_cross_section_count():
    features, labels, edges = tables()
    features["in_universe"][:, 3:] = False
    model = real_model()
    of = subject(model, data=(features, labels, edges))
    window = of.market.chunk(40, 1, model.window)
    with torch.no_grad():
        selection = model.encode(window.x, window.present, window.levels, window.context).selection
    np.testing.assert_allclose(daily_weights(of, [40]).iloc[0], selection[-1, :3].mean(dim=0), rtol=1e-5)


def test_a_model_without_selection_has_no_weights():
    of = subject(real_model(vsn={"enabled": False}))
    daily = daily_weights(of, DAYS)
    assert daily.empty
    assert feature_weights(daily, of.features).empty
    assert feature_weights_by_month(daily, of.features).empty
    assert family_weights(feature_weights(daily, of.features)).empty
    assert seed_correlation(daily) is None


def test_names_and_families_leave_out_the_market_and_count_the_masks():
    manifest = {
        "features": [
            {"column": "return_rank", "family": "returns"},
            {"column": "breadth_past_z", "family": "market"},
            {"column": "beta_rank", "family": "market"},
        ],
        "masks": ["returns", "market"],
        "columns": ["return_rank", "breadth_past_z", "beta_rank", "missing_returns", "missing_market"],
    }
    names = feature_names(manifest, ["breadth_past_z"])
    assert dict(zip(names["feature"], names["family"], strict=True)) == {
        "return_rank": "returns",
        "beta_rank": "market",
        "missing_returns": "returns",
        "missing_market": "market",
    }


@pytest.fixture(scope="module")
def importance() -> pd.DataFrame:
    """Labels follow feature a; the model reads a (family first) and c (second), nothing else."""
    features, labels, edges = tables()
    noise = 0.5 * np.random.default_rng(1).normal(size=features["x"].shape[:2])
    labels["ret"][:] = (features["x"].sel(feature="a").values + noise)[..., None]
    of = subject(HandMade([1.0, 0, 0.3, 0], NOTHING), data=(features, labels, edges))
    return family_importance(of, DAYS, labels, repeats=2, seed=0)


def test_the_family_that_the_labels_follow_is_found(importance):
    used = importance[importance["family"] == "first"]
    assert list(used["horizon"]) == ["1d", "5d", "10d", "20d"]
    assert (used["features"] == 2).all()
    assert (used["low"] > 0.4)[:2].all()
    assert used[["low", "high"]][2:].isna().all(axis=None)  # too few sessions for 10 and 20 of them
    assert (used["rank_ic_permuted"].abs() < 0.1).all()
    np.testing.assert_allclose(used["drop"], used["rank_ic"] - used["rank_ic_permuted"])


def test_a_family_that_is_read_in_vain_loses_nothing(importance):
    vain = importance[importance["family"] == "second"]
    assert (vain["drop"].abs() < 0.05).all()
    interval_of_noise = vain[["low", "high"]].abs().max(axis=1)
    assert (interval_of_noise < 0.1)[:2].all()


def test_a_family_that_is_not_read_changes_no_score(importance):
    unread = importance[importance["family"] == "third"]
    assert (unread["drop"] == 0).all()
    assert unread[["low", "high"]].isna().all(axis=None)  # nothing varies: there is no interval
    assert LEVELS not in set(importance["family"])


def test_an_unrelated_family_has_an_interval_that_covers_zero():
    features, labels, edges = tables()
    labels["ret"][:] = np.random.default_rng(5).normal(size=labels["ret"].shape)
    of = subject(HandMade([1.0, 0, 0, 0], NOTHING), data=(features, labels, edges))
    table = family_importance(of, DAYS, labels, repeats=3, seed=0)
    first = table[table["family"] == "first"]
    assert (first["low"] < 0)[:2].all()
    assert (first["high"] > 0)[:2].all()


def test_the_level_channels_are_a_family_of_their_own():
    _, labels, _ = tables()
    of = subject(real_model())
    table = family_importance(of, DAYS, labels, repeats=1, seed=0)
    levels = table[table["family"] == LEVELS]
    assert (levels["features"] == 2).all()
    assert (levels["drop"] != 0).all()


def test_a_whole_window_is_dealt_and_absent_donors_give_nothing():
    of = subject(HandMade(NOTHING, NOTHING))
    chunk = of.market.chunk(18, 8, 3)  # stock 3 is absent from session 20 to 24
    change = Deal(torch.tensor([0, 1]), False, (0, 0))
    order = change.order(chunk)
    dealt = change(chunk)
    assert torch.equal(order.sort().values, torch.arange(20))
    receiver = int((order == 3).nonzero())
    assert receiver != 3
    here = chunk.present[:, 3] & chunk.present[:, receiver]
    assert 0 < here.sum() < len(here)
    assert torch.equal(dealt.x[here, receiver, :2], chunk.x[here, 3, :2])
    assert torch.equal(dealt.x[~here, receiver], chunk.x[~here, receiver])
    assert torch.equal(dealt.x[..., 2:], chunk.x[..., 2:])
    assert not torch.equal(Deal(change.columns, False, (0, 1)).order(chunk), order)


def test_dealing_keeps_the_values_of_a_date():
    values, order = torch.randn(5, 6, 2), torch.tensor([3, 0, 1, 2, 5, 4])
    dealt = deal(values, torch.ones(5, 6, dtype=torch.bool), order)
    assert torch.equal(dealt, values[:, order])


def test_members_score_together_as_in_the_predictions():
    one, two = np.random.default_rng(0).normal(size=(2, 3, 7, 4)).astype(np.float32)
    assert combined_scores([one]) is one
    together = combined_scores([one, two])
    expected = (gaussian_rank(one[1, :, 2]) + gaussian_rank(two[1, :, 2])) / 2
    np.testing.assert_allclose(together[1, :, 2], expected, rtol=1e-6)


def test_integrated_gradients_of_a_linear_score_are_weight_times_value():
    model = HandMade([2.0, -1.0, 0, 0], NOTHING)
    of = subject(model)
    made = integrated_gradients(of, model, 40, 5, 1, steps=8)
    expected = np.zeros((3, 4))
    expected[-1, :2] = [2.0, -1.0] * of.market.x[40, 5, :2].numpy()
    np.testing.assert_allclose(made.attribution, expected, atol=1e-6)
    assert made.baseline_score == 0.0
    assert made.score == pytest.approx(expected.sum(), rel=1e-5)
    assert made.gap < 1e-5


@pytest.mark.parametrize("stock", [0, 3, 11])
@pytest.mark.parametrize(
    "changes",
    [{}, {"gat": {"layers": 2}}],
    ids=["plain", "two_layers"],
)
def test_attributions_add_up_to_the_difference_from_the_median_stock(stock, changes):
    model = real_model(**changes)
    of = subject(model)
    made = integrated_gradients(of, model, 40, stock, 2, steps=32)
    assert made.attribution.shape == (6, 4)
    assert made.score != made.baseline_score
    assert made.gap < 0.05
    assert made.gap == pytest.approx(
        abs(made.attribution.sum() - (made.score - made.baseline_score)) / abs(made.score - made.baseline_score)
    )


def test_the_explained_score_is_that_of_the_model_in_small_batches_too(monkeypatch):
    from gogooku_kedro.explanation.why import _scored

    model = real_model()
    of = subject(model)
    whole = integrated_gradients(of, model, 40, 5, 1, steps=16)
    assert whole.score == pytest.approx(float(_scored(of, model, 40).score[5, 1]), abs=1e-6)
    monkeypatch.setattr(attribution, "NODES_AT_A_TIME", 60)  # three copies of the day
    np.testing.assert_allclose(
        integrated_gradients(of, model, 40, 5, 1, steps=16).attribution, whole.attribution, atol=1e-6
    )
