"""What was fetched gives the market that the sample source gives, bit for bit."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import sessions
from gogooku_kedro.exchange.tse import SEGMENT_REFORM
from gogooku_kedro.jquants.endpoints import ENDPOINTS, OFFICIAL
from gogooku_kedro.jquants.store import Store
from gogooku_kedro.jquants.tables import TABLES, read_table
from gogooku_kedro.market import standardise_bars
from gogooku_kedro.params import FeaturesParams, GraphParams, IngestionParams, LabelsParams
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.conftest import settings_of
from tests.flow import data_flow
from tests.jquants.conftest import fetch_of
from tests.jquants.fake_server import FakeServer, ServedMarket, VirtualClock, serving

BAR = dict.fromkeys(OFFICIAL["bars"], 1.0) | {"UL": "0", "LL": "0"}
ISSUE = dict.fromkeys(OFFICIAL["listed_issues"], "") | {"S33": "0050", "Mkt": "0111", "ProdCat": "011"}
HISTORY = {"start": pd.Timestamp("2017-06-01"), "events_start": pd.Timestamp("2017-06-01"), "bulk": True}


def loaded(market: ServedMarket, folder, end: str | None = None) -> Store:
    """Everything that the market has, statements of the years before included."""
    store = Store(folder)
    last = market.sessions[-1] + pd.Timedelta(days=5)
    with serving(FakeServer(market, VirtualClock(f"{last:%Y-%m-%d} 20:00"), limited=False)) as server:
        wanted = HISTORY | {"start": market.sessions[0], "end": pd.Timestamp(end) if end else market.sessions[-1]}
        fetch_of(server, store, TABLES, **wanted).run()
    return store


@pytest.fixture(scope="module")
def reform() -> ServedMarket:
    """Across the segment reform, with listings, delistings and splits."""
    settings = SampleMarketSettings(
        n_codes=40, start="2021-12-01", end="2022-06-30", seed=4, replicates=2, listing_rate=0.3, split_rate=0.4
    )
    return ServedMarket(generate_sample_market(settings))


@pytest.fixture(scope="module")
def store(reform, tmp_path_factory) -> Store:
    return loaded(reform, tmp_path_factory.mktemp("loaded"))


@pytest.fixture(scope="module")
def fetched(store) -> dict[str, pd.DataFrame]:
    return {name: read_table(store, name) for name in TABLES}


@pytest.mark.parametrize("name", ["bars", "market_index"])
def test_prices_are_those_of_the_market(reform, fetched, name):
    expected = reform.tables[name].sort_values([c for c in ("Date", "Code") if c in reform.tables[name]])
    found = fetched[name][list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_exact=True)


def test_issues_are_stated_where_they_change(reform, fetched):
    names = ["Date", "Code", "CoName", "S33", "S33Nm", "Mkt", "MktNm", "ScaleCat"]
    expected = reform.tables["listed_issues"].sort_values(["Date", "Code"], ignore_index=True)[names]
    pd.testing.assert_frame_equal(fetched["listed_issues"][names], expected, check_dtype=False)
    assert (fetched["listed_issues"]["Date"] == SEGMENT_REFORM).sum() > 20


@pytest.mark.parametrize("name", ["statements", "investor_flows", "margin_balances"])
def test_events_are_those_of_the_market(reform, fetched, name):
    key = list(ENDPOINTS[name].key)
    expected = reform.tables[name].sort_values([ENDPOINTS[name].day, *key], ignore_index=True)
    found = fetched[name].sort_values([ENDPOINTS[name].day, *key], ignore_index=True)[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


def test_features_labels_and_graph_are_those_of_the_sample_source(reform, fetched):
    settings = settings_of("test", features__families=settings_of()["features"]["families"])
    sections = (
        IngestionParams.model_validate(settings["ingestion"]),
        FeaturesParams.model_validate(settings["features"]),
        GraphParams.model_validate(settings["graph"]),
        LabelsParams.model_validate(settings["labels"]),
    )
    ours, sample = data_flow(fetched, *sections), data_flow(reform.tables, *sections)
    assert ours.candidates == sample.candidates
    assert len(sample.raw_features.data_vars) > 0
    for name in ("panel", "events", "raw_features", "labels", "neighbour_panel"):
        found, expected = getattr(ours, name), getattr(sample, name)
        assert found.sizes == expected.sizes
        for variable in expected.variables:
            np.testing.assert_array_equal(found[variable].to_numpy(), expected[variable].to_numpy(), variable)
    pd.testing.assert_frame_equal(ours.edges, sample.edges, check_exact=True)


def test_later_rows_change_no_earlier_ones(reform, store, fetched, tmp_path):
    until = pd.Timestamp("2022-04-15")
    short = loaded(reform, tmp_path, end=f"{until:%Y-%m-%d}")
    for name in TABLES:
        day = ENDPOINTS[name].day
        before = read_table(short, name)
        whole = fetched[name]
        expected = whole[whole[day] <= until].reset_index(drop=True)
        pd.testing.assert_frame_equal(before, expected, check_exact=True)


def test_a_vintage_is_what_was_fetched_until_then(tmp_path):
    store = _store(tmp_path, {"13010": range(3)})
    bars = ENDPOINTS["bars"]
    day = _days(3)[1]
    corrected, _ = bars.table([BAR | {"Date": day, "Code": "13010", "C": 2.0}], day)
    store.write(bars, day, corrected, now=2_000.0, client="")
    assert read_table(store, "bars")["C"].to_list() == [1.0, 2.0, 1.0]
    assert read_table(store, "bars", as_of=1_500.0)["C"].to_list() == [1.0, 1.0, 1.0]


def test_a_code_that_comes_back_is_another_company(tmp_path):
    days = _days(100)
    present = {"13010": [*range(10), *range(80, 100)], "72030": range(100), "99990": [*range(50), *range(95, 100)]}
    store = _store(tmp_path, present)
    statements = ENDPOINTS["statements"]
    for day, number in ((days[3], "1"), (days[90], "2")):
        row = dict.fromkeys(OFFICIAL["statements"], "") | {"DiscDate": day, "Code": "13010", "DiscNo": number}
        store.write(statements, day, statements.table([row], day)[0], now=1_000.0, client="")
    bars = read_table(store, "bars")
    counts = bars["Code"].value_counts().to_dict()
    assert counts == {"72030": 100, "13010": 10, "13010-2": 20, "99990": 55}  # 45 sessions are a long halt
    assert read_table(store, "statements")["Code"].to_list() == ["13010", "13010-2"]


def test_only_ordinary_shares_of_the_exchange_are_bars(tmp_path):
    codes = ("13010", "25935", "13060", "130A0", "86990")
    kinds = {"13060": {"ProdCat": "014", "Mkt": "0109", "S33": "9999"}, "86990": {"Mkt": "0105"}}
    store = _store(tmp_path, {code: range(5) for code in codes}, kinds)
    bars = read_table(store, "bars")
    assert set(bars["Code"]) == {"13010", "13060", "130A0"}
    daily, report = standardise_bars(bars, read_table(store, "listed_issues"))
    assert set(daily["code"]) == {"13010", "130A0"}
    assert report["issues"]["not_common_stock"]["codes"] == 1


def test_what_is_not_there_is_said(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match=r"no J-Quants prices .*--pipelines=jquants"):
        read_table(store, "bars")
    with pytest.raises(ValueError, match="no table of J-Quants"):
        read_table(store, "prices")
    for name in set(TABLES) - {"bars"}:
        empty = read_table(store, name)
        assert empty.empty
        assert list(empty.columns) == list(ENDPOINTS[name].columns)


def _days(count: int) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in sessions("2020-01-06", "2020-12-30")[:count]]


def _store(folder, present, kinds=None) -> Store:
    """Bars of each code on the given sessions, and a snapshot of all codes on the first."""
    store = Store(folder)
    bars, master = ENDPOINTS["bars"], ENDPOINTS["listed_issues"]
    days = _days(1 + max(position for positions in present.values() for position in positions))
    for position, day in enumerate(days):
        rows = [BAR | {"Date": day, "Code": code} for code, where in present.items() if position in where]
        store.write(bars, day, bars.table(rows, day)[0], now=1_000.0, client="")
    issues = [ISSUE | {"Date": days[0], "Code": code} | (kinds or {}).get(code, {}) for code in present]
    store.write(master, days[0], master.table(issues, days[0])[0], now=1_000.0, client="")
    return store
