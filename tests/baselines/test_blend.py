"""A blend averages ranks; its weights come from validation, and a ranking ships it only for its own session."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.blend import blend_frames, blend_weights, mean_of_ranks, with_scores_of_blend
from gogooku_kedro.baselines.stack import stacked_frames
from gogooku_kedro.params import FactorsParams
from tests.baselines.conftest import NO_EDGES

SCORES = [f"score_{h}d" for h in (1, 5, 10, 20)]
MEMBERS = ("model", "lightgbm", "ridge")


def one_date(values: list[float], codes: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"date": pd.Timestamp("2020-01-06"), "code": codes, "split": "test"})
    return frame.assign(**dict.fromkeys(SCORES, values))


def test_ranks_are_averaged_over_the_rows_that_all_models_have():
    mixed = mean_of_ranks([one_date([1.0, 2.0, 9.0], ["a", "b", "c"]), one_date([5.0, 4.0], ["a", "b"])])
    assert mixed["code"].tolist() == ["a", "b"]
    assert mixed["score_1d"].tolist() == pytest.approx([(1 / 3 + 1) / 2, (2 / 3 + 0.5) / 2])


def test_weights_weigh_the_ranks():
    both = [one_date([1.0, 2.0], ["a", "b"]), one_date([5.0, 4.0], ["a", "b"])]
    mixed = mean_of_ranks(both, {name: [0.75, 0.25] for name in SCORES})
    assert mixed["score_5d"].tolist() == pytest.approx([0.75 * 0.5 + 0.25, 0.75 + 0.25 * 0.5])


@pytest.fixture
def members(labels, predict) -> list[pd.DataFrame]:
    """On valid the network knows the answer and LightGBM its opposite; on test it is the other way round."""
    truth = labels["ret"].sel(horizon=1).fillna(0.0).values
    rng = np.random.default_rng(0)
    signs = {"model": 1.0, "lightgbm": -1.0, "ridge": 0.0}
    frames = []
    for name, sign in signs.items():
        noise = rng.normal(0, 0.01, truth.shape)
        score = np.where(np.arange(len(truth))[:, None] < 30, sign, -sign) * truth + noise
        frame = predict(score, name)
        frames.append(frame.assign(split=np.where(frame["date"] < labels["date"].values[30], "valid", "test")))
    return frames


def test_validation_alone_chooses_the_weights(members, labels):
    weights = blend_weights(members, labels, "valid")
    assert set(weights) == {"blend", "blend_baselines"}
    assert weights["blend"]["score_1d"] == {"model": 1.0, "lightgbm": 0.0, "ridge": 0.0}
    assert weights["blend_baselines"]["score_1d"] == {"lightgbm": 0.0, "ridge": 1.0}
    others = [frame.copy() for frame in members]
    for frame in others:
        late = frame["split"] == "test"
        frame.loc[late, SCORES] = np.random.default_rng(1).normal(size=(late.sum(), 4)).astype(np.float32)
    late_returns = labels.copy(deep=True)
    late_returns["ret"].values[30:] *= -1
    assert blend_weights(others, late_returns, "valid") == weights


def test_equal_weights_are_those_of_the_members(members, labels):
    weights = blend_weights(members, labels, "equal")
    assert weights["blend"]["score_20d"] == dict.fromkeys(MEMBERS, 1 / 3)
    assert weights["blend_baselines"]["score_20d"] == {"lightgbm": 0.5, "ridge": 0.5}
    blend, control = blend_frames(members, weights)
    assert list(blend) == ["model", "date", "code", "split", *SCORES]
    expected = mean_of_ranks(members)
    np.testing.assert_allclose(blend["score_1d"], expected["score_1d"], rtol=1e-6)
    assert control["model"].unique().tolist() == ["blend_baselines"]


def test_weights_cannot_be_chosen_without_a_validation_part(members, labels):
    tested = [frame[frame["split"] == "test"] for frame in members]
    with pytest.raises(ValueError, match=r"evaluation\.blend: valid .*write evaluation\.blend: equal"):
        blend_weights(tested, labels, "valid")


def test_blends_stand_in_the_table_of_all_models_with_their_neutral_version(members, labels):
    network, *baselines = (frame[frame["date"] >= labels["date"].values[30]] for frame in members)
    panel = labels[["ret"]].sel(horizon=1, drop=True).rename(ret="ret_1d").assign_coords(sector=("code", [""] * 30))
    weights = blend_weights([network, *baselines], labels, "equal")
    market: Any = (NO_EDGES, panel, FactorsParams(number=1, window=20, cadence=10))
    stacked = pd.concat(stacked_frames(network.drop(columns="model"), baselines, *market, blends=weights))
    found = set(stacked["model"])
    assert {"blend", "blend_baselines", "blend_pca_neutral", "blend_baselines_pca_neutral"} <= found
    without = pd.concat(stacked_frames(network.drop(columns="model"), baselines[:1], *market, blends=weights))
    assert not {name for name in without["model"] if name.startswith("blend")}  # ridge is missing


def test_the_blend_of_the_table_has_its_control():
    blend, control = (table.find(name) for name in (table.BLEND, "blend_baselines"))
    assert blend is not None
    assert control is not None
    assert blend.members == (table.NETWORK, *control.members)


def ranking(codes: list[str], day: str = "2020-01-06") -> pd.DataFrame:
    frame = one_date([0.0] * len(codes), codes).assign(q50_1d=1.0, split="latest")
    return frame.assign(date=pd.Timestamp(day))


def test_a_ranking_ships_the_scores_of_the_blend_beside_the_quantiles_of_the_network():
    latest = one_date([0.9, 0.1], ["b", "a"]).assign(model="blend")
    shipped = with_scores_of_blend(ranking(["a", "b", "c"]), latest)  # c: not scored by every member
    assert shipped["code"].tolist() == ["a", "b"]
    assert shipped["score_20d"].tolist() == [0.1, 0.9]
    assert shipped["q50_1d"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("latest", "said"),
    [
        (None, "no blend is stored"),
        (one_date([0.9, 0.1], ["a", "b"]).assign(model="blend"), "of 2020-01-06 and its stocks, the ranking of"),
    ],
)
def test_a_blend_of_another_session_is_refused(latest, said):
    with pytest.raises(ValueError, match=rf"{said}.*data,training,baselines,inference.*inference\.scores: model"):
        with_scores_of_blend(ranking(["a", "b"], "2020-01-07"), latest)
