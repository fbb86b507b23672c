import logging
from typing import get_args

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.features import FAMILIES, FEATURES, compute_features
from gogooku_kedro.features.declared import DeclaredPanel
from gogooku_kedro.features.feature import Kind, shared_results
from gogooku_kedro.features.normalise import price_channels
from gogooku_kedro.features.registry import select_features

EVENT_FAMILIES = {"statements", "margin", "investor_flows"}
BAR_FAMILIES = [family for family in FAMILIES if family not in EVENT_FAMILIES]
EVERY = [feature for family in BAR_FAMILIES for feature in FAMILIES[family]]
LIMITS_AND_CALENDAR = ["limit_base", "limit_width", "next_limit_width", "days_to_next_session"]
GRAPH = [
    "neighbour_return",
    "neighbour_log_volume",
    "neighbour_count",
    "neighbour_strength",
    "neighbour_clustering",
    "neighbour_same_sector",
]
PRICES = ["open", "high", "low", "close", "volume", "turnover_value", *LIMITS_AND_CALENDAR, *GRAPH[2:]]
PRICES += ["adj_open", "adj_high", "adj_low", "adj_close", "adj_volume"]
RETURNS = ["ret_1d", "index_return", *GRAPH[:2]]  # of session t, from the close of t - 1
FLAGS = ["traded", "listed", "invalid_jump", "limit_up", "limit_down"]
UNMOVED = {"weekday_sine", "weekday_cosine", "days_to_month_end", "days_since_session"}  # made of dates
UNMOVED |= {"sessions_since_gap_250d"}  # a gap on the first of 250 sessions counts like none


@pytest.fixture(scope="module")
def panel(panel_factory) -> xr.Dataset:
    return panel_factory(n_dates=320, seed=4, events=True)


@pytest.fixture(scope="module")
def computed(panel) -> xr.Dataset:
    return compute_features(panel, BAR_FAMILIES)


def disturb(panel, rows, return_rows=None):
    """Another history on `rows`, in every variable."""
    rng = np.random.default_rng(99)
    other = panel.copy(deep=True)
    for name in PRICES:
        values = other[name].values
        values[rows] = values[rows] * np.exp(rng.standard_normal(values[rows].shape)) * 1e3
    return_rows = rows if return_rows is None else return_rows
    for name in RETURNS:
        values = other[name].values[return_rows]
        values[:] = np.where(rng.random(values.shape) < 0.3, np.nan, rng.uniform(-0.5, 0.5, values.shape))
    other["index_return"].values[return_rows] = -0.9  # a fall puts the highest close first
    for name in FLAGS:
        values = other[name].values[rows]
        values[:] = rng.random(values.shape) < 0.5
    return other


def today(panel, features) -> dict[str, np.ndarray]:
    """The last session's values of some features, from formulas that see what they declare only."""
    floats = panel.map(lambda v: v if v.dtype == bool else v.astype(np.float64))
    values = {}
    for kind in get_args(Kind):
        with shared_results():
            for feature in (f for f in features if f.kind == kind):
                raw = feature.function(DeclaredPanel.of(floats, feature.needs))
                values[feature.name] = raw.isel(date=-1).values
    return values


def by_lookback():
    for lookback in sorted({feature.lookback for feature in EVERY}):
        yield lookback, [feature for feature in EVERY if feature.lookback == lookback]


def test_names_are_unique_and_every_feature_is_described():
    everything = [feature for features in FAMILIES.values() for feature in features]
    assert len({feature.name for feature in everything}) == len(everything) == len(FEATURES)
    for family, features in FAMILIES.items():
        for feature in features:
            assert feature.family == family, feature.name
            assert feature.formula, feature.name
            assert "{" not in feature.formula, feature.name
            assert feature.source, feature.name
            assert feature.kind in get_args(Kind), feature.name
            assert feature.needs, feature.name
            assert feature.lookback >= 0, feature.name


def test_bars_sectors_and_index_alone_feed_at_least_140_features(panel):
    bare = panel.drop_vars(LIMITS_AND_CALENDAR + GRAPH)
    alone = select_features(bare, list(FAMILIES)).features
    assert len(alone) >= 140
    assert len({feature.name for feature in alone}) == len(alone)
    with_graph = select_features(panel.drop_vars(LIMITS_AND_CALENDAR), list(FAMILIES)).features
    assert len(with_graph) == len(alone) + len(FAMILIES["neighbours"])


def test_the_longest_look_back_is_250_sessions():
    assert max(feature.lookback for feature in EVERY) == 250


