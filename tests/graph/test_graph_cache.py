import logging
import os
import time

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.graph import SnapshotCache, Window, build, build_edges, cache, find_edges, snapshot_key
from tests.graph.conftest import graph_params

LEAD_LAG = {"enabled": True, "fdr": 0.5, "k": 2}
PARAMS = graph_params(join="union", residual="sector", sector_nearest=2, lead_lag=LEAD_LAG)


@pytest.fixture
def store(tmp_path) -> SnapshotCache:
    return SnapshotCache(tmp_path / "graphs")


@pytest.fixture
def built(monkeypatch) -> list[Window]:
    """Windows whose edges were really looked for."""
    windows = []

    def counted(window, params):
        windows.append(window)
        return find_edges(window, params)

    monkeypatch.setattr(build, "find_edges", counted)
    return windows


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def test_an_unchanged_graph_is_read_back_in_every_bit(clustered, store, built, caplog):
    caplog.set_level(logging.INFO, logger="gogooku_kedro.graph.build")
    plain = build_edges(clustered, PARAMS)
    assert len(built) == 5
    same(build_edges(clustered, PARAMS, cache=store), plain)
    assert len(built) == 10
    same(build_edges(clustered, PARAMS, cache=store), plain)
    assert len(built) == 10
    assert [r.getMessage() for r in caplog.records] == [
        "0 graphs from the cache, 5 built",
        "5 graphs from the cache, 0 built",
    ]


def test_new_sessions_build_only_their_own_graphs(clustered, store, built):
    build_edges(clustered.isel(date=slice(0, 130)), PARAMS, cache=store)
    assert len(built) == 4
    same(build_edges(clustered, PARAMS, cache=store), build_edges(clustered, PARAMS))
    assert len(built) == 4 + 1 + 5


def test_another_cadence_uses_what_it_shares(clustered, store, built):
    build_edges(clustered, PARAMS, cache=store)
    build_edges(clustered, PARAMS.model_copy(update={"cadence": 40}), cache=store)
    assert len(built) == 5


def test_a_changed_return_builds_the_graphs_that_see_it(clustered, store, built):
    build_edges(clustered, PARAMS, cache=store)
    other = clustered.copy(deep=True)
    other["ret_1d"][25, 3] = np.nextafter(np.float32(0.01), np.float32(1))
    same(build_edges(other, PARAMS, cache=store), build_edges(other, PARAMS))
    assert len(built) == 5 + 2 + 5  # rows 1-60 and 21-80


CHANGES = {
    "window": 50,
    "min_observations": 41,
    "residual": "market",
    "pca_factors": 3,
    "correlation": "ewma",
    "half_life": 21.0,
    "threshold": 0.11,
    "k": 4,
    "join": "mutual",
    "negative_edges": False,
    "max_degree": 5,
    "sector_nearest": 1,
    "lead_lag": graph_params(lead_lag=LEAD_LAG | {"fdr": 0.4}).lead_lag,
}
NO_CHANGE_OF_EDGES = {
    "cadence": 21,
    "checks": graph_params(checks={"degree_min": 0, "degree_max": 2, "isolates_max": 1}).checks,
    "cache_dir": "elsewhere",
}


def window(**changes) -> Window:
    returns = np.random.default_rng(0).standard_normal((60, 3))
    ids = np.array([0, 0, 1])
    given = Window(np.array(["13010", "13020", "13030"]), ids, returns, np.zeros(60))
    return given._replace(**changes)


def test_every_setting_that_decides_edges_is_in_the_key():
    assert set(CHANGES) | set(NO_CHANGE_OF_EDGES) == set(type(PARAMS).model_fields)
    keys = [snapshot_key(window(), PARAMS.model_copy(update={k: v})) for k, v in CHANGES.items()]
    assert len({snapshot_key(window(), PARAMS), *keys}) == len(CHANGES) + 1
    places = [snapshot_key(window(), PARAMS.model_copy(update={k: v})) for k, v in NO_CHANGE_OF_EDGES.items()]
    assert set(places) == {snapshot_key(window(), PARAMS)}


def test_every_byte_of_the_window_and_the_version_are_in_the_key(monkeypatch):
    returns, index = window().returns.copy(), window().index_return.copy()
    returns[3, 1] = np.nextafter(returns[3, 1], 1)
    index[59] = np.nan
    others = [
        window(returns=returns),
        window(returns=window().returns[:-1]),
        window(index_return=index),
        window(sector_ids=np.array([0, 0, -1])),
        window(codes=np.array(["13010", "13020", "13040"])),
    ]
    keys = {snapshot_key(each, PARAMS) for each in [window(), *others]}
    monkeypatch.setattr(cache, "GRAPH_VERSION", cache.GRAPH_VERSION + 1)
    keys.add(snapshot_key(window(), PARAMS))
    assert len(keys) == 7


def damage(path, how):
    content = path.read_bytes()
    changed = {
        "cut short": content[: len(content) // 2],
        "one bit": content[:300] + bytes([content[300] ^ 1]) + content[301:],
        "empty": b"",
        "no archive": b"not a graph",
    }
    path.write_bytes(changed[how])


@pytest.mark.parametrize("how", ["cut short", "one bit", "empty", "no archive"])
def test_a_damaged_file_is_named_once_and_built_again(clustered, store, built, caplog, how):
    plain = build_edges(clustered, PARAMS, cache=store)
    path = sorted(store.folder.iterdir())[0]
    whole = path.read_bytes()
    damage(path, how)
    same(build_edges(clustered, PARAMS, cache=store), plain)
    assert len(built) == 5 + 1
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"graph cache: {path} is damaged" in warning
    assert path.read_bytes() == whole


def test_the_graph_of_another_key_is_damage(store, caplog):
    snapshot = find_edges(window(), PARAMS)
    store.save("one", snapshot)
    np.testing.assert_array_equal(store.load("one").source, snapshot.source)
    store.path("one").rename(store.path("other"))
    assert store.load("other") is None
    assert "is damaged (it has another key)" in caplog.text


def test_another_archive_under_the_name_of_a_graph_is_damage(store, caplog):
    np.savez(store.path("key"), source=np.arange(3))
    assert store.load("key") is None
    assert "is damaged" in caplog.text


def test_nothing_unfinished_is_left_or_read(store, monkeypatch):
    snapshot = find_edges(window(), PARAMS)

    def interrupted(file, **arrays):
        file.write(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.save("key", snapshot)
    assert list(store.folder.iterdir()) == []
    assert store.load("key") is None
    store.save("key", snapshot)
    for name, array in store.load("key")._asdict().items():
        np.testing.assert_array_equal(array, getattr(snapshot, name), strict=True)


def test_what_was_not_used_for_a_month_is_deleted_and_use_counts(clustered, store):
    build_edges(clustered, PARAMS, cache=store)
    used = set(store.folder.iterdir())
    store.save("unused", find_edges(window(), PARAMS))
    (store.folder / ".unused.npz.1.tmp").write_bytes(b"")
    long_ago = time.time() - 31 * 86_400
    for path in store.folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    build_edges(clustered, PARAMS, cache=store)
    assert set(store.folder.iterdir()) == used
    assert store.prune(keep_days=29) == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"graph\.cache_dir = '.*file/graphs': .* or write null"):
        SnapshotCache(tmp_path / "file" / "graphs")
