"""A new session costs itself, and what is stored equals a full rebuild in every bit."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.daily.chains import first_listed
from gogooku_kedro.daily.sessions import Extender, Extension, SessionStore
from gogooku_kedro.features import FAMILIES
from gogooku_kedro.pipelines.ingestion import nodes as ingestion
from tests.daily.conftest import known_at, plain_labels, with_accidents
from tests.flow import EVENT_TABLES, Data, data_flow, normalised
from tests.test_time_rules import INGESTION, equal_bits, graph_params

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


@pytest.fixture(scope="module")
def whole(mornings, features_settings) -> Data:
    """Everything that the last morning knows, rebuilt."""
    data = data_flow(mornings[0], INGESTION, features_settings, graph_params("market"), plain_labels())
    assert set(data.candidates["families"]) == set(FAMILIES)
    return data


@pytest.fixture
def history(whole, features_settings, tmp_path) -> Extender:
    graph = graph_params("market").model_copy(update={"cache_dir": str(tmp_path / "graphs")})
    return Extender(SessionStore(tmp_path / "store"), whole.candidates, features_settings, graph)


def test_five_mornings_equal_a_full_rebuild_with_split_halt_listing_and_a_late_filing(
    mornings, whole, history, features_settings
):
    tables, sessions = mornings
    filed = tables["statements"]
    day = filed.loc[filed["DiscDate"].between(sessions[0], sessions[2]), "DiscDate"].iloc[0]
    withheld = filed.index[filed["DiscDate"] == day]
    computed = []
    for number, t in enumerate(sessions):
        known = known_at(tables, t, withheld if number < 4 else None)
        extension = history.extend(*market_of(known), LAST)
        computed.append(list(extension.computed))
    assert_rebuilt(extension, whole, features_settings)
    assert [len(dates) for dates in computed[:4]] == [LAST, 1, 1, 1]
    assert computed[4] == [date for date in sessions[:5] if date > day]
    assert computed[5] == [sessions[5]]
    again = history.extend(whole.panel, whole.events, LAST)
    assert again.computed == ()
    equal_bits(again.features["x"], extension.features["x"])


def test_a_restated_factor_and_a_sector_stated_later_are_noticed_and_computed_again_from_there(
    mornings, whole, history, features_settings
):
    tables, sessions = mornings
    assert len(history.extend(whole.panel, whole.events, LAST).computed) == LAST
    bars, issues = tables["bars"].copy(), tables["listed_issues"].copy()
    code = bars["Code"].iloc[0]
    bars.loc[(bars["Code"] == code) & (bars["Date"] == sessions[-3]), "AdjFactor"] = 0.98
    restated = tables | {"bars": bars}
    data = data_flow(restated, INGESTION, features_settings, history.graph, plain_labels())
    extension = history.extend(data.panel, data.events, LAST)
    assert extension.computed == tuple(sessions[-3:])
    assert_rebuilt(extension, data, features_settings)
    issues.loc[issues["Code"] == code, "S33Nm"] = "Another"
    panel, events = market_of(tables | {"listed_issues": issues})
    assert len(history.extend(panel, events, LAST).computed) == LAST


def test_a_damaged_session_is_computed_again(whole, history, caplog):
    first = history.extend(whole.panel, whole.events, 3)
    path = sorted(history.store.folder.glob("*.npz"))[1]
    path.write_bytes(path.read_bytes()[:1000])
    second = history.extend(whole.panel, whole.events, 3)
    assert "is damaged" in caplog.text
    assert second.computed == first.computed[1:]
    equal_bits(first.features["x"], second.features["x"])
