import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.graph import asof_index, build_edges, graph_statistics
from gogooku_kedro.graph.build import COLUMNS
from tests.graph.conftest import graph_params

ATTRIBUTES = list(COLUMNS[3:])


def build(panel, *, start_asof=None, **changes):
    return build_edges(panel, graph_params(**changes), start_asof=start_asof)


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
    edges = build(clustered, join="union")
    assert tuple(edges.columns) == COLUMNS
    assert not edges.duplicated(["asof", "source", "target"]).any()
    assert edges.sort_values(["asof", "target", "source"]).index.equals(edges.index)
    assert (edges[ATTRIBUTES].dtypes == np.float32).all()
    assert str(edges["asof"].dtype) == "datetime64[ns]"
    np.testing.assert_array_equal(edges["correlation"].abs(), edges["abs_correlation"])
    own = edges[edges["source"] == edges["target"]]
    assert (own[["correlation", "abs_correlation", "same_sector", "is_self"]] == 1).all(axis=None)
    assert (own[["is_correlation", "is_sector_nearest", "is_lead_lag", "lead_correlation"]] == 0).all(axis=None)
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


def test_a_symmetric_graph_contains_every_reverse_edge(clustered):
    edges = build(clustered, join="union")
    pairs = set(zip(edges["asof"], edges["source"], edges["target"], strict=True))
    assert {(asof, target, source) for asof, source, target in pairs} == pairs
    one_way = build(clustered)
    assert set(zip(one_way["asof"], one_way["source"], one_way["target"], strict=True)) < pairs


def test_degrees_respect_k_and_max_degree(clustered):
    assert graph_statistics(build(clustered))["degree_max"].max() == 3
    union = graph_statistics(build(clustered, join="union"))
    capped = graph_statistics(build(clustered, join="union", max_degree=4))
    assert union["degree_max"].max() > 4
    assert capped["degree_max"].max() == 4
    assert (capped["degree_min"] >= 3).all()


def test_the_cap_keeps_the_strongest(clustered):
    union = build(clustered, join="union")
    capped = build(clustered, join="union", max_degree=4)
    ranked = union[union["is_self"] == 0].sort_values("abs_correlation", ascending=False)
    strongest = ranked.groupby(["asof", "target"]).head(4)
    own = union[union["is_self"] == 1]
    expected = pd.concat([strongest, own]).sort_index().reset_index(drop=True)
    pd.testing.assert_frame_equal(capped, expected)


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


def test_a_pair_with_too_few_observations_takes_no_place_among_the_k(returns_panel):
    rng = np.random.default_rng(0)
    twin = rng.standard_normal(41)
    rare = np.column_stack([twin, twin])
    rare[:30] = np.nan
    edges = build(returns_panel(np.column_stack([twin, twin, rare])), window=40, min_observations=30, k=1)
    between = edges[edges["is_self"] == 0]
    assert set(zip(between["source"], between["target"], strict=True)) == {
        ("13010", "13020"),
        ("13020", "13010"),
    }


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


def test_a_day_uses_the_last_graph_not_after_it():
    asofs = pd.DatetimeIndex(["2021-03-31", "2021-04-30"])
    days = pd.DatetimeIndex(["2021-03-30", "2021-03-31", "2021-04-29", "2021-04-30", "2021-05-31"])
    assert asof_index(asofs, days).tolist() == [-1, 0, 0, 1, 1]


def test_a_window_longer_than_the_panel_is_named(clustered):
    with pytest.raises(ValueError, match=r"graph\.window = 160: the panel has 160 sessions and needs .* 161"):
        build(clustered, window=160)


def test_a_residual_without_its_data_is_an_error(clustered):
    no_index = clustered.assign(index_return=clustered["index_return"] * np.nan)
    with pytest.raises(ValueError, match="no index_return"):
        build(no_index, residual="market")
    no_sector = clustered.assign_coords(sector=("code", ["n/a"] * clustered.sizes["code"]))
    with pytest.raises(ValueError, match=r"every sector is \"n/a\""):
        build(no_sector, residual="sector")
