"""A fetch asks for what is missing, keeps to the plan, and ends as documented whatever goes wrong."""

import re

import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import sessions as exchange_sessions
from gogooku_kedro.jquants import client as client_module
from gogooku_kedro.jquants import store as store_module
from gogooku_kedro.jquants.endpoints import ENDPOINTS
from gogooku_kedro.jquants.fetch import COMPLETE, PARTIAL, Budget, Fetch, FetchStopped, Wanted
from gogooku_kedro.jquants.plans import PLANS
from gogooku_kedro.jquants.store import Store
from gogooku_kedro.jquants.work import Schedule, Span
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.conftest import ROOT
from tests.jquants.conftest import TABLES, client_of, fetch_of, files_of
from tests.jquants.fake_server import KEY, FakeServer, Fault, ServedMarket, VirtualClock, serving

BARS, STATEMENTS = "/equities/bars/daily", "/fins/summary"
DECEMBER = {"start": pd.Timestamp("2020-12-14"), "events_start": pd.Timestamp("2020-12-14")}
FEW = ("bars", "statements", "market_index")


@pytest.fixture(scope="module")
def undisturbed(market, tmp_path_factory) -> dict[str, bytes]:
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    with serving(FakeServer(market, VirtualClock("2020-12-31 20:00"))) as server:
        fetch_of(server, store, FEW, **DECEMBER).run()
    return files_of(store)


@pytest.fixture(scope="module")
def two_years() -> ServedMarket:
    settings = SampleMarketSettings(n_codes=18, start="2019-01-04", end="2021-01-15", seed=2, replicates=2)
    return ServedMarket(generate_sample_market(settings))


@pytest.mark.parametrize(
    ("plan", "tables"),
    [
        ("free", {"bars", "listed_issues", "statements"}),
        pytest.param("premium", set(TABLES), marks=pytest.mark.slow),
        pytest.param("light", set(TABLES) - {"margin_balances"}, marks=pytest.mark.slow),
        pytest.param("standard", set(TABLES), marks=pytest.mark.slow),
    ],
)
def test_two_years_are_fetched_without_a_refusal(two_years, tmp_path, plan, tables):
    weeks = PLANS[plan].delay_weeks
    clock = VirtualClock(f"{pd.Timestamp('2021-01-15') + pd.Timedelta(weeks=weeks):%Y-%m-%d} 20:00")
    store = Store(tmp_path)
    with serving(FakeServer(two_years, clock, plan=plan, page_bytes=1_500)) as server:
        options = {"start": pd.Timestamp("2019-01-15"), "events_start": pd.Timestamp("2019-01-15")}
        began = clock.time()
        summary = fetch_of(server, store, TABLES, **options).run()
        minutes = (clock.time() - began) / 60
    assert server.refused == 0
    assert summary.state == COMPLETE
    assert {name for name in TABLES if store.entries(name)} == tables
    of_bars = [count for (path, _), count in server.pages.items() if path == BARS]
    assert min(of_bars) >= 3
    assert len(of_bars) == len(store.entries("bars")) >= 480
    assert minutes >= (len(server.requests) - PLANS[plan].calls_per_minute) / PLANS[plan].calls_per_minute
    dates = {query["date"] for _, path, query in server.requests if path == BARS}
    assert all(pd.Timestamp(day).weekday() < 5 for day in dates)


def test_a_day_costs_at_most_ten_calls_and_a_second_run_none(server, store, clock):
    wanted = dict.fromkeys(("start", "events_start"), pd.Timestamp("2020-10-15"))
    days = pd.bdate_range("2020-11-30", "2020-12-11")  # over the turn of a month
    clock.set("2020-11-27 20:00")
    fetch_of(server, store, **wanted).run()
    newest = []
    for day in days:
        clock.set(f"{day:%Y-%m-%d} 20:00")
        before = len(server.requests)
        fetch_of(server, store, **wanted).run()
        assert len(server.requests) - before <= 10, day
        newest.append(max(store.entries("bars")))
        asked = {query["date"] for _, path, query in server.requests[before:] if path == BARS}
        assert len(asked) == 3  # the new session, and the two before it again
        before = len(server.requests)
        fetch_of(server, store, **wanted).run()
        assert len(server.requests) == before
    assert newest == [f"{day:%Y-%m-%d}" for day in days]


