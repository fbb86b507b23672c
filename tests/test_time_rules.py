"""The time rules over the whole flow: nothing dated t knows anything that came after the close of t.

Every raw row after t is changed; panel, features, raw price channels, graph and scores up to t must stay the same
in every bit. Whoever adds a feature, a scaler, a graph or a join finds it covered here, because the test goes
through the nodes of the pipelines with every family that is registered.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from gogooku_kedro.baselines.neighbour_means import with_peer_means
from gogooku_kedro.baselines.neutral import neutral_versions
from gogooku_kedro.features import FAMILIES, FEATURES, LeakError, market_columns, own_columns
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import FeaturesParams, GraphParams, IngestionParams, LabelsParams
from gogooku_kedro.pipelines.features import nodes as features_nodes
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from gogooku_kedro.training import MarketTensors, market_tensors, predict_days
from tests.flow import EVENT_TABLES, TABLES, Data, data_flow, normalised
from tests.graph.conftest import graph_params as small_graph_params
from tests.model.conftest import model_params

INGESTION = IngestionParams(
    calendar="XTKS",
    timezone="Asia/Tokyo",
    price_limits="tse",
    max_move=0.5,
    split_like_jumps="invalid",
    extra_columns={},
)
RATED = INGESTION.model_copy(update={"extra_columns": {"rating": 0, "late_rating": 2}})
ATTRIBUTES = ("correlation", "abs_correlation", "same_sector", "is_self")
LAST_KNOWN = 490  # position of the session t
FIRST_SCORED = LAST_KNOWN - 40
ON_THE_GRID = ("panel", "events", "neighbour_panel", "raw_features")
EVENT_KEYS = ["Code", "Date", "DiscDate", "DiscNo", "DiscTime", "EnDate", "PubDate", "Section", "StDate"]

Tables = dict[str, pd.DataFrame]


class Flow(NamedTuple):
    data: Data
    features: xr.Dataset
    scores: dict[int, torch.Tensor]
    peer_means: xr.DataArray
    neutral: pd.DataFrame  # versions of one and the same score

    @property
    def panel(self) -> xr.Dataset:
        return self.data.panel


@pytest.fixture(scope="module")
def tables() -> Tables:
    settings = SampleMarketSettings(n_codes=48, start="2018-10-01", end="2020-12-30", seed=3)
    market = generate_sample_market(settings)
    rng = np.random.default_rng(0)
    for name in RATED.extra_columns:
        market["bars"][name] = rng.normal(size=len(market["bars"]))
    return {name: market[name] for name in TABLES}


def features_params(normalisation: str = "gaussian_rank", **changes: Any) -> FeaturesParams:
    return FeaturesParams(
        families=tuple(FAMILIES),
        normalisation=normalisation,
        normalisation_of={"volume": "robust_z", "returns": "gaussian_rank"},
        sector_neutral=("returns", "statements"),
        clip=8.0,
        min_history=20,
        leak_cap=0.3,
        checks={"on_failure": "drop", "constant_share": 0.05, "duplicate_correlation": 0.9999},
        **({"engine": "local", "scheduler": None, "workers": 1, "memory_mb": 64} | changes),
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
    params = features_params(normalisation)
    data = data_flow(tables, RATED, params, graph_params(residual), labels_params())
    features = normalised(data, data.candidates, params)

    context = market_columns(data.candidates)
    market = market_tensors(features, data.labels, data.edges, ATTRIBUTES, context)
    network = network_of(market)
    days = list(range(FIRST_SCORED, min(LAST_KNOWN + 10, market.x.size(0))))
    scores = {day: score for day, score, _ in predict_days(network, market, days, "cpu")}
    peer_means = with_peer_means(
        features["x"][: LAST_KNOWN + 10],
        features["in_universe"][: LAST_KNOWN + 10],
        data.edges,
        own_columns(data.candidates),
    )
    return Flow(data, features, scores, peer_means, neutral_scores(data, features))


def neutral_scores(data: Data, features: xr.Dataset) -> pd.DataFrame:
    """A score that no later row changes, made neutral to peers, factors and sectors."""
    closes = data.panel["adj_close"].where(features["in_universe"])[FIRST_SCORED : LAST_KNOWN + 10]
    score = closes.to_series().dropna().rename("score_1d").reset_index()
    return neutral_versions(
        score.assign(split="test", model="close"), data.edges, data.panel, factors=3, window=60, cadence=10
    )


def network_of(market: MarketTensors) -> ATFTGATFAN:
    """A network with every part, the market's gate open, and scales of the 50 days before the scored ones."""
    torch.manual_seed(0)
    sizes = (market.x.size(-1), market.levels.size(-1), market.context.size(-1))
    network = ATFTGATFAN(model_params(linear_path={"enabled": True, "neighbours": True}), *sizes).eval()
    assert network.market_gate is not None
    torch.nn.init.normal_(network.market_gate.weight)
    torch.nn.init.normal_(network.linear_path.weight)
    fitted = (FIRST_SCORED - 50, FIRST_SCORED)
    network.fit_scales(market.levels[slice(*fitted)], *market.graph.of_days(*fitted))
    return network


