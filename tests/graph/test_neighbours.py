"""The graph on the panel's grid, on graphs of four and five stocks worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.graph import neighbour_panel

A, B, C, D, E = CODES = ["13010", "13020", "13030", "13040", "13050"]
NAN = np.nan
FIRST, SECOND = 2, 4  # sessions of the two graphs
EDGES = [  # (session, source, target, correlation, same sector)
    (FIRST, B, A, 0.6, 1),
    (FIRST, C, A, -0.3, 0),
    (FIRST, D, A, 0.1, 0),
    (FIRST, C, B, 0.5, 0),
    (FIRST, A, B, 0.5, 1),
    (SECOND, D, A, 0.8, 0),
    (SECOND, A, D, 0.4, 0),
]


def market(n_dates=6) -> xr.Dataset:
    """One-day returns in percent: A 1, B 2, C 4, D 8, E 16 on every session; volumes e, e^2, e^4, …"""
    power = 2.0 ** np.arange(5)
    dims, shape = ("date", "code"), (n_dates, 5)
    return xr.Dataset(
        {
            "ret_1d": (dims, np.broadcast_to(0.01 * power, shape).copy()),
            "adj_volume": (dims, np.broadcast_to(np.exp(power), shape).copy()),
        },
        coords={"date": pd.bdate_range("2024-01-04", periods=n_dates).as_unit("ns"), "code": CODES},
    )


def edges(panel, rows=EDGES, loops="ABCDE") -> pd.DataFrame:
    """The edges with self loops, which every stock of a graph has."""
    sessions = sorted({row[0] for row in rows})
    rows = rows + [(s, c, c, 1.0, 1) for s in sessions for c, name in zip(CODES, "ABCDE", strict=True) if name in loops]
    frame = pd.DataFrame(rows, columns=["session", "source", "target", "correlation", "same_sector"])
    frame["asof"] = panel["date"].values[frame.pop("session")]
    frame = frame.astype({"correlation": np.float32, "same_sector": np.float32})
    return frame.sort_values(["asof", "target", "source"], ignore_index=True)


@pytest.fixture
def panel() -> xr.Dataset:
    return market()


@pytest.fixture
def neighbours(panel) -> xr.Dataset:
    return neighbour_panel(panel, edges(panel))


def row(neighbours, name, session) -> list[float]:
    return neighbours[name].values[session]


def test_the_return_is_weighted_by_size_and_turned_by_sign(neighbours):
    # A: (0.6 * 2 - 0.3 * 4 + 0.1 * 8) / (0.6 + 0.3 + 0.1) percent; B: (4 + 1) / 2; C and D have no neighbours.
    np.testing.assert_allclose(row(neighbours, "neighbour_return", FIRST), [0.008, 0.025, NAN, NAN, NAN], rtol=1e-6)
    assert neighbours["neighbour_return"].dtype == np.float32
    assert neighbours["neighbour_return"].dims == ("date", "code")


def test_an_absent_neighbour_leaves_the_others_in_proportion(panel):
    panel["ret_1d"].values[FIRST, 2] = NAN  # C
    found = row(neighbour_panel(panel, edges(panel)), "neighbour_return", FIRST)
    np.testing.assert_allclose(found[:2], [0.01 * (0.6 * 2 + 0.1 * 8) / 0.7, 0.01], rtol=1e-6)
    panel["ret_1d"].values[FIRST, 0] = NAN  # A, the other neighbour of B
    found = row(neighbour_panel(panel, edges(panel)), "neighbour_return", FIRST)
    assert np.isnan(found[1])
    assert np.isfinite(found[0])  # a stock that does not trade still has its neighbours' return


def test_the_volume_is_weighted_by_size_and_never_turned(panel, neighbours):
    expected = [0.6 * 2 + 0.3 * 4 + 0.1 * 8, 2.5, NAN, NAN, NAN]
    np.testing.assert_allclose(row(neighbours, "neighbour_log_volume", FIRST), expected, rtol=1e-6)
    panel["adj_volume"].values[FIRST, 2] = 0.0
    found = row(neighbour_panel(panel, edges(panel)), "neighbour_log_volume", FIRST)
    np.testing.assert_allclose(found[:2], [(0.6 * 2 + 0.1 * 8) / 0.7, 1.0], rtol=1e-6)


def test_the_place_in_the_graph(neighbours):
    np.testing.assert_array_equal(row(neighbours, "neighbour_count", FIRST), [3, 2, 0, 0, 0])
    np.testing.assert_allclose(row(neighbours, "neighbour_strength", FIRST), [1 / 3, 0.5, NAN, NAN, NAN], rtol=1e-6)
    np.testing.assert_allclose(row(neighbours, "neighbour_same_sector", FIRST), [1 / 3, 0.5, NAN, NAN, NAN], rtol=1e-6)
    # Linked, whichever way: A-B, A-C, A-D, B-C. Of A's pairs BC, BD, CD one is linked; B's only pair AC is.
    np.testing.assert_allclose(row(neighbours, "neighbour_clustering", FIRST), [1 / 3, 1, NAN, NAN, NAN], rtol=1e-6)


def test_a_single_neighbour_makes_no_pair(neighbours):
    np.testing.assert_array_equal(row(neighbours, "neighbour_clustering", SECOND), [0, NAN, NAN, 0, NAN])
    np.testing.assert_array_equal(row(neighbours, "neighbour_count", SECOND), [1, 0, 0, 1, 0])


def test_a_session_uses_the_last_graph_up_to_it(neighbours):
    for name in neighbours:
        values = neighbours[name].values
        assert np.isnan(values[:FIRST]).all(), name
        np.testing.assert_array_equal(values[FIRST + 1], values[FIRST], err_msg=name)  # between the graphs
        np.testing.assert_array_equal(values[SECOND + 1], values[SECOND], err_msg=name)
    np.testing.assert_allclose(row(neighbours, "neighbour_return", SECOND), [0.08, NAN, NAN, 0.01, NAN], rtol=1e-6)


def test_a_stock_outside_the_graph_has_no_count(panel):
    counts = neighbour_panel(panel, edges(panel, loops="ABCD"))["neighbour_count"].values
    np.testing.assert_array_equal(counts[FIRST], [3, 2, 0, 0, NAN])


def test_a_graph_from_before_the_panel_holds_from_its_first_session(panel):
    whole = neighbour_panel(panel, edges(panel))
    part = panel.isel(date=slice(FIRST + 1, None))
    found = neighbour_panel(part, edges(panel))
    for name in whole:
        np.testing.assert_array_equal(found[name].values, whole[name].values[FIRST + 1 :], err_msg=name)


def test_an_edge_of_correlation_0_is_a_neighbour_without_weight(panel):
    rows = [(FIRST, B, A, 0.0, 1), (FIRST, C, A, 0.5, 0), (FIRST, D, B, 0.0, 0)]
    found = neighbour_panel(panel, edges(panel, rows)).isel(date=FIRST)
    np.testing.assert_allclose(found["neighbour_return"][:2], [0.04, NAN], rtol=1e-6)
    np.testing.assert_array_equal(found["neighbour_count"], [2, 1, 0, 0, 0])


def test_the_future_changes_no_bit(panel, neighbours):
    other = panel.copy(deep=True)
    other["ret_1d"].values[SECOND:] = -0.5
    other["adj_volume"].values[SECOND:] = NAN
    later = [(SECOND, E, B, -0.9, 0), (SECOND, A, E, 0.2, 1)]
    rows = [edge for edge in EDGES if edge[0] < SECOND] + later
    after = neighbour_panel(other, edges(other, rows))
    for name in neighbours:
        now = after[name].values[:SECOND].view("u4")
        np.testing.assert_array_equal(now, neighbours[name].values[:SECOND].view("u4"), err_msg=name)
    assert not np.array_equal(after["neighbour_count"][SECOND:], neighbours["neighbour_count"][SECOND:])


def test_a_code_listed_later_changes_no_bit(panel, neighbours):
    newcomers = panel.isel(code=slice(0, 3)).assign_coords(code=["00010", "13025", "99990"])
    wider = xr.concat([panel, newcomers * NAN], "code").sortby("code")
    after = neighbour_panel(wider, edges(panel))
    for name in neighbours:
        same = after[name].sel(code=CODES).values
        np.testing.assert_array_equal(same.view("u4"), neighbours[name].values.view("u4"), err_msg=name)
        assert np.isnan(after[name].sel(code=newcomers["code"])).all()
