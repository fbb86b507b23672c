import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.graph import COLUMNS, asof_index, build_edges, graph_statistics

SETTINGS = {
    "window": 60,
    "min_observations": 40,
    "threshold": 0.1,
    "k": 3,
    "cadence": 20,
    "residual": "none",
    "symmetric": False,
}


def build(panel, **changes):
    return build_edges(panel, **(SETTINGS | changes))


def test_edges_equal_the_strongest_pandas_correlations(clustered):
    edges = build(clustered)
    asof = clustered["date"].values[100]
    frame = clustered["ret_1d"].to_pandas().iloc[41:101].astype(float)
    expected = frame.corr(min_periods=40)
    found = edges[(edges["asof"] == asof) & (edges["is_self"] == 0)]
    for target, sources in found.groupby("target"):
        strength = expected.loc[target].drop(target).abs().sort_values(ascending=False)
        assert set(sources["source"]) == set(strength.index[:3])
        values = [expected.loc[target, source] for source in sources["source"]]
        np.testing.assert_allclose(sources["correlation"], values, atol=1e-6)


def test_frame_has_the_columns_of_the_catalog_without_duplicates(clustered):
    edges = build(clustered, symmetric=True)
    assert tuple(edges.columns) == COLUMNS
    assert not edges.duplicated(["asof", "source", "target"]).any()
    assert edges.sort_values(["asof", "target", "source"]).index.equals(edges.index)
    assert (edges[list(COLUMNS[3:])].dtypes == np.float32).all()
    assert str(edges["asof"].dtype) == "datetime64[ns]"
    np.testing.assert_array_equal(edges["correlation"].abs(), edges["abs_correlation"])
    own = edges[edges["source"] == edges["target"]]
    assert (own[list(COLUMNS[3:])] == 1).all(axis=None)
    assert (edges[edges["source"] != edges["target"]]["is_self"] == 0).all()


def test_as_of_dates_are_counted_from_the_first_session(clustered):
    days = clustered["date"].values
    found = build(clustered)["asof"].unique()
    np.testing.assert_array_equal(found, days[[60, 80, 100, 120, 140]])
    shorter = build(clustered.isel(date=slice(0, 125)))["asof"].unique()
    np.testing.assert_array_equal(shorter, days[[60, 80, 100, 120]])


def test_start_asof_keeps_the_graph_that_its_own_day_uses(clustered):
    days = pd.DatetimeIndex(clustered["date"].values)
    found = build(clustered, start_asof=days[95])
    assert found["asof"].min() == days[80]
    whole = build(clustered)
    pd.testing.assert_frame_equal(found, whole[whole["asof"] >= days[80]].reset_index(drop=True))
    assert build(clustered, start_asof=days[0])["asof"].min() == days[60]


@pytest.mark.parametrize("residual", ["none", "market", "sector"])
def test_future_returns_leave_past_graphs_bit_identical(clustered, residual):
    before = build(clustered, residual=residual, symmetric=True)
    other = clustered.copy(deep=True)
    rng = np.random.default_rng(9)
    other["ret_1d"][101:] = rng.uniform(-0.3, 0.3, other["ret_1d"][101:].shape)
    other["index_return"][101:] = 0.1
    other["traded"][101:] = True
    after = build(other, residual=residual, symmetric=True)
    cut = clustered["date"].values[100]
    pd.testing.assert_frame_equal(
        after[after["asof"] <= cut], before[before["asof"] <= cut], check_exact=True
    )
    assert not after["correlation"].equals(before["correlation"])


def test_a_symmetric_graph_contains_every_reverse_edge(clustered):
    edges = build(clustered, symmetric=True)
    pairs = set(zip(edges["asof"], edges["source"], edges["target"], strict=True))
    assert {(asof, target, source) for asof, source, target in pairs} == pairs
    one_way = build(clustered)
    assert set(zip(one_way["asof"], one_way["source"], one_way["target"], strict=True)) < pairs


def test_degrees_respect_k_and_max_degree(clustered):
    assert graph_statistics(build(clustered))["degree_max"].max() == 3
    union = graph_statistics(build(clustered, symmetric=True))
    capped = graph_statistics(build(clustered, symmetric=True, max_degree=4))
    assert union["degree_max"].max() > 4
    assert capped["degree_max"].max() == 4
    assert (capped["degree_min"] >= 3).all()


def test_ties_go_to_the_smaller_code(returns_panel):
    rng = np.random.default_rng(0)
    twin = rng.standard_normal(6)
    panel = returns_panel(np.column_stack([twin] * 4))
    edges = build(panel, window=5, min_observations=3, k=1)
    between = edges[edges["is_self"] == 0]
    found = dict(zip(between["target"], between["source"], strict=True))
    assert found == {"13010": "13020", "13020": "13010", "13030": "13010", "13040": "13010"}


