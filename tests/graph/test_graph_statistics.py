import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.graph import build_edges, describe_failed_gates, failed_gates, graph_statistics
from tests.graph.conftest import graph_params

GATES = {"degree_min": 10, "degree_max": 40, "isolates_max": 0.02}


def test_statistics_of_a_hand_made_graph():
    rows = [(code, code, 1.0, 1, 0, 0, 0) for code in "abc"]
    rows += [("a", "b", -0.4, 0, 1, 1, 0), ("c", "b", 0.2, 0, 0, 1, 0), ("b", "a", 0.3, 0, 1, 0, 1)]
    kinds = ["is_correlation", "is_sector_nearest", "is_lead_lag"]
    edges = pd.DataFrame(rows, columns=["source", "target", "correlation", "is_self", *kinds])
    edges["asof"] = pd.Timestamp("2021-06-30")
    edges["abs_correlation"] = edges["correlation"].abs()
    edges["same_sector"] = [1, 1, 1, 1, 0, 0]
    found = graph_statistics(edges).loc[pd.Timestamp("2021-06-30")].to_dict()
    assert found == pytest.approx(
        {
            "nodes": 3,
            "edges": 3,
            "degree_mean": 1,
            "degree_min": 0,
            "degree_max": 2,
            "isolates": 1 / 3,
            "abs_correlation": 0.3,
            "same_sector": 1 / 3,
            "negative": 1 / 3,
            "correlation_edges": 2,
            "sector_nearest_edges": 2,
            "lead_lag_edges": 1,
        }
    )


def test_statistics_of_a_graph_of_isolates(clustered):
    found = graph_statistics(build_edges(clustered, graph_params(threshold=0.999)))
    assert (found[["edges", "correlation_edges", "lead_lag_edges"]] == 0).all(axis=None)
    assert (found["isolates"] == 1).all()
    assert found[["abs_correlation", "same_sector", "negative"]].isna().all(axis=None)


def measured(degree_mean, isolates) -> pd.DataFrame:
    asof = pd.date_range("2021-01-01", periods=len(degree_mean), freq="MS", name="asof")
    return pd.DataFrame({"degree_mean": degree_mean, "isolates": isolates}, index=asof)


def test_the_bounds_of_the_degree_are_legal_and_the_share_of_isolates_stays_below_its_own():
    found = failed_gates(measured([10.0, 9.9, 40.0, 40.1], [0.0, 0.019, 0.02, 0.5]), **GATES)
    assert found.to_numpy(dtype=int).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert found.columns.tolist() == ["fails_degree_min", "fails_degree_max", "fails_isolates_max"]


def test_failed_gates_are_told_in_one_line_with_the_worst_date():
    statistics = measured([12.0, 9.0, 8.5, 55.0], [0.0, 0.03, 0.05, 0.01])
    assert describe_failed_gates(statistics, failed_gates(statistics, **GATES)) == (
        "of 4 graphs 2 fail graph.checks.degree_min (worst 2021-03-01: degree_mean 8.5), "
        "1 fail graph.checks.degree_max (worst 2021-04-01: degree_mean 55), "
        "2 fail graph.checks.isolates_max (worst 2021-03-01: isolates 0.05)"
    )


def test_graphs_within_the_gates_are_not_talked_about():
    statistics = measured([12.0, 30.0], [0.0, 0.01])
    assert describe_failed_gates(statistics, failed_gates(statistics, **GATES)) == ""
    assert not failed_gates(statistics, **GATES).to_numpy(dtype=np.bool_).any()
