"""An LSTM that ranks each stock by its own past, as a baseline."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from gogooku_kedro.baselines import lstm
from gogooku_kedro.baselines.lstm import CHUNK_DAYS, LSTMRanker, score_days
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.training.tensors import market_tensors
from tests.baselines.conftest import NO_EDGES, context_of

SESSIONS, STOCKS, WINDOW = 150, 40, 6
DATES = pd.bdate_range("2024-01-04", periods=SESSIONS)
PARTS = {"train": (10, 90), "valid": (95, 120), "test": (125, SESSIONS)}
SPLIT = {part: [f"{DATES[first]:%Y-%m-%d}", f"{DATES[stop - 1]:%Y-%m-%d}"] for part, (first, stop) in PARTS.items()}


def market(seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """The return is what feature 0 was two sessions ago, and noise: only a memory finds it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SESSIONS, STOCKS, 3)).astype(np.float32)
    planted = np.vstack([np.zeros((2, STOCKS)), x[:-2, :, 0]])
    target = (planted[..., None] + 0.5 * rng.normal(size=(SESSIONS, STOCKS, 4))).astype(np.float32)
    target[-1] = np.nan
    in_universe = rng.random((SESSIONS, STOCKS)) < 0.95
    grid = {
        "date": DATES,
        "code": [f"{i:04d}" for i in range(STOCKS)],
    }
    levels = np.zeros((SESSIONS, STOCKS, 1), np.float32)
    features = xr.Dataset(
        {
            "x": (("date", "code", "feature"), x),
            "levels": (("date", "code", "channel"), levels),
            "in_universe": (("date", "code"), in_universe),
        },
        {**grid, "feature": ["a", "b", "c"], "channel": ["log_close"]},
    )
    labels = xr.Dataset({"target": (("date", "code", "horizon"), target)}, {**grid, "horizon": [1, 5, 10, 20]})
    return features, labels


def fit(features: xr.Dataset, labels: xr.Dataset, seed: int = 0) -> pd.DataFrame:
    context = context_of(features, labels, xr.Dataset(), SPLIT, seed=seed, window=WINDOW)
    return lstm.fit(context, max_epochs=8)


@pytest.fixture(scope="module")
def fitted() -> pd.DataFrame:
    return fit(*market())


def test_it_finds_a_signal_that_needs_a_memory(fitted):
    features, labels = market()
    assert list(fitted) == ["date", "code", "split", *(f"score_{h}d" for h in (1, 5, 10, 20))]
    test = fitted[fitted["split"] == "test"]
    assert len(test) == int(features["in_universe"][125:].sum())
    score = test.pivot(index="date", columns="code", values="score_1d").reindex(columns=labels["code"].values)
    found = rank_ic(score, labels["target"].sel(horizon=1)[125:])
    # without a memory nothing can be found: 0, with a standard error of 1 / sqrt(24 * 38) = 0.03
    assert np.nanmean(found) > 0.3
    assert np.isnan(found[-1])


def test_the_same_seed_gives_the_same_scores_and_leaves_the_random_numbers_alone(fitted):
    state = torch.random.get_rng_state()
    pd.testing.assert_frame_equal(fit(*market()), fitted)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not fit(*market(), seed=1)["score_1d"].equals(fitted["score_1d"])


def test_test_labels_and_strangers_change_nothing(fitted):
    features, labels = market()
    labels["target"][120:] = 99.0
    labels["target"].values[~features["in_universe"].values] = 99.0
    pd.testing.assert_frame_equal(fit(features, labels), fitted)


def test_labels_of_the_purge_are_not_learned(fitted):
    features, labels = market()
    labels["target"][90:95] *= -1
    pd.testing.assert_frame_equal(fit(features, labels), fitted)


def test_a_score_knows_its_past_and_neither_later_days_nor_other_stocks():
    features, labels = market()
    torch.manual_seed(0)
    ranker = LSTMRanker(3)
    days, t = (WINDOW - 1, SESSIONS), WINDOW - 1 + CHUNK_DAYS + 4  # within the second pass

    def scores(changed: xr.Dataset) -> torch.Tensor:
        return score_days(ranker, market_tensors(changed, labels, NO_EDGES, ()), days, WINDOW)

    before, at = scores(features), t - days[0]
    later = features.copy(deep=True)
    later["x"][t + 1 :] = 7.0
    assert torch.equal(scores(later)[: at + 1], before[: at + 1])
    assert not torch.equal(scores(later)[at + 1], before[at + 1])

    past = features.copy(deep=True)
    past["x"][t - WINDOW + 1, 0] = 7.0  # the first session of the shortest window, of one stock
    changed = (scores(past)[at] != before[at]).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [0]


def test_the_end_of_the_data_changes_no_earlier_score():
    features, labels = market()
    torch.manual_seed(0)
    ranker, stop = LSTMRanker(3), 100
    whole, cut = (
        score_days(ranker, market_tensors(f, lab, NO_EDGES, ()), (20, stop), WINDOW)
        for f, lab in ((features, labels), (features.isel(date=slice(stop)), labels.isel(date=slice(stop))))
    )
    assert torch.equal(whole, cut)


def test_the_tensors_of_the_network_give_the_same_scores(fitted):
    """The network reads market-wide features beside those of the stocks; here they stand where they stood."""
    features, labels = market()
    state = np.random.default_rng(1).normal(size=SESSIONS).astype(np.float32)
    features["x"][..., 1] = np.where(features["in_universe"], state[:, None], 0)
    features["x"].values[~features["in_universe"].values] = 0
    context = context_of(features, labels, xr.Dataset(), SPLIT, window=WINDOW)
    tensors = market_tensors(features, labels, NO_EDGES, (), ("b",))
    assert tensors.context.shape == (SESSIONS, 1)
    alone, given = (lstm.fit(c, max_epochs=2) for c in (context, replace(context, tensors=lambda: tensors)))
    pd.testing.assert_frame_equal(alone, given, check_exact=True)


def test_without_a_rank_ic_on_valid_the_last_epoch_is_kept_and_said(caplog):
    features, labels = market()
    labels["target"][95:120] = np.nan
    trained = fit(features, labels)
    assert "no session of valid has a rank IC" in caplog.text
    test = trained[trained["split"] == "test"]
    score = test.pivot(index="date", columns="code", values="score_1d").reindex(columns=labels["code"].values)
    assert np.nanmean(rank_ic(score, labels["target"].sel(horizon=1)[125:])) > 0.3  # untrained weights find nothing


def test_features_of_a_pass_are_the_market_without_a_gate_to_the_last_bit():
    features, labels = market()
    x, rng = features["x"].values, np.random.default_rng(1)
    features["in_universe"][33] = False  # a session without any cross-section
    x[..., [0, 2]] = rng.normal(size=(SESSIONS, 1, 2))  # one value per date
    x[~features["in_universe"].values] = 0.0
    edges = pd.DataFrame({"asof": pd.DatetimeIndex([]), "source": [], "target": []})
    gated = market_tensors(features, labels, edges, (), ("c", "a"))
    assert gated.context_columns.tolist() == [2, 0]
    whole = market_tensors(features, labels, edges, ())
    for first in (WINDOW - 1, 28, SESSIONS - 3):  # the last pass ends beyond the last session
        ours = lstm._features(gated, (first, CHUNK_DAYS), WINDOW)
        assert ours.numpy().tobytes() == whole.chunk(first, CHUNK_DAYS, WINDOW).x.numpy().tobytes()
    with pytest.raises(ValueError, match="begin at day 5"):
        lstm._features(gated, (WINDOW - 2, 1), WINDOW)
