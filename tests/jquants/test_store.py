"""A partition counts whole or not at all, wherever a process ends."""

import os
import signal
import sqlite3
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from gogooku_kedro.jquants import store as store_module
from gogooku_kedro.jquants.endpoints import ENDPOINTS, OFFICIAL
from gogooku_kedro.jquants.store import EMPTY, Store, StoreError
from tests.jquants.conftest import fetch_of, files_of

BARS = ENDPOINTS["bars"]
ROW = dict.fromkeys(OFFICIAL["bars"], 1.0) | {"Date": "2020-12-30", "Code": "13010", "UL": "0", "LL": "0"}


def table(close: float = 1.0, code: str = "13010"):
    return BARS.table([ROW | {"C": close, "Code": code}], "2020-12-30")[0]


def write(store: Store, content, now: float, unit: str = "2020-12-30") -> bool:
    return store.write(BARS, unit, content, now=now, client="2.8.0")


def test_the_manifest_says_what_is_there(store):
    assert store.entries("bars") == {}
    assert write(store, table(), 100.0)
    entry = store.entries("bars")["2020-12-30"]
    assert (entry.status, entry.rows, entry.latest, entry.client) == ("ok", 1, "2020-12-30", "2.8.0")
    assert (entry.fetched_at, entry.schema) == (100.0, BARS.schema)
    assert store.last_call() == 100.0
    assert [path.name for path in (store.folder / "bars").iterdir()] == [Path(entry.file).name]


def test_the_same_rows_are_stored_once_and_other_rows_beside_them(store):
    write(store, table(), 100.0)
    before = files_of(store)
    assert not write(store, table(), 200.0)
    assert files_of(store) == before
    assert store.entries("bars")["2020-12-30"].checked_at == 200.0
    assert write(store, table(close=2.0), 300.0)
    assert store.read(BARS)["C"].to_list() == [2.0]
    assert store.read(BARS, as_of=250.0)["C"].to_list() == [1.0]
    assert store.read(BARS, as_of=50.0).empty
    assert len(store.versions("bars")) == 2


def test_no_rows_leave_a_line_and_no_file(store):
    write(store, BARS.arrow_schema.empty_table(), 100.0)
    assert store.entries("bars")["2020-12-30"].status == EMPTY
    assert files_of(store) == {}
    assert list(store.read(BARS).columns) == list(BARS.columns)


def test_a_damaged_file_is_found_refused_and_replaced(store):
    write(store, table(), 100.0)
    (path,) = (store.folder / "bars").iterdir()
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert store.damaged("bars") == ["2020-12-30"]
    with pytest.raises(StoreError, match=r"missing or damaged; run `kedro jquants-audit --repair`"):
        store.read(BARS)
    assert write(store, table(), 200.0)
    assert path.read_bytes() == good
    assert store.damaged("bars") == []


def test_a_manifest_that_is_none_is_said(store):
    write(store, table(), 100.0)
    (store.folder / "manifest.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"manifest.sqlite is damaged .*jquants-purge"):
        store.entries("bars")


@pytest.mark.parametrize("where", ["file", "manifest"])
def test_a_full_disk_leaves_what_was_there(store, monkeypatch, where):
    write(store, table(), 100.0)
    before = files_of(store)

    def full(*_):
        raise OSError(28, "No space left on device") if where == "file" else sqlite3.OperationalError("disk is full")

    monkeypatch.setattr(*((store_module.os, "fsync") if where == "file" else (Store, "_record")), full)
    with pytest.raises(StoreError, match=r"cannot be written .*make room"):
        write(store, table(code="99990"), 200.0)
    monkeypatch.undo()
    assert store.read(BARS)["Code"].to_list() == ["13010"]
    store.remove_unrecorded()
    assert files_of(store) == before


def test_everything_can_be_deleted(store):
    write(store, table(), 100.0)
    assert store.purge() == 2
    assert not store.folder.exists()
    assert store.purge() == 0


def test_a_process_killed_between_any_two_writes_is_resumed(server, market, tmp_path):
    """Kill -9 before and after every sync, rename, insert and commit, one process each, and go on from there."""
    server.limited = False
    options = {"start": pd.Timestamp("2020-12-28"), "events_start": pd.Timestamp("2020-12-28")}
    undisturbed = Store(tmp_path / "undisturbed")
    fetch_of(server, undisturbed, ("bars", "statements"), **options).run()
    expected, killed = files_of(undisturbed), 0
    for step in count(1):
        store = Store(tmp_path / str(step))
        child = os.fork()
        if child == 0:
            _kill_at(step)
            fetch_of(server, store, ("bars", "statements"), **options).run()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
        held = {name: set(store.entries(name)) for name in ("calendar", "bars", "statements")}
        assert [store.damaged(name) for name in held] == [[], [], []]
        before = len(server.requests)
        fetch_of(server, store, ("bars", "statements"), **options).run()
        asked = {query["date"] for _, path, query in server.requests[before:] if path == BARS.path}
        assert not asked & held["bars"]
        assert files_of(store) == expected
        assert not list(store.folder.rglob("*.tmp"))
    assert killed > 20


def _kill_at(step: int) -> None:
    """Kill this process at the given step of its writes."""
    steps = count(1)

    def maybe() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        maybe()
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        maybe()
        result = replace(path, target)
        maybe()
        return result

    class Connection(sqlite3.Connection):
        def execute(self, statement, *parameters):
            result = super().execute(statement, *parameters)
            if statement.startswith("INSERT"):
                maybe()
            return result

        def close(self):
            super().close()
            maybe()

    connect = sqlite3.connect
    os.fsync, Path.replace = synced, renamed  # type: ignore[method-assign,assignment]
    sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Connection)  # type: ignore[assignment]