def after(table: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    """Rows that no session up to t may know: prices dated after it, events dated on it or after it."""
    for name in ("DiscDate", "PubDate"):
        if name in table and pd.to_datetime(table[name], errors="coerce").notna().all():
            return pd.to_datetime(table[name]) >= t
    return pd.to_datetime(table["Date"]) > t


def other_events(tables: Tables, t: pd.Timestamp) -> Tables:
    """Other figures in every filing, flow and balance that is not known yet."""
    rng = np.random.default_rng(1)
    changed = {}
    for name in EVENT_TABLES:
        table = tables[name].copy()
        late = after(table, t)
        assert 0 < late.sum() < len(table)
        for column in table.columns.difference(EVENT_KEYS):
            table.loc[late, column] = rng.permutation(table.loc[late, column].to_numpy())
        changed[name] = table
    return changed


def other_prices(tables: Tables, t: pd.Timestamp) -> Tables:
    """Other prices, volumes, limit flags and splits after t, other index closes, other sectors."""
    rng = np.random.default_rng(0)
    bars, index, issues = (tables[n].copy() for n in ("bars", "market_index", "listed_issues"))
    late = after(bars, t)
    level = bars.groupby("Code")["AdjFactor"].cumprod()
    stated = rng.choice([1.0, 0.5, 2.0], late.sum(), p=[0.9, 0.05, 0.05])
    bars.loc[late, "AdjFactor"] = stated
    scale = rng.lognormal(0, 0.1, late.sum()) * (bars.groupby("Code")["AdjFactor"].cumprod() / level)[late]
    for column in ("O", "H", "L", "C"):
        bars.loc[late, column] *= scale
    bars.loc[late, "Vo"] *= rng.integers(1, 50, late.sum())
    bars.loc[late, [name for name in RATED.extra_columns if name in bars]] += 1.0
    index.loc[after(index, t), "C"] *= 3.0
    late_issue = after(issues, t)
    issues.loc[late_issue, "S33"] = "9050"
    changed = {"bars": bars, "listed_issues": issues, "market_index": index}
    return changed | other_events(tables, t)


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
    pairs = [(getattr(before.data, n), getattr(later.data, n)) for n in ON_THE_GRID]
    for left, right in [*pairs, (before.features, later.features)]:
        for variable in left.data_vars:
            if "date" in left[variable].dims:
                kept = {"date": slice(None, t)} | ({"code": codes} if "code" in left[variable].dims else {})
                equal_bits(left[variable].sel(kept), right[variable].sel(kept))
    left, right = (flow.data.edges[flow.data.edges["asof"] <= t].reset_index(drop=True) for flow in (before, later))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    equal_bits(before.peer_means.sel(date=slice(None, t)), later.peer_means.sel(date=slice(None, t)))
    neutral = [f.neutral[f.neutral["date"] <= t].reset_index(drop=True) for f in (before, later)]
    assert set(neutral[0]["model"]) == {"close_neutral", "close_pca_neutral", "close_sector_neutral"}
    pd.testing.assert_frame_equal(*neutral, check_exact=True)
    position = before.panel.indexes["date"].get_loc(t)
    for day in range(FIRST_SCORED, position + 1):
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
    if change is other_prices:
        assert not known.peer_means[day].equals(later.peer_means[day])
        assert not known.neutral.equals(later.neutral)


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
        "train": [str(dates[300].date()), str(dates[420].date())],
        "valid": [str(dates[445].date()), str(dates[490].date())],
        "test": [str(dates[515].date()), str(dates[-1].date())],
        "purge_sessions": 22,
    }
    data, params = known.data, features_params()

    def check(raw: xr.Dataset) -> None:
        features_nodes.check_features(raw, data.panel, data.labels, split, data.candidates, params)

    check(data.raw_features)
    name = "volume_z_20d"
    noise = np.random.default_rng(0).normal(size=data.raw_features[name].shape)
    answer = data.labels["ret"].sel(horizon=5, drop=True) * 50 + noise
    with pytest.raises(LeakError, match=name):
        check(data.raw_features.assign({name: answer.astype(np.float32)}))


def test_the_blocks_of_a_dask_cluster_keep_the_rule(tables: Tables, known: Flow):
    t = known.panel.indexes["date"][LAST_KNOWN]
    on_a_cluster = features_params(engine="dask")
    later = data_flow(other_prices(tables, t), RATED, on_a_cluster, graph_params("market"), labels_params())
    for name in known.data.raw_features:
        equal_bits(
            known.data.raw_features[name].sel(date=slice(None, t)),
            later.raw_features[name].sel(date=slice(None, t)),
        )


def test_every_registered_feature_is_under_the_rule(known: Flow):
    assert known.data.candidates["dropped"] == {}
    raw = known.data.raw_features
    assert set(raw.data_vars) == {*FEATURES, *(f"extra_{name}" for name in RATED.extra_columns)}
    at_t = raw.isel(date=slice(LAST_KNOWN - 20, LAST_KNOWN + 1))
    assert [name for name in raw if not at_t[name].notnull().any()] == []