def test_a_saturday_asks_for_nothing_new(server, store, clock):
    clock.set("2020-12-25 20:00")
    fetch_of(server, store, FEW, **DECEMBER).run()
    before = len(server.requests)
    clock.set("2020-12-26 20:00")
    assert fetch_of(server, store, FEW, **DECEMBER).run().state == COMPLETE
    assert len(server.requests) == before


def test_a_session_that_is_not_published_yet_is_not_asked_for(server, store, clock):
    clock.set("2020-12-28 15:00")
    fetch_of(server, store, FEW, **DECEMBER).run()
    assert max(store.entries("bars")) == "2020-12-25"
    clock.set("2020-12-28 16:45")
    fetch_of(server, store, FEW, **DECEMBER).run()
    assert (max(store.entries("bars")), max(store.entries("statements"))) == ("2020-12-28", "2020-12-25")


def test_a_window_that_moves_with_the_day_asks_for_no_further_snapshots():
    sessions, master = exchange_sessions("2020-01-06", "2020-12-30"), ENDPOINTS["listed_issues"]
    now, end = pd.Timestamp("2020-12-31"), pd.Timestamp("2020-12-30")
    by_day = [
        Schedule(sessions, Span(day, day, end), now, refetch=3).units(master)
        for day in pd.to_datetime(["2020-03-02", "2020-03-03", "2020-03-04"])
    ]
    assert by_day[0] == by_day[1] == by_day[2]
    assert by_day[0][:2] == ["2020-04-01", "2020-05-01"]


def test_files_of_months_give_the_partitions_of_the_sessions(server, market, tmp_path):
    one_by_one, files = Store(tmp_path / "sessions"), Store(tmp_path / "files")
    options = {"start": pd.Timestamp("2020-10-01"), "events_start": pd.Timestamp("2020-10-01")}
    fetch_of(server, one_by_one, FEW, **options).run()
    calls = len(server.requests)
    fetch_of(server, files, FEW, bulk=True, **options).run()
    assert files_of(files) == files_of(one_by_one)
    assert len(server.requests) - calls < calls / 2
    assert [query for path_query in server.requests for query in [path_query[1]] if query == "/bulk/get"]


def test_a_budget_ends_a_run_and_the_next_goes_on(server, store, undisturbed):
    wanted = Wanted(FEW, bulk=False, **DECEMBER)
    states = []
    for _ in range(12):
        summary = Fetch(client_of(server), store, wanted, Budget(max_calls=5)).run()
        states.append(summary.state)
        assert summary.calls <= 6
        if summary.state == COMPLETE:
            break
        assert sum(summary.left.values()) > 0
    assert states[0] == PARTIAL
    assert states[-1] == COMPLETE
    assert files_of(store) == undisturbed


def test_minutes_end_a_run_too(server, store, clock):
    server.plan = "light"
    wanted = Wanted(TABLES, start=pd.Timestamp("2020-07-01"), bulk=False)
    summary = Fetch(client_of(server), store, wanted, Budget(max_minutes=2)).run()
    assert summary.state == PARTIAL
    assert 120 <= clock.time() - pd.Timestamp("2020-12-31 20:00", tz="Asia/Tokyo").timestamp() < 200


def test_a_plan_that_the_service_sees_as_smaller_is_followed(server, store, clock):
    server.plan = "light"
    client = client_of(server, "premium")
    client.plan = PLANS["premium"]
    server.limited = False
    clock.set("2020-12-31 20:00")
    wanted = Wanted(("bars", "margin_balances"), start=pd.Timestamp("2015-12-01"), bulk=False)
    wanted.end = pd.Timestamp("2016-01-08")
    summary = Fetch(client, store, wanted).run()
    assert summary.skipped == ["margin_balances"]
    assert any("the subscription has 2015-12-31 to" in note for note in summary.notes)
    assert not any(day < "2015-12-31" for day in store.entries("bars"))


