"""The audit lists what is missing, short, damaged or changed since, and the repair fetches just that."""

from copy import copy

import pandas as pd
import pytest

from gogooku_kedro.jquants.audit import audit, probe, spread_units
from gogooku_kedro.jquants.endpoints import ENDPOINTS
from gogooku_kedro.jquants.fetch import Fetch
from gogooku_kedro.jquants.store import Store
from tests.jquants.conftest import client_of, fetch_of, files_of
from tests.jquants.fake_server import FakeServer, Fault, ServedMarket, split_of

BARS = "/equities/bars/daily"
TABLES = ("bars", "statements")
START = {"start": pd.Timestamp("2020-10-01"), "events_start": pd.Timestamp("2020-10-01")}


@pytest.fixture
def fetch(server: FakeServer, store: Store) -> Fetch:
    server.limited = False
    whole = fetch_of(server, store, TABLES, **START)
    whole.run()
    return whole


def found(store: Store, fetch: Fetch) -> list[tuple[str, str, str]]:
    return [(f.table, f.unit, f.kind) for f in audit(store, fetch.schedule(), TABLES)]


def test_a_whole_store_has_no_findings(store, fetch, server):
    assert found(store, fetch) == []
    assert probe(client_of(server), store, spread_units(sorted(store.entries("bars")), 3)) == []


def test_what_is_missing_damaged_short_or_empty_is_listed_and_only_that_is_fetched(store, fetch, server):
    whole = files_of(store)
    store.forget("bars", "2020-11-04")
    (store.folder / store.entries("statements")["2020-11-06"].file).write_bytes(b"half")
    server.faults = [Fault("short", BARS), Fault("empty", BARS)]
    fetch.fetch_units(ENDPOINTS["bars"], ["2020-11-10", "2020-11-12"])
    expected = [
        ("bars", "2020-11-04", "missing"),
        ("bars", "2020-11-12", "empty"),
        ("bars", "2020-11-10", "short"),
        ("statements", "2020-11-06", "damaged"),
    ]
    assert found(store, fetch) == expected
    before = len(server.requests)
    for table, unit, _ in expected:
        fetch.fetch_units(ENDPOINTS[table], [unit])
    assert [query["date"] for _, _, query in server.requests[before:]] == [unit for _, unit, _ in expected]
    assert found(store, fetch) == []
    assert whole.items() <= files_of(store).items()


def served(market: ServedMarket, **changed) -> ServedMarket:
    """The market with other rows of some tables."""
    other = copy(market)
    other.rows = market.rows | changed
    return other


def test_a_split_of_today_invalidates_nothing(market, server, store, fetch, tmp_path):
    day, _ = split_of(market.tables, after="2020-10-12")
    earlier = Store(tmp_path / "earlier")
    fetch_of(server, earlier, ("bars",), **START, end=pd.Timestamp(day) - pd.Timedelta(days=1)).run()
    before = {name: content for name, content in files_of(earlier).items() if name.startswith("bars/")}
    assert before
    assert before.items() <= files_of(store).items()


def test_a_restated_factor_is_found_through_the_adjusted_prices(store, fetch, server):
    day, code = "2020-11-20", server.market.rows["bars"]["2020-10-01"][0]["Code"]
    bars = {d: [dict(row) for row in listed] for d, listed in server.market.rows["bars"].items()}
    for row in (row for d, listed in bars.items() if d <= day for row in listed if row["Code"] == code):
        if row["Date"] == day:
            row["AdjFactor"] = 0.9
        elif row["AdjC"] is not None:
            row["AdjC"] = round(row["AdjC"] * 0.9, 1)
    server.market = served(server.market, bars=bars)
    before = len(server.requests)
    findings = probe(client_of(server), store, ["2020-10-08"])
    assert [(f.unit, f.kind) for f in findings] == [(day, "revised")]
    assert f"AdjFactor of {code} is 0.9, stored 1" in findings[0].text
    assert len(server.requests) - before == 3  # bars and statements of the session, and the code
    assert fetch.fetch_units(ENDPOINTS["bars"], [day]) == [day]
    assert probe(client_of(server), store, ["2020-10-08"]) == []


def test_a_corrected_filing_is_found(store, fetch, server):
    filed = next(day for day, rows in server.market.rows["statements"].items() if rows and day >= "2020-10-15")
    rows = {day: [dict(row) for row in listed] for day, listed in server.market.rows["statements"].items()}
    rows[filed][0]["Sales"] = "1"
    server.market = served(server.market, statements=rows)
    (finding,) = probe(client_of(server), store, [filed])
    assert (finding.table, finding.unit, finding.kind) == ("statements", filed, "revised")
    assert f"1 rows differ in Sales: DiscNo {rows[filed][0]['DiscNo']}" in str(finding)


def test_units_are_spread_from_the_first_to_the_last():
    assert spread_units(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert spread_units(["a"], 3) == ["a"]
    assert spread_units([], 3) == []
