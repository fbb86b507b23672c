"""The arm beside a run: the network without its GAT on the same split with the same seeds, where it is asked for."""

import numpy as np
import pytest

from gogooku_kedro.ablation.arm import train_with_arm
from gogooku_kedro.baselines.table import WITHOUT_GRAPH
from gogooku_kedro.params import AblationParams
from gogooku_kedro.training import Market
from tests.conftest import settings_of
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, TRAIN, VALID, market_tensors, tables, training_params

pytestmark = pytest.mark.training


def arm(tmp_path, *, asked: bool = True, gat: bool = True):
    features, _, edges = tables()
    parts = {"train": TRAIN, "valid": VALID, "test": (57, 60)}
    dates, codes = features.indexes["date"], features.indexes["code"]
    market = Market(lambda: market_tensors(*tables(), ATTRIBUTES), dates, codes, {"hash": "hash"}, (), edges, parts)
    ablation = AblationParams.model_validate(settings_of()["ablation"] | {"arm_in_run": asked})
    model = model_params(gat={"enabled": gat})
    return market, train_with_arm(market, model, training_params(tmp_path, max_epochs=1), ablation)[1]


def test_it_scores_valid_and_test_of_the_run(tmp_path):
    market, scores = arm(tmp_path)
    assert list(scores) == ["model", "date", "code", "split", "score_1d", "score_5d", "score_10d", "score_20d"]
    assert scores["model"].unique().tolist() == [WITHOUT_GRAPH]
    assert scores.groupby("split")["date"].nunique().to_dict() == {"valid": VALID[1] - VALID[0], "test": 3}
    assert np.isfinite(scores["score_5d"]).all()
    assert set(scores["code"]) == set(market.codes)


@pytest.mark.parametrize("left", [{"asked": False}, {"gat": False}])
def test_it_is_not_trained_where_nobody_asks_or_nothing_is_left_out(left, tmp_path):
    _, scores = arm(tmp_path, **left)
    assert scores.empty
    assert next(iter(scores)) == "model"
