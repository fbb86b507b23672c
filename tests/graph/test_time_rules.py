"""A graph depends on the rows of its window and on nothing else, in every bit and under every setting."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.graph import SnapshotCache, build_edges
from tests.graph.conftest import clustered_returns, graph_params

WINDOW = 60
LAST_KNOWN = 100  # position of an as-of date; its window begins at 41
LEAD_LAG = {"enabled": True, "fdr": 0.9, "k": 2}

VARIANTS = {
    "pearson": {},
    "ewma": {"correlation": "ewma"},
    "spearman": {"correlation": "spearman"},
    "market residual": {"residual": "market"},
    "sector residual": {"residual": "sector"},
    "pca residual": {"residual": "pca"},
    "union": {"join": "union"},
    "mutual": {"join": "mutual"},
    "positive edges": {"negative_edges": False},
    "cap": {"join": "union", "max_degree": 4},
    "sector nearest": {"sector_nearest": 2, "threshold": 0.9},
    "lead-lag": {"lead_lag": LEAD_LAG},
    "all of it": {
        "correlation": "ewma",
        "residual": "pca",
        "join": "union",
        "max_degree": 6,
        "sector_nearest": 2,
        "lead_lag": LEAD_LAG,
    },
}

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(scope="module")
def market() -> xr.Dataset:
    """Three sectors in which the first code of each leads the second by a session."""
    panel = clustered_returns(missing=0.03)
    returns = panel["ret_1d"].values
    returns[1:, 3:6] += 0.8 * np.nan_to_num(returns[:-1, 0:3])
    return panel


def build(panel, variant, cache=None) -> pd.DataFrame:
    return build_edges(panel, graph_params(window=WINDOW, **VARIANTS[variant]), cache=cache)


def known(edges, panel) -> pd.DataFrame:
    return edges[edges["asof"] <= panel["date"].values[LAST_KNOWN]].reset_index(drop=True)


def assert_same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def other_future(panel) -> xr.Dataset:
    """Other returns, index returns and trades after the last known session."""
    other = panel.copy(deep=True)
    late = slice(LAST_KNOWN + 1, None)
    rng = np.random.default_rng(9)
    other["ret_1d"][late] = rng.uniform(-0.3, 0.3, other["ret_1d"][late].shape)
    other["index_return"][late] = rng.uniform(-0.1, 0.1, other.sizes["date"] - LAST_KNOWN - 1)
    other["traded"][late] = rng.random(other["traded"][late].shape) < 0.5
    return other


def later_listings(panel) -> xr.Dataset:
    """Codes before, between and after the others, of a sector of their own, that list after it."""
    codes = ["00010", "13025", "99990"]
    late = panel.isel(code=slice(0, 3)).assign_coords(code=codes, sector=("code", ["Air"] * 3)).copy(deep=True)
    late["ret_1d"][: LAST_KNOWN + 1] = np.nan
    late["traded"][: LAST_KNOWN + 1] = False
    return xr.concat([panel, late], dim="code", data_vars="minimal").sortby("code")


@every_variant
def test_the_future_does_not_move_a_graph(market, variant):
    before = build(market, variant)
    after = build(other_future(market), variant)
    assert_same(known(after, market), known(before, market))
    assert not after.equals(before), "the future graphs did move"


@every_variant
def test_the_end_of_the_data_does_not_move_a_graph(market, variant):
    assert_same(build(market.isel(date=slice(0, LAST_KNOWN + 1)), variant), known(build(market, variant), market))


@every_variant
def test_later_listings_do_not_move_a_graph(market, variant):
    more = later_listings(market)
    after = build(more, variant)
    assert_same(known(after, market), known(build(market, variant), market))
    assert set(after["target"]) > set(market["code"].values)


@every_variant
def test_what_came_before_the_window_does_not_move_a_graph(market, variant):
    other = market.copy(deep=True)
    early = slice(0, LAST_KNOWN - WINDOW + 1)
    other["ret_1d"][early] = np.random.default_rng(5).uniform(-0.3, 0.3, other["ret_1d"][early].shape)
    other["index_return"][early] = 0.02
    before, after = build(market, variant), build(other, variant)
    asof = market["date"].values[LAST_KNOWN]
    assert_same(
        after[after["asof"] >= asof].reset_index(drop=True),
        before[before["asof"] >= asof].reset_index(drop=True),
    )
    assert not after.equals(before)


@every_variant
def test_the_cached_graph_is_that_of_its_window(market, variant, tmp_path):
    cache = SnapshotCache(tmp_path)
    build(other_future(market), variant, cache)
    stored = len(list(tmp_path.iterdir()))
    assert_same(build(market, variant, cache), build(market, variant))
    assert stored == 5
    assert len(list(tmp_path.iterdir())) == 5 + 2  # the two graphs after the last known session


def test_later_listings_build_no_known_graph_again(market, tmp_path):
    cache = SnapshotCache(tmp_path)
    build(market, "all of it", cache)
    build(later_listings(market), "all of it", cache)  # their sector comes first by name
    assert len(list(tmp_path.iterdir())) == 5 + 2


@every_variant
def test_the_last_session_of_the_window_is_used(market, variant):
    other = market.copy(deep=True)
    other["ret_1d"][LAST_KNOWN] = -10 * other["ret_1d"][LAST_KNOWN]
    asof = market["date"].values[LAST_KNOWN]
    before, after = build(market, variant), build(other, variant)
    earlier = before["asof"] < asof
    assert_same(after[after["asof"] < asof], before[earlier])
    assert not after[after["asof"] == asof].equals(before[before["asof"] == asof])


def test_the_market_has_edges_of_every_type(market):
    edges = build(market, "all of it")
    assert (edges[["is_correlation", "is_sector_nearest", "is_lead_lag"]].sum() > 20).all()


def test_no_attribute_is_ever_missing(market):
    for variant in VARIANTS:
        assert build(market, variant).notna().all(axis=None), variant