def test_weak_or_rarely_observed_pairs_are_no_edges(returns_panel):
    rng = np.random.default_rng(0)
    twin = rng.standard_normal(41)
    rare = twin.copy()
    rare[:15] = np.nan
    noise = rng.standard_normal(41)
    panel = returns_panel(np.column_stack([twin, twin, rare, noise]))
    edges = build(panel, window=40, min_observations=30, threshold=0.9, k=3)
    between = edges[edges["is_self"] == 0]
    assert set(zip(between["source"], between["target"], strict=True)) == {
        ("13010", "13020"),
        ("13020", "13010"),
    }
    assert edges[edges["is_self"] == 1]["target"].tolist() == ["13010", "13020", "13030", "13040"]


def test_a_negative_correlation_keeps_its_sign(returns_panel):
    twin = np.random.default_rng(0).standard_normal(41)
    edges = build(returns_panel(np.column_stack([twin, -twin])), window=40)
    between = edges[edges["is_self"] == 0]
    np.testing.assert_allclose(between["correlation"], -1, atol=1e-6)
    np.testing.assert_allclose(between["abs_correlation"], 1, atol=1e-6)


def test_a_stock_without_a_trade_in_the_window_is_no_node(returns_panel):
    returns = np.random.default_rng(0).standard_normal((62, 3))
    returns[:, 2] = np.nan
    edges = build(returns_panel(returns))
    assert set(edges["target"]) == {"13010", "13020"}


def test_a_stock_of_unknown_sector_shares_it_with_nobody(returns_panel):
    returns = np.column_stack([np.random.default_rng(0).standard_normal(62)] * 4)
    panel = returns_panel(returns, ["Banks", "Banks", "n/a", "n/a"])
    edges = build(panel)
    same = edges[(edges["same_sector"] == 1) & (edges["is_self"] == 0)]
    assert set(zip(same["source"], same["target"], strict=True)) == {
        ("13010", "13020"),
        ("13020", "13010"),
    }


def test_sector_residuals_take_the_sector_out_of_the_graph(clustered):
    share = {
        residual: graph_statistics(build(clustered, residual=residual))["abs_correlation"].mean()
        for residual in ("none", "market", "sector")
    }
    assert share["none"] > share["market"]
    assert graph_statistics(build(clustered, residual="market"))["same_sector"].mean() > 0.8


def test_statistics_of_a_hand_made_graph():
    rows = [("a", "a", 1.0, 1), ("b", "b", 1.0, 1), ("c", "c", 1.0, 1)]
    rows += [("a", "b", -0.4, 0), ("c", "b", 0.2, 0), ("b", "a", 0.3, 0)]
    edges = pd.DataFrame(rows, columns=["source", "target", "correlation", "is_self"])
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
        }
    )


def test_statistics_of_a_graph_of_isolates(clustered):
    found = graph_statistics(build(clustered, threshold=0.999))
    assert (found["edges"] == 0).all()
    assert (found["isolates"] == 1).all()
    assert found["abs_correlation"].isna().all()


def test_a_day_uses_the_last_graph_not_after_it():
    asofs = pd.DatetimeIndex(["2021-03-31", "2021-04-30"])
    days = pd.DatetimeIndex(["2021-03-30", "2021-03-31", "2021-04-29", "2021-04-30", "2021-05-31"])
    assert asof_index(asofs, days).tolist() == [-1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 2}, r"graph\.window = 2"),
        ({"window": 160}, r"graph\.window = 160: the panel has 160 sessions"),
        ({"min_observations": 61}, r"graph\.min_observations = 61: give 3 to graph.window \(60\)"),
        ({"threshold": 1.0}, r"graph\.threshold = 1\.0"),
        ({"k": 0}, r"graph\.k = 0"),
        ({"cadence": 0}, r"graph\.cadence = 0"),
        ({"max_degree": 0}, r"graph\.max_degree = 0"),
        ({"residual": "beta"}, r"graph\.residual = 'beta'"),
    ],
)
def test_settings_out_of_range_are_named(clustered, changes, message):
    with pytest.raises(ValueError, match=message):
        build(clustered, **changes)


def test_a_residual_without_its_data_is_an_error(clustered):
    no_index = clustered.assign(index_return=clustered["index_return"] * np.nan)
    with pytest.raises(ValueError, match="no index_return"):
        build(no_index, residual="market")
    no_sector = clustered.assign_coords(sector=("code", ["n/a"] * clustered.sizes["code"]))
    with pytest.raises(ValueError, match=r"every sector is \"n/a\""):
        build(no_sector, residual="sector")
