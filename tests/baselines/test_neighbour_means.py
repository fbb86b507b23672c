import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines.neighbour_means import with_peer_means

DATES = pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-11"])
CODES = ["A", "B", "C"]
COORDS = {"date": DATES, "code": CODES}


def edges(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["asof", "source", "target", "correlation"])
    return frame.assign(asof=pd.to_datetime(frame["asof"]))


@pytest.fixture
def x() -> xr.DataArray:
    """Feature `own` is 1, 2, 4 for A, B, C on the first day, and ten times as much a day later."""
    own = np.array([[1.0, 2.0, 4.0]]) * np.array([[1.0], [10.0], [100.0]])
    values = np.stack([own, -own], axis=-1).astype(np.float32)
    return xr.DataArray(values, {**COORDS, "feature": ["own", "market"]}, ("date", "code", "feature"))


@pytest.fixture
def in_universe() -> xr.DataArray:
    return xr.DataArray(np.ones((3, 3), bool), COORDS, ("date", "code"))


def peers(x: xr.DataArray) -> list[list[float]]:
    return x.sel(feature="peers_own").values.round(5).tolist()


GRAPH = edges(
    ("2024-01-10", "B", "A", 0.2),
    ("2024-01-10", "C", "A", -0.6),
    ("2024-01-10", "A", "A", 1.0),
    ("2024-01-11", "A", "C", 0.5),
)


def test_mean_of_the_neighbours_weighs_by_correlation_and_leaves_the_stock_out(x, in_universe) -> None:
    with_means = with_peer_means(x, in_universe, GRAPH, ["own"])
    assert with_means["feature"].values.tolist() == ["own", "market", "peers_own"]
    xr.testing.assert_equal(with_means.sel(feature=["own", "market"]), x)
    # no graph yet; A: (0.2 * 20 + 0.6 * 40) / 0.8 = 35; C hears A only, from the third day on
    assert peers(with_means) == [[0, 0, 0], [35, 0, 0], [0, 0, 100]]
    assert with_means.dtype == np.float32


def test_only_members_are_heard_and_only_members_hear(x, in_universe) -> None:
    in_universe[1] = [True, True, False]
    assert peers(with_peer_means(x, in_universe, GRAPH, ["own"]))[1] == [20, 0, 0]
    in_universe[1] = [False, True, True]
    assert peers(with_peer_means(x, in_universe, GRAPH, ["own"]))[1] == [0, 0, 0]


def test_a_day_uses_its_own_features_and_the_last_graph_up_to_it(x, in_universe) -> None:
    before = peers(with_peer_means(x, in_universe, GRAPH, ["own"]))
    x[2] = 7.0
    later = pd.concat([GRAPH[GRAPH["asof"] < "2024-01-11"], edges(("2024-01-11", "B", "C", 1.0))])
    after = peers(with_peer_means(x, in_universe, later, ["own"]))
    assert after[:2] == before[:2]
    assert after[2] == [0, 0, 7]


def test_unknown_feature_is_named(x, in_universe) -> None:
    with pytest.raises(ValueError, match="'volume'"):
        with_peer_means(x, in_universe, GRAPH, ["volume"])
