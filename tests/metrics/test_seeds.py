"""Seeds are compared on the validation part, and one that lies far behind is named."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.metrics.seeds import seed_spread


@pytest.fixture
def seeds(labels, predict) -> pd.DataFrame:
    """Three seeds that know the one-session return, the third hardly; the last thirty sessions are the test part."""
    truth = labels["ret"].sel(horizon=1).fillna(0.0).values
    rng = np.random.default_rng(0)
    frames = []
    for seed, noise in enumerate((0.02, 0.02, 0.5)):
        frame = predict(truth + rng.normal(0, noise, truth.shape)).drop(columns="model").assign(seed=seed)
        frames.append(frame.assign(split=np.where(frame["date"] < labels["date"].values[30], "valid", "test")))
    return pd.concat(frames, ignore_index=True)


def test_a_seed_far_behind_is_named_in_the_log_and_in_the_figures(seeds, labels, caplog):
    found = seed_spread(seeds, labels)
    assert set(found["rank_ic"]) == set(found["correlation"]) == {"0", "1", "2"}
    assert found["rank_ic"]["0"]["1d"] > 0.5
    assert found["rank_ic"]["2"]["1d"] < 0.2
    assert found["correlation"]["0"]["1d"] > found["correlation"]["2"]["1d"]
    (sentence,) = found["laggards"]
    assert sentence.startswith("seed 2 lies more than a quarter behind the seeds' mean: valid rank IC +")
    assert sentence in caplog.text


def test_seeds_that_agree_are_not_named(seeds, labels):
    assert seed_spread(seeds[seeds["seed"] < 2], labels)["laggards"] == []


def test_the_test_part_is_not_read(seeds, labels):
    other = seeds.copy()
    late = other["split"] == "test"
    other.loc[late, "score_1d"] = 0.0
    assert seed_spread(other, labels) == seed_spread(seeds, labels)


def test_a_single_seed_has_no_correlation(seeds, labels):
    found = seed_spread(seeds[seeds["seed"] == 0], labels)
    assert found["correlation"] == {"0": dict.fromkeys(("1d", "5d", "10d", "20d"))}
    assert found["laggards"] == []