def test_a_market_feature_has_one_value_per_date(computed):
    for feature in EVERY:
        dims = ("date",) if feature.kind == "market" else ("date", "code")
        assert computed[feature.name].dims == dims, feature.name
        assert computed[feature.name].dtype == np.float32, feature.name
    assert set(computed) == {feature.name for feature in EVERY}


def test_values_start_after_the_look_back(computed):
    for feature in EVERY:
        values = computed[feature.name].values
        assert np.isnan(values[: feature.lookback]).all(), feature.name
        assert np.isfinite(values[feature.lookback]).any(), feature.name


def test_rows_older_than_the_look_back_change_no_bit(panel):
    for lookback, features in by_lookback():
        oldest = panel.sizes["date"] - 1 - lookback
        other = disturb(panel, slice(0, oldest), slice(0, oldest + 1 if lookback else 0))
        before, after = today(panel, features), today(other, features)
        for name in before:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def test_the_look_back_is_no_longer_than_it_says(panel_factory):
    """But for one session: a window of n bars has the look-back n, as a window of n returns has."""
    panel = panel_factory(n_dates=320, seed=4, gaps=False)
    panel["ret_1d"].values[1:, :3] = 0.0  # for the share of returns of 0
    for lookback, features in by_lookback():
        other = disturb(panel, slice(0, panel.sizes["date"] - lookback + 1))
        before, after = today(panel, features), today(other, features)
        unchanged = {name for name in before if np.array_equal(before[name], after[name], equal_nan=True)}
        assert unchanged <= UNMOVED, unchanged


def test_future_rows_leave_past_features_bit_identical(panel, computed):
    now = 290
    other = disturb(panel, slice(now + 1, None))
    after = compute_features(other, BAR_FAMILIES)
    for name in computed:
        np.testing.assert_array_equal(after[name].values[: now + 1], computed[name].values[: now + 1])
    assert not np.array_equal(after["return_1d"].values, computed["return_1d"].values)
    levels, other_levels = price_channels(panel).values, price_channels(other).values
    np.testing.assert_array_equal(other_levels[: now + 1], levels[: now + 1])


def test_stocks_listed_later_leave_past_features_bit_identical(panel, computed):
    newcomer = panel.isel(code=slice(0, 3)).copy(deep=True).assign_coords(code=["00010", "50000", "99990"])
    for name in newcomer.data_vars:
        if "code" in newcomer[name].dims:
            values = newcomer[name].values
            values[:] = False if values.dtype == bool else np.nan
    wider = xr.concat([panel, newcomer], "code", data_vars="minimal").sortby("code")
    after = compute_features(wider, BAR_FAMILIES)
    assert wider.sizes["code"] == panel.sizes["code"] + 3
    for name in computed:
        there = after[name].sel(code=panel["code"]) if "code" in after[name].dims else after[name]
        np.testing.assert_array_equal(there, computed[name], err_msg=name)


def test_the_sector_family_drops_out_when_every_sector_is_unknown(panel, caplog):
    unknown = panel.assign_coords(sector=("code", ["n/a"] * panel.sizes["code"]))
    with caplog.at_level(logging.INFO):
        computed = compute_features(unknown, ["returns", "sector"])
    assert select_features(unknown, ["returns", "sector"]).dropped == {"sector": 'every sector is "n/a"'}
    assert not any(name.startswith("sector") for name in computed)
    assert sum("'sector' drop out" in message for message in caplog.messages) == 1


def test_only_the_features_that_need_turnover_drop_out_without_it(panel):
    empty = panel.assign(turnover_value=panel["turnover_value"] * np.nan)
    dropped = select_features(empty, ["liquidity"]).dropped
    expected = {f.name for f in FAMILIES["liquidity"] if "turnover_value" in f.needs}
    assert {"log_turnover_20d", "amihud_20d"} <= set(dropped) == expected
    assert dropped["amihud_20d"] == "'turnover_value' is empty"


@pytest.mark.parametrize(
    ("families", "message"),
    [
        (["retruns"], r"families: \['retruns'\] is no family; did you mean 'returns'\? The families are returns, vola"),
        (["trend", "abc", "q"], r"families: \['abc', 'q'\] are no families; The families are returns"),
        ([], "each family once"),
        (["trend"] * 2, "once"),
    ],
)
def test_families_are_named_once_and_known(panel, families, message):
    with pytest.raises(ValueError, match=message):
        compute_features(panel, families)


def test_a_panel_that_feeds_nothing_is_an_error(panel):
    with pytest.raises(ValueError, match="feeds none"):
        compute_features(panel.drop_vars("index_return"), ["market"])
