"""A new session costs itself, and what is stored equals a full rebuild in every bit."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.daily.chains import first_listed
from gogooku_kedro.daily.sessions import Extender, Extension, SessionStore
from gogooku_kedro.features import FAMILIES
from gogooku_kedro.pipelines.ingestion import nodes as ingestion
from tests.daily.conftest import known_at, with_accidents
from tests.flow import EVENT_TABLES, Data, data_flow, normalised
from tests.test_time_rules import INGESTION, equal_bits, labels_params

LAST = 24  # sessions that are held ready


def market_of(tables):
    bars, _ = ingestion.standardise_bars(tables["bars"], tables["listed_issues"], INGESTION)
    panel = ingestion.build_panel(bars, tables["market_index"], INGESTION)
    return panel, ingestion.build_events(panel, *(tables[name] for name in EVENT_TABLES))


def assert_rebuilt(extension: Extension, data: Data, features) -> None:
    rows = {"date": slice(-LAST, None)}
    whole = normalised(data, data.candidates, features).isel(rows)
    for name in ("x", "levels", "in_universe"):
        assert whole[name].dims == extension.features[name].dims
        equal_bits(whole[name], extension.features[name])
    listed = first_listed(data.panel)[None, :] <= np.arange(data.panel.sizes["date"])[-LAST:, None]
    for name in extension.features["raw_feature"].values:
        values = data.raw_features[str(name)].isel(rows)
        equal_bits(values.where(listed), extension.features["raw"].sel(raw_feature=name))
    used = data.edges["asof"].unique()
    used = used[max(np.searchsorted(used, data.panel["date"].values[-LAST], side="right") - 1, 0) :]
    graphs = [edges[edges["asof"].isin(used)].reset_index(drop=True) for edges in (data.edges, extension.edges)]
    pd.testing.assert_frame_equal(*graphs, check_exact=True)


@pytest.fixture(scope="module")
def mornings(tables):
    sessions = pd.DatetimeIndex(np.sort(tables["bars"]["Date"].unique()))[-6:]
    return with_accidents(tables, sessions), sessions


def test_five_mornings_equal_a_full_rebuild_with_split_halt_listing_and_a_late_filing(
    mornings, features_settings, graph_settings, tmp_path
):
    tables, sessions = mornings
    filed = tables["statements"]
    day = filed.loc[filed["DiscDate"].between(sessions[0], sessions[2]), "DiscDate"].iloc[0]
    withheld = filed.index[filed["DiscDate"] == day]
    history = None
    computed = []
    for number, t in enumerate(sessions):
        known = known_at(tables, t, withheld if number < 4 else None)
        panel, events = market_of(known)
        if history is None:
            data = data_flow(known, INGESTION, features_settings, graph_settings, labels_params())
            assert set(data.candidates["families"]) == set(FAMILIES)
            history = Extender(SessionStore(tmp_path / "store"), data.candidates, features_settings, graph_settings)
        extension = history.extend(panel, events, LAST)
        computed.append([f"{date:%m-%d}" for date in extension.computed])
    whole = data_flow(tables, INGESTION, features_settings, graph_settings, labels_params())
    assert whole.panel["date"].values[-1] == sessions[-1]
    assert_rebuilt(extension, whole, features_settings)
    assert [len(dates) for dates in computed[:4]] == [LAST, 1, 1, 1]
    after_it = [f"{date:%m-%d}" for date in sessions[:5] if date > day]
    assert computed[4] == after_it
    assert len(computed[5]) == 1
    again = history.extend(panel, events, LAST)
    assert again.computed == ()
    assert_rebuilt(again, whole, features_settings)


@pytest.mark.parametrize("change", ["factor", "sector"])
def test_a_restated_past_is_noticed_and_computed_again_from_there(
    change, mornings, features_settings, graph_settings, tmp_path
):
    tables, sessions = mornings
    panel, events = market_of(tables)
    data = data_flow(tables, INGESTION, features_settings, graph_settings, labels_params())
    history = Extender(SessionStore(tmp_path), data.candidates, features_settings, graph_settings)
    before = history.extend(panel, events, LAST)
    assert len(before.computed) == LAST
    bars, issues = tables["bars"].copy(), tables["listed_issues"].copy()
    code = bars["Code"].iloc[0]
    at = (bars["Code"] == code) & (bars["Date"] == sessions[-3])
    if change == "factor":
        bars.loc[at, "AdjFactor"] = 0.98
    else:
        issues.loc[issues["Code"] == code, "S33Nm"] = "Another"
    restated = tables | {"bars": bars, "listed_issues": issues}
    extension = history.extend(*market_of(restated), LAST)
    assert len(extension.computed) == (LAST if change == "sector" else 3)
    whole = data_flow(restated, INGESTION, features_settings, graph_settings, labels_params())
    assert_rebuilt(extension, whole, features_settings)


def test_a_damaged_session_is_computed_again(mornings, features_settings, graph_settings, tmp_path, caplog):
    tables, _ = mornings
    panel, events = market_of(tables)
    data = data_flow(tables, INGESTION, features_settings, graph_settings, labels_params())
    history = Extender(SessionStore(tmp_path), data.candidates, features_settings, graph_settings)
    first = history.extend(panel, events, 3)
    path = sorted(tmp_path.glob("*.npz"))[1]
    path.write_bytes(path.read_bytes()[:1000])
    second = history.extend(panel, events, 3)
    assert "is damaged" in caplog.text
    assert second.computed == first.computed[1:]
    equal_bits(first.features["x"], second.features["x"])