FAULTS = {
    # name of the fault: (fault, how the run ends, words of the message)
    "429": (Fault("429", BARS, times=2, after=2), "retried", ""),
    "429 for good": (Fault("429", BARS, times=99, after=2), "stopped", "too many requests"),
    "500": (Fault("500", BARS, times=3, after=2), "retried", ""),
    "503 for good": (Fault("503", BARS, times=99, after=2), "stopped", "status 503, 6 times"),
    "reset": (Fault("reset", STATEMENTS, times=2, after=1), "retried", ""),
    "timeout": (Fault("timeout", BARS, times=1, after=1), "retried", ""),
    "truncated gzip": (Fault("truncated gzip", BARS, times=2, after=1), "retried", ""),
    "invalid JSON": (Fault("invalid JSON", BARS, times=2, after=1), "retried", ""),
    "wrong content type": (Fault("wrong content type", STATEMENTS, times=99), "stopped", "content type 'text/html'"),
    "missing column": (Fault("missing column", BARS, times=1, after=3, column="C"), "stopped", "has no column C"),
    "not a number": (Fault("not a number", BARS, times=1, after=3, column="C"), "stopped", "where a number belongs"),
    "extra column": (Fault("extra column", BARS, times=99, column="Vwap"), "warned", "new columns Vwap"),
    "empty session": (Fault("empty", BARS, times=1, after=3), "warned", "no rows; asked for again by the next run"),
    "stale pagination key": (Fault("stale pagination key", BARS, times=1, after=4), "retried", ""),
    "key revoked midway": (Fault("revoked", BARS, times=1, after=3), "stopped", "does not take the API key"),
    "table not subscribed": (Fault("not subscribed", STATEMENTS, times=1), "warned", "statements is left out"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_as_documented_and_the_next_run_completes_the_store(server, store, undisturbed, monkeypatch, name):
    fault, end, words = FAULTS[name]
    monkeypatch.setattr(client_module, "_TIMEOUT", (1, 0.3))
    server.page_bytes = 2_000 if fault.kind != "empty" else 5_000_000
    server.faults = [Fault(fault.kind, fault.path, fault.times, fault.after, fault.column)]
    if end == "stopped":
        with pytest.raises(FetchStopped, match=re.escape(words)) as stopped:
            fetch_of(server, store, FEW, **DECEMBER).run()
        assert "partitions stored" in str(stopped.value)
        assert KEY not in str(stopped.value)
    else:
        summary = fetch_of(server, store, FEW, **DECEMBER).run()
        assert summary.state == COMPLETE
        assert any(words in note for note in summary.notes) == (end == "warned")
        if end == "retried":
            assert files_of(store) == undisturbed
    assert all(store.damaged(table) == [] for table in FEW)
    server.faults, server.key = [], KEY
    held = set(store.entries("bars")) - {unit for unit, e in store.entries("bars").items() if e.status == "empty"}
    before = len(server.requests)
    assert fetch_of(server, store, FEW, **DECEMBER).run().state == COMPLETE
    assert not {q["date"] for _, path, q in server.requests[before:] if path == BARS} & held
    assert files_of(store) == undisturbed


def test_a_full_disk_ends_a_fetch_that_goes_on_later(server, store, undisturbed, monkeypatch):
    fsync, calls = store_module.os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(FetchStopped, match=r"No space left on device.*make room"):
        fetch_of(server, store, FEW, **DECEMBER).run()
    monkeypatch.undo()
    fetch_of(server, store, FEW, **DECEMBER).run()
    assert files_of(store) == undisturbed


def test_the_documentation_shows_every_fault():
    page = (ROOT / "docs" / "jquants.md").read_text()
    rows = dict(re.findall(r"(?m)^\| ([^|]+) \| (retried|warned|stopped)[^|]* \|", page))
    assert {name: end for name, (_, end, _) in FAULTS.items()}.items() <= rows.items()
    assert {"disk full", "kill -9"} <= set(rows)


def test_what_is_corrected_within_three_sessions_is_stored_beside_what_was_first_said(server, store, clock):
    clock.set("2020-12-25 20:00")
    server.faults = [Fault("short", BARS, times=1, after=9)]
    fetch_of(server, store, ("bars",), **DECEMBER).run()
    assert len(store.versions("bars")) == 10
    clock.set("2020-12-28 20:00")
    fetch_of(server, store, ("bars",), **DECEMBER).run()
    versions = [entry for entry in store.versions("bars") if entry.unit == "2020-12-25"]
    assert versions[0].rows < versions[1].rows
    assert len(store.read(ENDPOINTS["bars"], units={"2020-12-25"})) == versions[1].rows
