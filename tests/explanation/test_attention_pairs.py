"""Whom a model attends to, by hand on three stocks, and whether that finds what was planted."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import friedmanchisquare

from gogooku_kedro.explanation import attention_pairs, kendalls_w, planted_precision
from gogooku_kedro.explanation.attention import COLUMNS, precision_at
from tests.explanation.conftest import HandMade, edge_table, real_model, subject
from tests.training.conftest import tables

DAYS = list(range(10, 30))
A, B, C = "13000", "13010", "13020"


@pytest.fixture
def three():
    """A hears B (three parts), C (moving against it, one part) and itself (four parts); B hears A."""
    features, labels, _ = tables()
    edges = {(A, A): 0.4, (B, A): 0.3, (C, A): -0.1, (B, B): 1.0, (A, B): 1.0, (C, C): 1.0}
    return features, labels, edge_table(features.indexes["date"][5], edges)


def sectors(codes) -> pd.Series:
    return pd.Series(["Foods" if code < C else "Banks" for code in codes], index=codes)


def test_attention_lift_and_rank_are_those_of_the_hand(three):
    of = subject(HandMade([0.0] * 4, [0.0] * 4), data=three)
    pairs = attention_pairs(of, DAYS, sectors(of.codes))
    assert tuple(pairs) == COLUMNS
    assert [(row.source, row.target) for row in pairs.itertuples()] == [(B, A), (C, A), (A, B)]
    np.testing.assert_allclose(pairs["attention"], [3 / 8, 1 / 8, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(pairs["lift"], [9 / 8, 3 / 8, 1], rtol=1e-6)  # degrees 3 and 2, with the loop
    np.testing.assert_allclose(pairs["self_attention"], [1 / 2, 1 / 2, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(pairs["correlation"], [0.3, -0.1, 1.0], rtol=1e-6)
    assert list(pairs["rank"]) == [1, 2, 1]
    assert list(pairs["sign"]) == [1, -1, 1]
    assert list(pairs["days"]) == [20, 20, 20]
    assert pairs["seed_agreement"].isna().all()
    assert list(pairs["source_sector"]) == ["Foods", "Banks", "Foods"]


class Uniform(HandMade):
    """Hears all neighbours alike."""

    def rank(self, hidden, present, edge_index, edge_attr):
        return super().rank(hidden, present, edge_index, torch.ones_like(edge_attr))


def test_attention_is_the_mean_over_the_seeds(three):
    of = subject(HandMade([0.0] * 4, [0.0] * 4), Uniform([0.0] * 4, [0.0] * 4), data=three)
    pairs = attention_pairs(of, DAYS, sectors(of.codes)).set_index(["source", "target"])
    expected = {(B, A): (3 / 8 + 1 / 3) / 2, (C, A): (1 / 8 + 1 / 3) / 2, (A, B): 1 / 2}
    assert pairs["attention"].to_dict() == pytest.approx(expected)
    assert pairs.loc[(B, A), "lift"] == pytest.approx((9 / 8 + 1) / 2)


def test_a_day_on_which_a_neighbour_is_absent_does_not_count(three):
    features, labels, edges = three
    features["in_universe"][20:25, 1] = False
    of = subject(HandMade([0.0] * 4, [0.0] * 4), data=(features, labels, edges))
    pairs = attention_pairs(of, DAYS, sectors(of.codes)).set_index(["source", "target"])
    assert pairs.loc[(B, A), "days"] == 15
    assert pairs.loc[(B, A), "attention"] == pytest.approx(3 / 8)
    # alone with its loop and C, A gives C one part of five
    assert pairs.loc[(C, A), "attention"] == pytest.approx((15 * 1 / 8 + 5 * 1 / 5) / 20)


def test_uniform_attention_has_a_lift_of_one():
    of = subject(real_model(gat={"conv": "sage"}))
    pairs = attention_pairs(of, DAYS, sectors(of.codes))
    np.testing.assert_allclose(pairs["lift"], 1.0, rtol=1e-6)


def test_attention_is_averaged_over_seeds_which_agree_or_do_not(three):
    features, labels, edges = three
    more = {(f"13{n}0", "13190"): 0.1 * (n - 10) for n in range(11, 15)}
    data = features, labels, pd.concat([edges, edge_table(edges["asof"].iloc[0], more)])
    one, same = HandMade([0.0] * 4, [0.0] * 4), HandMade([0.0] * 4, [0.0] * 4)
    alike = attention_pairs(subject(one, same, data=data), DAYS, pd.Series(dtype=str))
    of_last = alike[alike["target"] == "13190"]
    np.testing.assert_allclose(of_last["seed_agreement"], 1.0)
    assert alike.loc[alike["target"] == A, "seed_agreement"].isna().all()  # two sources have no order to speak of
    other = HandMade([0.0] * 4, [0.0] * 4)
    rank = other.rank
    other.rank = lambda h, p, e, attr: rank(h, p, e, 1.0 / attr)
    opposed = attention_pairs(subject(one, other, data=data), DAYS, pd.Series(dtype=str))
    np.testing.assert_allclose(opposed.loc[opposed["target"] == "13190", "seed_agreement"], 0.0, atol=1e-9)


def test_kendalls_w_is_friedmans_statistic_over_its_largest_value():
    ratings = np.random.default_rng(0).normal(size=(4, 6))
    ranks = ratings.argsort(axis=1).argsort(axis=1) + 1
    spread = ((ranks.sum(axis=0) - ranks.sum(axis=0).mean()) ** 2).sum()
    assert kendalls_w(ratings) == pytest.approx(12 * spread / (4**2 * (6**3 - 6)))
    assert kendalls_w(ratings) == pytest.approx(friedmanchisquare(*ratings.T).statistic / (4 * 5))
    assert np.isnan(kendalls_w(np.ones((3, 4))))
    assert np.isnan(kendalls_w(ratings[:1]))


def test_a_model_without_graph_has_no_pairs():
    of = subject(real_model(gat={"enabled": False}))
    pairs = attention_pairs(of, DAYS, sectors(of.codes))
    assert (len(pairs), tuple(pairs)) == (0, COLUMNS)
    assert planted_precision(pairs, pd.DataFrame({"source": [A], "target": [B]}), 5)["base_rate"] is None


def test_edges_that_the_model_found_itself_are_pairs_without_a_correlation():
    of = subject(real_model(gat={"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}}))
    pairs = attention_pairs(of, DAYS, sectors(of.codes))
    assert 0 < pairs["correlation"].isna().mean() < 1
    assert pairs["lift"].notna().all()


def ranked_pairs(attention: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"source": list("abcdef"), "target": list("ghijkl"), "attention": attention})
    return frame.assign(lift=frame["attention"], correlation=0.5)


PLANTED = pd.DataFrame({"source": ["a", "b", "a"], "target": ["g", "h", "l"], "weight": 1.0})


def test_perfect_attention_has_a_precision_of_one():
    figures = planted_precision(ranked_pairs([0.9, 0.8, 0.3, 0.2, 0.1, 0.1]), PLANTED, 2)
    assert (figures["pairs"], figures["planted_pairs"], figures["base_rate"]) == (6, 2, 1 / 3)
    assert figures["graph_recall"] == 2 / 3  # a and l are never connected
    assert figures["attention"] == {"auc": 1.0, "precision_at_2": 1.0, "precision_at_planted": 1.0}


def test_attention_that_tells_nothing_apart_has_the_base_rate():
    figures = planted_precision(ranked_pairs([0.5] * 6), PLANTED, 2)
    uninformed = {
        "auc": 0.5,
        "precision_at_2": pytest.approx(1 / 3),
        "precision_at_planted": pytest.approx(1 / 3),
    }
    assert figures["attention"] == figures["abs_correlation"] == uninformed


def test_random_attention_comes_near_the_base_rate():
    rng = np.random.default_rng(0)
    hit, strength = rng.random(20_000) < 0.3, rng.random(20_000)
    assert precision_at(hit, strength, 5_000) == pytest.approx(hit.mean(), abs=4 * np.sqrt(0.21 / 5_000))


def test_where_nothing_is_planted_there_is_no_precision():
    figures = planted_precision(ranked_pairs([0.1] * 6), PLANTED[:0], 2)
    assert figures["attention"] == {"auc": None, "precision_at_2": None, "precision_at_planted": None}
    assert figures["graph_recall"] is figures["base_rate"] is None


def test_means_do_not_depend_on_how_days_fall_into_chunks():
    of = subject(real_model())
    whole = attention_pairs(of, [20, 50], sectors(of.codes)).set_index(["source", "target"])
    one, two = (attention_pairs(of, [day], sectors(of.codes)).set_index(["source", "target"]) for day in (20, 50))
    assert not set(one.index) & set(two.index)  # the graph changes at session 30
    both = pd.concat([one, two])["attention"]
    np.testing.assert_array_equal(whole["attention"], both.loc[whole.index])
    assert not torch.is_inference_mode_enabled()
