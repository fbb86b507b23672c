"""The oracle is measured on the stock-days of the model, for the entry of the labels."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.baselines.oracle import oracle_bounds, oracle_predictions

HORIZONS = (1, 5)
SPLIT = {
    "train": ["2020-01-06", "2020-01-06"],
    "valid": ["2020-01-07", "2020-01-07"],
    "test": ["2020-01-08", "2020-01-08"],
    "purge_sessions": 0,
}


@pytest.fixture
def oracle_scores() -> pd.DataFrame:
    """Sessions 6, 7 and 8 January, codes 1 and 2: a score is day x 10 + code, plus 100 with the graph and
    1000 for entry at the close."""
    rows = [(pd.Timestamp(2020, 1, day), code) for day in (6, 7, 8) for code in (1, 2)]
    frame = pd.DataFrame(rows, columns=["date", "code"])
    own = frame["date"].dt.day * 10 + frame["code"]
    for horizon in HORIZONS:
        for suffix, shift in (("", 0), ("_close", 1000)):
            frame[f"own_{horizon}d{suffix}"] = own + shift + horizon / 10
            frame[f"graph_{horizon}d{suffix}"] = own + 100 + shift + horizon / 10
    return frame


@pytest.fixture
def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": pd.to_datetime(["2020-01-08", "2020-01-07", "2020-01-08"]),
            "code": ["2", "1", "9"],
            "split": ["test", "valid", "test"],
            "score_1d": 0.0,
        }
    )


def test_scores_stand_beside_the_rows_of_the_model(oracle_scores, predictions):
    with_graph, without = oracle_predictions(oracle_scores, predictions, SPLIT, HORIZONS, "next_open")
    assert set(with_graph["model"]) == {"oracle"}
    assert set(without["model"]) == {"oracle_without_graph"}
    for frame, shift in ((with_graph, 100), (without, 0)):
        pd.testing.assert_frame_equal(frame[["date", "code", "split"]], predictions[["date", "code", "split"]])
        # 8 January code 2, 7 January code 1; nobody knows code 9.
        np.testing.assert_allclose(frame["score_1d"], [82.1 + shift, 71.1 + shift, np.nan])
        np.testing.assert_allclose(frame["score_5d"], [82.5 + shift, 71.5 + shift, np.nan])


def test_entry_at_the_close_has_scores_of_its_own(oracle_scores, predictions):
    _, without = oracle_predictions(oracle_scores, predictions, SPLIT, HORIZONS, "close")
    np.testing.assert_allclose(without["score_1d"], [1082.1, 1071.1, np.nan])


def test_training_days_are_never_scored(oracle_scores, predictions):
    early = predictions.assign(date=pd.Timestamp("2020-01-06"))
    assert oracle_predictions(oracle_scores, early, SPLIT, HORIZONS, "next_open") == []


def test_a_real_market_has_no_oracle(oracle_scores, predictions):
    nobody = oracle_scores.iloc[:0][["date", "code"]]
    assert oracle_predictions(nobody, predictions, SPLIT, HORIZONS, "next_open") == []


def test_a_market_without_signal_has_no_oracle(oracle_scores, predictions):
    silent = oracle_scores.assign(**dict.fromkeys(oracle_scores.columns[2:], np.nan))
    assert oracle_predictions(silent, predictions, SPLIT, HORIZONS, "next_open") == []


def test_bounds_are_those_of_the_entry():
    table = pd.DataFrame(
        {
            "entry": ["next_open", "next_open", "close"],
            "horizon": [1, 5, 1],
            "own": [0.01, 0.02, 0.05],
            "graph": [0.03, 0.04, 0.06],
        }
    )
    assert oracle_bounds(table, "next_open") == {
        "with_graph": {"1d": 0.03, "5d": 0.04},
        "without_graph": {"1d": 0.01, "5d": 0.02},
    }
    assert oracle_bounds(table, "close") == {"with_graph": {"1d": 0.06}, "without_graph": {"1d": 0.05}}
    assert oracle_bounds(table.iloc[:0], "close") is None
