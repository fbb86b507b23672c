"""Small matrices of correlations, and the edges that must come of them."""

import numpy as np
import pytest

from gogooku_kedro.graph import select
from gogooku_kedro.graph.select import cap_degree, nearest_in_sector, nearest_neighbours, strongest


def symmetric(n, **pairs) -> np.ndarray:
    """Correlations by pair: `symmetric(3, p01=0.5)`."""
    matrix = np.eye(n, dtype=np.float32)
    for name, value in pairs.items():
        i, j = int(name[1]), int(name[2])
        matrix[i, j] = matrix[j, i] = value
    return matrix


def edges(kept) -> set[tuple[int, int]]:
    """Marked pairs as (source, target)."""
    return {(int(s), int(t)) for t, s in zip(*np.nonzero(kept), strict=True)}


def neighbours(matrix, **changes):
    settings = {"threshold": 0.2, "k": 1, "join": "directed", "negative_edges": True} | changes
    return edges(nearest_neighbours(matrix, **settings))


STAR = symmetric(4, p01=0.5, p02=0.6, p03=0.7, p12=0.3)  # 0 is everyone's nearest, 3 is its own


def test_directed_edges_go_from_the_nearest_to_the_target():
    assert neighbours(STAR) == {(3, 0), (0, 1), (0, 2), (0, 3)}


def test_union_adds_the_reverse_of_every_edge():
    assert neighbours(STAR, join="union") == {(3, 0), (0, 3), (0, 1), (1, 0), (0, 2), (2, 0)}


def test_mutual_keeps_those_who_are_nearest_to_each_other():
    assert neighbours(STAR, join="mutual") == {(3, 0), (0, 3)}


def test_the_threshold_is_legal_itself():
    assert neighbours(STAR, threshold=0.7) == {(3, 0), (0, 3)}
    assert neighbours(STAR, threshold=0.71) == set()


def test_unknown_and_zero_correlations_are_no_edges():
    assert neighbours(symmetric(3, p01=0.4), threshold=0, k=2) == {(0, 1), (1, 0)}


def test_a_strong_negative_correlation_is_an_edge_if_negative_edges_are_wanted():
    matrix = symmetric(3, p01=-0.8, p02=0.5, p12=0.3)
    assert neighbours(matrix) == {(1, 0), (0, 1), (0, 2)}
    assert neighbours(matrix, negative_edges=False) == {(2, 0), (2, 1), (0, 2)}
    assert matrix[0, 0] == 1, "the input is left as it is"


def test_ties_go_to_the_smaller_code():
    matrix = np.full((5, 5), 0.5, np.float32)
    assert neighbours(matrix, k=2) == {
        *((1, 0), (2, 0)),
        *((0, 1), (2, 1)),
        *((0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (1, 4)),
    }


@pytest.mark.parametrize("k", [1, 3, 6, 7, 50])
def test_the_strongest_are_those_of_a_stable_sort(k):
    rng = np.random.default_rng(k)
    strength = np.round(rng.random((20, 7)), 1).astype(np.float32)
    expected = np.zeros_like(strength, dtype=bool)
    for row, values in enumerate(strength):
        best = [c for c in np.argsort(-values, kind="stable")[:k] if values[c] >= np.float32(0.3)]
        expected[row, best] = True
    np.testing.assert_array_equal(strongest(strength, k, 0.3), expected)


@pytest.mark.parametrize("negative_edges", [True, False])
def test_targets_read_in_blocks_are_those_of_the_whole_matrix(monkeypatch, negative_edges):
    matrix = np.round(np.random.default_rng(0).uniform(-1, 1, (9, 9)), 1).astype(np.float32)
    np.fill_diagonal(matrix, 1.0)
    settings = {"threshold": 0.1, "k": 3, "join": "directed", "negative_edges": negative_edges}
    whole = nearest_neighbours(matrix, **settings)
    assert not whole.diagonal().any()
    monkeypatch.setattr(select, "ROWS_AT_A_TIME", 4)
    np.testing.assert_array_equal(nearest_neighbours(matrix, **settings), whole)


def test_a_cap_keeps_the_strongest_of_each_target_and_ties_go_to_the_smaller_code():
    strength = np.float32([[0.9, 0.2, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1], [0.3, 0.8, 0.7, 0.1]])
    kept = np.array([[False, True, True, True], [True] * 4, [True, False, False, False]])
    assert edges(cap_degree(kept, strength, 1)) == {(2, 0), (0, 1), (0, 2)}
    np.testing.assert_array_equal(cap_degree(kept, strength, 4), kept)


def test_sector_neighbours_are_the_nearest_of_the_sector_however_weak():
    matrix = symmetric(5, p01=0.02, p02=0.01, p12=-0.4, p03=0.9, p34=0.6)
    sectors = np.array([0, 0, 0, 1, -1])
    found = edges(nearest_in_sector(matrix, sectors, 1))
    assert found == {(1, 0), (0, 1), (0, 2)}
    assert edges(nearest_in_sector(matrix, sectors, 2)) == {(1, 0), (2, 0), (0, 1), (0, 2)}


def test_stocks_of_unknown_sector_have_no_sector_neighbours():
    matrix = symmetric(3, p01=0.9, p02=0.9)
    assert edges(nearest_in_sector(matrix, np.array([-1, -1, -1]), 2)) == set()


def test_no_stock_has_no_edge():
    empty = np.zeros((0, 0), np.float32)
    assert nearest_neighbours(empty, threshold=0, k=3, join="union", negative_edges=True).shape == (0, 0)
    assert nearest_in_sector(empty, np.zeros(0, np.int64), 3).shape == (0, 0)
