import logging

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.features import FAMILIES, compute_features, level_channels, select_features
from gogooku_kedro.features.registry import _in_float64, _only

EVERY = [feature for family in FAMILIES.values() for feature in family]
BARS = ["open", "high", "low", "close", "volume", "turnover_value"]
PRICES = [*BARS, "adj_open", "adj_high", "adj_low", "adj_close", "adj_volume"]


def disturb(panel, rows, return_rows=None):
    """Another history on `rows`, in every variable."""
    rng = np.random.default_rng(99)
    other = panel.copy(deep=True)
    for name in PRICES:
        values = other[name].values
        values[rows] = values[rows] * np.exp(rng.standard_normal(values[rows].shape)) * 1e3
    rows = return_rows if return_rows is not None else rows
    for name in ("ret_1d", "index_return"):
        values = other[name].values
        values[rows] = rng.uniform(-0.5, 0.5, values[rows].shape)
    for name in ("traded", "listed", "invalid_jump"):
        values = other[name].values
        values[rows] = rng.random(values[rows].shape) < 0.5
    return other


def test_seven_families_hold_at_least_48_features_with_unique_names():
    names = [feature.name for feature in EVERY]
    assert len(FAMILIES) == 7
    assert len(names) >= 48
    assert len(set(names)) == len(names)
    assert all(feature.family == family for family in FAMILIES for feature in FAMILIES[family])


def test_no_feature_looks_back_more_than_120_sessions():
    assert max(feature.lookback for feature in EVERY) == 120


@pytest.mark.parametrize("feature", EVERY, ids=lambda feature: feature.name)
def test_a_feature_runs_on_the_variables_it_declares(panel, feature):
    raw = feature.function(_only(_in_float64(panel, [feature]), feature.needs))
    assert set(raw.dims) == {"date", "code"}


def test_values_start_after_the_look_back(panel):
    computed = compute_features(panel, list(FAMILIES))
    for feature in EVERY:
        values = computed[feature.name].values
        assert np.isnan(values[: feature.lookback]).all(), feature.name
        assert np.isfinite(values[feature.lookback]).any(), feature.name
        assert values.dtype == np.float32


def test_rows_older_than_the_look_back_do_not_matter(panel):
    computed = compute_features(panel, list(FAMILIES))
    today = panel.sizes["date"] - 1
    for lookback in sorted({feature.lookback for feature in EVERY}):
        oldest = today - lookback
        other = disturb(panel, slice(0, oldest), slice(0, oldest + 1))
        names = [feature.name for feature in EVERY if feature.lookback == lookback]
        again = compute_features(other, list(FAMILIES))
        for name in names:
            np.testing.assert_allclose(
                again[name].values[-1], computed[name].values[-1], rtol=1e-6, err_msg=name
            )


def test_the_look_back_is_no_longer_than_it_says(panel_factory):
    panel = panel_factory(gaps=False)
    computed = compute_features(panel, list(FAMILIES))
    today = panel.sizes["date"] - 1
    for lookback in sorted({f.lookback for f in EVERY} - {1}):
        other = disturb(panel, slice(0, today - lookback + 2))
        again = compute_features(other, list(FAMILIES))
        for name in (feature.name for feature in EVERY if feature.lookback == lookback):
            changed = again[name].values[-1] != computed[name].values[-1]
            assert changed.any(), name


def test_future_rows_leave_past_features_bit_identical(panel):
    now = 150
    other = disturb(panel, slice(now + 1, None))
    before, after = (compute_features(p, list(FAMILIES)) for p in (panel, other))
    for name in before:
        np.testing.assert_array_equal(after[name].values[: now + 1], before[name].values[: now + 1])
    assert not np.array_equal(after["return_1d"].values, before["return_1d"].values)
    levels, other_levels = level_channels(panel).values, level_channels(other).values
    np.testing.assert_array_equal(other_levels[: now + 1], levels[: now + 1])


def test_stocks_listed_later_leave_past_features_bit_identical(panel):
    wider, n_codes = panel.copy(deep=True), panel.sizes["code"]
    newcomer = wider.isel(code=slice(0, 3)).assign_coords(code=["00010", "50000", "99990"])
    for name in newcomer.data_vars:
        if "code" in newcomer[name].dims:
            values = newcomer[name].values
            values[:] = False if values.dtype == bool else np.nan
    wider = xr.concat([panel, newcomer], "code", data_vars="minimal").sortby("code")
    before, after = (compute_features(p, list(FAMILIES)) for p in (panel, wider))
    assert wider.sizes["code"] == n_codes + 3
    for name in before:
        np.testing.assert_array_equal(after[name].sel(code=panel["code"]), before[name])


def test_the_sector_family_drops_out_when_every_sector_is_unknown(panel, caplog):
    unknown = panel.assign_coords(sector=("code", ["n/a"] * panel.sizes["code"]))
    with caplog.at_level(logging.INFO):
        computed = compute_features(unknown, ["returns", "sector"])
    assert select_features(unknown, ["returns", "sector"]).dropped == {"sector": 'every sector is "n/a"'}
    assert not any(name.startswith("sector") for name in computed)
    assert sum("'sector' drop out" in message for message in caplog.messages) == 1


def test_only_the_features_that_need_turnover_drop_out_without_it(panel):
    empty = panel.assign(turnover_value=panel["turnover_value"] * np.nan)
    dropped = select_features(empty, ["volume"]).dropped
    assert set(dropped) == {"log_turnover_20d", "amihud_20d"}
    assert dropped["amihud_20d"] == "'turnover_value' is empty in the panel"


@pytest.mark.parametrize(
    ("families", "message"),
    [(["retruns"], "unknown: \\['retruns'\\]"), ([], "each family once"), (["trend"] * 2, "once")],
)
def test_families_are_named_once_and_known(panel, families, message):
    with pytest.raises(ValueError, match=message):
        compute_features(panel, families)


def test_a_panel_that_feeds_nothing_is_an_error(panel):
    with pytest.raises(ValueError, match="feeds none"):
        compute_features(panel.drop_vars("index_return"), ["market"])
