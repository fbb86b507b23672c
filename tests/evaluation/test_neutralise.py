import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.evaluation import neutralise_scores

DAYS = pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-11"])


def predictions(scores: dict[str, list[float]], dates: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    rows = [
        {"date": day, "code": code, "split": "test", "score_1d": value, "score_5d": 2 * value}
        for code, values in scores.items()
        for day, value in zip(dates, values, strict=True)
    ]
    return pd.DataFrame(rows)


def edges(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["asof", "source", "target", "correlation"])
    frame["asof"] = pd.to_datetime(frame["asof"])
    return frame


SCORES = {"A": [1.0] * 3, "B": [4.0] * 3, "C": [7.0] * 3}
GRAPH = edges(
    ("2024-01-01", "B", "A", 0.3),
    ("2024-01-01", "C", "A", -0.6),
    ("2024-01-01", "A", "B", 0.5),
    ("2024-01-01", "A", "A", 1.0),
    ("2024-01-01", "C", "C", 1.0),
)


def by_code(frame: pd.DataFrame, day: int, column: str = "score_1d") -> dict[str, float]:
    return frame[frame["date"] == DAYS[day]].set_index("code")[column].round(5).to_dict()


def test_score_is_in_excess_of_the_weighted_peers() -> None:
    neutral = neutralise_scores(predictions(SCORES), GRAPH)
    # A: 1 - (0.3*4 + 0.6*7)/0.9 = -5; B: 4 - 1 = 3; C has only itself: 7 - mean 4 = 3
    assert by_code(neutral, 0) == {"A": -5.0, "B": 3.0, "C": 3.0}
    assert by_code(neutral, 0, "score_5d") == {"A": -10.0, "B": 6.0, "C": 6.0}
    assert neutral["model"].unique().tolist() == ["model_neutral"]


def test_messages_flow_from_source_to_target_only() -> None:
    neutral = neutralise_scores(predictions(SCORES), edges(("2024-01-01", "C", "B", 1.0)))
    assert by_code(neutral, 0) == {"A": -3.0, "B": -3.0, "C": 3.0}


def test_day_uses_the_last_graph_known_on_that_day() -> None:
    graph = edges(("2024-01-10", "B", "A", 1.0), ("2024-01-11", "C", "A", 1.0))
    neutral = neutralise_scores(predictions(SCORES), graph)
    assert [by_code(neutral, day)["A"] for day in range(3)] == [-3.0, -3.0, -6.0]
    assert [by_code(neutral, day)["B"] for day in range(3)] == [0.0, 0.0, 0.0]
    before_any_graph = neutralise_scores(predictions({"A": [1.0] * 3, "B": [5.0] * 3}), graph)
    assert by_code(before_any_graph, 0) == {"A": -2.0, "B": 2.0}
    assert by_code(before_any_graph, 1)["A"] == -4.0


def test_peer_without_a_score_is_left_out_of_the_mean() -> None:
    scores = {**SCORES, "C": [7.0, np.nan, 7.0]}
    neutral = neutralise_scores(predictions(scores), GRAPH)
    assert by_code(neutral, 1)["A"] == pytest.approx(-3.0)
    assert np.isnan(by_code(neutral, 1)["C"])


def test_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="graph_edges lacks the column 'correlation'"):
        neutralise_scores(predictions(SCORES), GRAPH.drop(columns="correlation"))
