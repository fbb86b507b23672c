"""The time rules over the whole flow: nothing dated t knows anything that came after the close of t.

Every raw row after t is changed; panel, features, level channels, graph and scores up to t must stay the same
in every bit. Whoever adds a feature, a scaler, a graph or a join finds it covered here, because the test goes
through the nodes of the pipelines with every family that is registered.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from gogooku_kedro.features import FAMILIES, LeakError, feature_manifest
from gogooku_kedro.market.sample import SampleMarketSettings, generate_sample_market
from gogooku_kedro.model import ATFTGATFAN, fit_level_scale
from gogooku_kedro.params import FeaturesParams, GraphParams, IngestionParams, LabelsParams
from gogooku_kedro.pipelines.features import nodes as features_nodes
from gogooku_kedro.pipelines.graph import nodes as graph_nodes
from gogooku_kedro.pipelines.ingestion import nodes as ingestion_nodes
from gogooku_kedro.training import market_tensors, predict_days
from tests.graph.conftest import graph_params as small_graph_params
from tests.model.conftest import model_params

INGESTION = IngestionParams(calendar="XTKS", timezone="Asia/Tokyo", max_move=0.5)
ATTRIBUTES = ("correlation", "abs_correlation", "same_sector", "is_self")
LAST_KNOWN = 190  # position of the session t

Tables = dict[str, pd.DataFrame]


class Flow(NamedTuple):
    panel: xr.Dataset
    raw_features: xr.Dataset
    features: xr.Dataset
    labels: xr.Dataset
    edges: pd.DataFrame
    scores: dict[int, torch.Tensor]


@pytest.fixture(scope="module")
def tables() -> Tables:
    settings = SampleMarketSettings(n_codes=48, start="2020-01-06", end="2020-12-30", seed=3)
    market = generate_sample_market(settings)
    return {name: market[name] for name in ("bars", "listed_issues", "market_index")}


def features_params(normalisation: str = "gaussian_rank") -> FeaturesParams:
    return FeaturesParams(
        families=tuple(FAMILIES), normalisation=normalisation, clip=8.0, min_history=20, leak_cap=0.3
    )


def labels_params(entry: str = "next_open") -> LabelsParams:
    """A residual of every kind, and none for the longest horizon."""
    return LabelsParams(
        entry=entry,
        limit_entry="missing",
        delisting="missing",
        residual=("market", "sector", "pca", "none"),
        residual_window=60,
        pca_factors=3,
        pca_cadence=10,
    )


def graph_params(residual: str) -> GraphParams:
    """Edges of every type: correlated, of the sector, and a session ahead."""
    return small_graph_params(
        window=40,
        min_observations=30,
        threshold=0.2,
        k=4,
        cadence=10,
        residual=residual,
        join="union",
        sector_nearest=2,
        lead_lag={"enabled": True, "fdr": 0.9, "k": 2},
    )


def flow(tables: Tables, residual: str = "market", normalisation: str = "gaussian_rank") -> Flow:
    """From raw tables to the scores of a network with fixed weights, through the nodes."""
    bars, _ = ingestion_nodes.standardise_bars(tables["bars"], tables["listed_issues"], INGESTION)
    panel = ingestion_nodes.build_panel(bars, tables["market_index"], INGESTION)
    params = features_params(normalisation)
    raw = features_nodes.compute_features(panel, params)
    features = features_nodes.normalise_features(raw, panel, params)
    labels = features_nodes.make_labels(panel, labels_params())
    edges = graph_nodes.build_graph(panel, graph_params(residual))

    market = market_tensors(features, labels, edges, ATTRIBUTES)
    torch.manual_seed(0)
    network = ATFTGATFAN(model_params(), market.x.size(-1), market.levels.size(-1)).eval()
    network.levels.set_scale(fit_level_scale(market.levels[100:150], network.window))
    days = list(range(150, min(200, market.x.size(0))))
    scores = {day: score for day, score, _ in predict_days(network, market, days, "cpu")}
    return Flow(panel, raw, features, labels, edges, scores)


def after(table: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    return pd.to_datetime(table["Date"]) > t


def other_prices(tables: Tables, t: pd.Timestamp) -> Tables:
    """Other prices, volumes, limit flags and splits after t, other index closes, other sectors."""
    rng = np.random.default_rng(0)
    bars, index, issues = (tables[n].copy() for n in ("bars", "market_index", "listed_issues"))
    late = after(bars, t)
    scale = rng.lognormal(0, 0.3, late.sum())
    for column in ("O", "H", "L", "C"):
        bars.loc[late, column] *= scale
    bars.loc[late, "Vo"] *= rng.integers(1, 50, late.sum())
    bars.loc[late, "AdjFactor"] = rng.choice([1.0, 0.5, 2.0], late.sum(), p=[0.9, 0.05, 0.05])
    index.loc[after(index, t), "C"] *= 3.0
    late_issue = after(issues, t)
    issues.loc[late_issue, "S33"] = "9050"
    return {"bars": bars, "listed_issues": issues, "market_index": index}


def no_prices(tables: Tables, t: pd.Timestamp) -> Tables:
    """Nothing trades any more after t."""
    bars = tables["bars"].copy()
    bars.loc[after(bars, t), ["O", "H", "L", "C", "Vo", "Va"]] = np.nan
    return tables | {"bars": bars}


def end_of_data(tables: Tables, t: pd.Timestamp) -> Tables:
    """The data end with t."""
    return {name: table[~after(table, t)].copy() for name, table in tables.items()}


@pytest.fixture(scope="module")
def known(tables: Tables) -> Flow:
    return flow(tables)


def equal_bits(before: xr.DataArray, later: xr.DataArray) -> None:
    left, right = before.to_numpy(), later.to_numpy()
    if left.dtype.kind == "f":
        left, right = left.view(f"u{left.itemsize}"), right.view(f"u{right.itemsize}")
    np.testing.assert_array_equal(left, right, err_msg=str(before.name))


def assert_equal_up_to(t: pd.Timestamp, before: Flow, later: Flow) -> None:
    codes = before.panel["code"].values
    for name in ("panel", "raw_features", "features"):
        left, right = getattr(before, name), getattr(later, name)
        for variable in left.data_vars:
            if "date" in left[variable].dims:
                kept = {"date": slice(None, t)} | ({"code": codes} if "code" in left[variable].dims else {})
                equal_bits(left[variable].sel(kept), right[variable].sel(kept))
    left, right = (flow.edges[flow.edges["asof"] <= t].reset_index(drop=True) for flow in (before, later))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    position = before.panel.indexes["date"].get_loc(t)
    for day in range(150, position + 1):
        assert torch.equal(before.scores[day], later.scores[day]), day


@pytest.mark.parametrize("change", [other_prices, no_prices, end_of_data])
def test_no_bit_up_to_t_changes_with_what_comes_after(
    change: Callable[[Tables, pd.Timestamp], Tables], tables: Tables, known: Flow
):
    t = known.panel.indexes["date"][LAST_KNOWN]
    later = flow(change(tables, t))
    assert_equal_up_to(t, known, later)
    if change is not end_of_data:  # the change did reach the days after t
        day = LAST_KNOWN + 2
        assert not torch.equal(known.scores[day], later.scores[day])


@pytest.mark.parametrize("residual", ["none", "sector"])
def test_other_residuals_and_the_robust_z_score_keep_the_rule(residual: str, tables: Tables):
    before = flow(tables, residual, "robust_z")
    t = before.panel.indexes["date"][LAST_KNOWN]
    assert_equal_up_to(t, before, flow(other_prices(tables, t), residual, "robust_z"))


@pytest.mark.parametrize(("entry", "lag"), [("next_open", 1), ("close", 0)])
def test_a_label_reads_prices_up_to_its_exit_and_never_enters_the_features(
    entry: str, lag: int, tables: Tables, known: Flow
):
    params = labels_params(entry)
    t = known.panel.indexes["date"][LAST_KNOWN]
    later = flow(other_prices(tables, t)).panel
    before = features_nodes.make_labels(known.panel, params)
    after_change = features_nodes.make_labels(later, params)
    for name, horizon in product(("ret", "target"), (1, 5, 10, 20)):
        last = LAST_KNOWN - horizon - lag
        left, right = (labels[name].sel(horizon=horizon) for labels in (before, after_change))
        assert left[: last + 1].notnull().any()
        equal_bits(left[: last + 1], right[: last + 1])
        assert not left[last + 1].equals(right[last + 1])


def test_a_planted_leak_stops_the_run_and_is_named(known: Flow):
    """The canary: a feature made of the label."""
    dates = known.panel.indexes["date"]
    split = {
        "train": [str(dates[60].date()), str(dates[150].date())],
        "valid": [str(dates[175].date()), str(dates[205].date())],
        "test": [str(dates[228].date()), str(dates[-1].date())],
        "purge_sessions": 22,
    }
    params = features_params()
    features_nodes.check_leaks(known.features, known.labels, split, params)
    leaking = known.features.copy(deep=True)
    name = str(leaking["feature"].values[7])
    member = leaking["member"].to_numpy()
    answer = np.nan_to_num(known.labels["ret"].sel(horizon=5).to_numpy() * 50) * member
    noise = np.random.default_rng(0).normal(size=answer.shape)
    leaking["x"].values[:, :, 7] = np.clip(answer + noise, -8, 8) * member
    with pytest.raises(LeakError, match=name):
        features_nodes.check_leaks(leaking, known.labels, split, params)


def test_every_registered_family_is_under_the_rule(known: Flow):
    manifest = feature_manifest(known.panel, tuple(FAMILIES), normalisation="gaussian_rank", clip=8.0)
    assert manifest["dropped"] == {}
    assert set(known.raw_features.data_vars) == {f["name"] for f in manifest["features"]}
