"""The recipe less one part: networks do not notice the linear path, and differences are of common sessions."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.recipe_parts import places, scored, table
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import Market, market_tensors
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, TRAIN, VALID, tables, training_params

SESSIONS = pd.bdate_range("2020-01-06", periods=200)


@pytest.fixture
def market() -> Market:
    features, labels, edges = tables()
    dates, codes = features.indexes["date"], features.indexes["code"]
    tensors = market_tensors(features, labels, edges, ATTRIBUTES)
    parts = {"train": TRAIN, "valid": VALID, "test": (57, 60)}
    return Market(lambda: tensors, dates, codes, {"hash": "none"}, (), edges, parts)


def model(*, linear_path: bool) -> ModelParams:
    return model_params(dropout=0.2, linear_path={"enabled": linear_path, "neighbours": True})


@pytest.mark.training
def test_a_network_beside_a_linear_path_is_the_network_without_one(market, tmp_path):
    training = training_params(tmp_path, max_epochs=2)
    beside = scored(market, model(linear_path=True), training)
    without = scored(market, model(linear_path=False), training)
    by_scores = {name: frame.drop(columns="model").reset_index(drop=True) for name, frame in beside.groupby("model")}
    alone = without[without["model"] == "mixed"].drop(columns="model").reset_index(drop=True)
    pd.testing.assert_frame_equal(by_scores["network"], alone, check_exact=True)
    assert not by_scores["mixed"].equals(by_scores["network"])


def days(**means: float) -> pd.DataFrame:
    """Rank ICs of two seeds, the same noise in all of them."""
    noise = np.random.default_rng(0).normal(0, 0.05, len(SESSIONS))
    return pd.concat(
        pd.DataFrame(
            {
                "part": part.replace("_", " "),
                "scores": scores,
                "seed": seed,
                "horizon": horizon,
                "date": SESSIONS,
                "rank_ic": mean + noise + (0.01 if seed else -0.01) + (0.02 if scores == "mixed" else 0.0),
            }
        )
        for part, mean in means.items()
        for scores in ("mixed", "network")
        for seed in (0, 1)
        for horizon in (1, 5, 10, 20)
    )


def test_a_part_is_worth_what_the_recipe_has_more_on_the_same_sessions():
    rows = pd.DataFrame(table({"tokyo": days(full=0.05, graph_network=0.04)}))
    assert set(rows["less"]) == {"linear path", "graph network"}
    assert rows.loc[rows["less"] == "graph network", "difference"].to_numpy() == pytest.approx(0.01)
    assert rows.loc[rows["less"] == "linear path", "difference"].to_numpy() == pytest.approx(0.02)
    assert rows.loc[rows["scores"] == "network", "model_mean"].iloc[0] == pytest.approx(0.05, abs=0.01)


def test_sample_markets_follow_one_another():
    found = {"sample_11": days(full=0.05, graph_network=0.04), "sample_12": days(full=0.06, graph_network=0.03)}
    rows = pd.DataFrame(table(found))
    assert set(rows["markets"]) == {"sample"}
    assert set(rows["days"]) == {2 * len(SESSIONS)}
    assert rows.loc[rows["less"] == "graph network", "difference"].to_numpy() == pytest.approx(0.02)


def test_a_part_that_a_recipe_does_not_have_is_not_left_out_of_its_table():
    rows = pd.DataFrame(table({"tokyo": days(full=0.05), "sample_11": days(full=0.05, feature_dropout=0.04)}))
    assert set(rows.loc[rows["markets"] == "tokyo", "less"]) == {"linear path"}
    assert set(rows.loc[rows["markets"] == "sample", "less"]) == {"linear path", "feature dropout"}


def test_markets_are_those_of_the_command_line():
    sample, tokyo = places([11], ["tokyo=/prices.parquet=2014-12-30=2015-06-30"])
    assert (sample.name, sample.environment, sample.params) == ("sample_11", "base", "market_seed=11")
    assert "split.train_end=2014-12-30,split.valid_end=2015-06-30" in tokyo.params
    assert "labels.entry=close" in tokyo.params
