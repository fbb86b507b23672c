import numpy as np
import pytest
import xarray as xr
from dask.distributed import LocalCluster

from gogooku_kedro.features import FAMILIES, Execution, compute_features, engine, stream_features
from gogooku_kedro.features.registry import select_features

EVERY = list(FAMILIES)


@pytest.fixture(scope="module")
def panel(panel_factory) -> xr.Dataset:
    return panel_factory(n_dates=330, n_codes=90, seed=3)


@pytest.fixture(scope="module")
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "CODES_PER_CHUNK", 3)
        patch.setattr(engine, "DATES_PER_CHUNK", 16)
        yield


@pytest.fixture(scope="module")
def whole(panel) -> xr.Dataset:
    """Every feature with one block of each kind."""
    return compute_features(panel, EVERY, Execution(memory_mb=100_000))


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def assert_same_bits(left: xr.Dataset, right: xr.Dataset) -> None:
    assert list(left.data_vars) == list(right.data_vars)
    for name in left.data_vars:
        np.testing.assert_array_equal(left[name].values.view("u4"), right[name].values.view("u4"), err_msg=str(name))


def blocks_of(panel, execution):
    tasks = engine.plan(panel, select_features(panel, EVERY).features, execution)
    return [(task.kind, task.dates, task.codes) for task in tasks]


def least_memory(panel, workers=1) -> int:
    """The smallest working memory, in MiB, that one session with its look-back fits into."""
    for memory in range(1, 10_000):
        try:
            blocks_of(panel, Execution(workers=workers, memory_mb=memory))
        except ValueError:
            continue
        return memory
    raise AssertionError


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("workers", [1, 2])
def test_blocks_of_any_size_give_the_same_bits_as_the_whole(panel, whole, workers):
    least = least_memory(panel, workers)
    for memory in (least + least // 5, least + least // 2):
        execution = Execution(workers=workers, memory_mb=memory)
        kinds = [kind for kind, *_ in blocks_of(panel, execution)]
        assert kinds.count("stock") > 1
        assert kinds.count("cross_section") > 1
        assert kinds.count("market") > 1
        assert_same_bits(whole, compute_features(panel, EVERY, execution))


def test_last_sessions_are_computed_of_many_stocks_at_once_with_the_bits_of_a_few(panel, monkeypatch):
    assert [engine._codes_in_cache(sessions) for sessions in (64, 1024, 2500)] == [4096, 256, 256]
    features = [f for f in select_features(panel, EVERY).features if f.kind == "stock"]
    at_once = engine.compute_last(panel, features, 2)
    monkeypatch.setattr(engine, "VALUES_IN_CACHE", 0)
    monkeypatch.setattr(engine, "CODES_IN_CACHE", 3)
    a_few = engine.compute_last(panel, features, 2)
    for name, values in at_once.items():
        np.testing.assert_array_equal(values.view("u4"), a_few[name].view("u4"), err_msg=name)


@pytest.mark.usefixtures("small_chunks")
def test_a_dask_cluster_gives_the_same_bits(panel, whole, scheduler):
    execution = Execution("dask", scheduler, workers=2, memory_mb=least_memory(panel, 2) + 2)
    assert len(blocks_of(panel, execution)) > 5
    assert_same_bits(whole, compute_features(panel, EVERY, execution))


def test_without_an_address_a_cluster_is_started_on_this_machine(panel):
    chosen = ["returns", "sector"]
    local, cluster = (compute_features(panel, chosen, Execution(e)) for e in ("local", "dask"))
    assert_same_bits(local, cluster)


def test_a_scheduler_that_does_not_answer_is_named(panel, monkeypatch):
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ValueError, match=r"features\.scheduler = 'tcp://127\.0\.0\.1:9': no dask scheduler"):
        compute_features(panel, ["returns"], Execution("dask", "tcp://127.0.0.1:9"))


def test_future_rows_change_no_bit_on_a_cluster_either(panel, whole, scheduler):
    now = panel.sizes["date"] - 30
    other = panel.copy(deep=True)
    rng = np.random.default_rng(1)
    for name in other.data_vars:
        values = other[name].values
        if values.dtype.kind == "f" and other[name].dims == ("date", "code"):
            values[now + 1 :] *= rng.lognormal(0, 1, values[now + 1 :].shape)
    execution = Execution("dask", scheduler, workers=2, memory_mb=least_memory(panel, 2) + 2)
    later = compute_features(other, EVERY, execution)
    assert_same_bits(whole.isel(date=slice(0, now + 1)), later.isel(date=slice(0, now + 1)))
    assert not np.array_equal(later["return_1d"].values, whole["return_1d"].values, equal_nan=True)


def test_more_memory_means_fewer_and_larger_blocks(panel):
    least = least_memory(panel)
    counts = [len(blocks_of(panel, Execution(memory_mb=memory))) for memory in (least, 3 * least, 100 * least)]
    assert counts == sorted(counts, reverse=True)
    groups = list(engine._groups(select_features(panel, EVERY).features, (np.inf,), engine.LOOKBACKS))
    assert counts[-1] == len(groups)
    assert len(blocks_of(panel, Execution(workers=2, memory_mb=100 * least))) == 2 * len(groups)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_auto_is_a_block_for_every_core_with_the_same_bits(panel, whole, cores, monkeypatch):
    monkeypatch.setattr(engine, "cores", lambda: cores)
    execution = Execution(workers="auto", memory_mb=100_000)
    groups = list(engine._groups(select_features(panel, EVERY).features, (np.inf,), engine.LOOKBACKS))
    assert len(blocks_of(panel, execution)) == cores * len(groups)
    assert_same_bits(whole, compute_features(panel, EVERY, execution))


def test_auto_takes_fewer_where_the_memory_does_not_hold_a_block_for_every_core(panel, monkeypatch):
    monkeypatch.setattr(engine, "cores", lambda: 64)
    least = least_memory(panel, workers=2)
    features = select_features(panel, EVERY).features
    assert engine._that_fits(panel, features, Execution(workers="auto", memory_mb=least)).workers == 2
    with pytest.raises(ValueError, match=r"features\.memory_mb is too small for a block"):
        compute_features(panel, EVERY, Execution(workers="auto", memory_mb=1))


def test_blocks_cover_every_cell_once(panel):
    frame, seen = None, {}
    for block in stream_features(panel, EVERY, Execution(memory_mb=2 * least_memory(panel))):
        frame = block.frame
        for name in block.values:
            covered = seen.setdefault(name, np.zeros(frame.shape(name), dtype=int))
            covered[block.region(name)] += 1
    assert set(seen) == set(frame.dims)
    assert all((covered == 1).all() for covered in seen.values())


def test_too_little_memory_names_the_setting(panel):
    with pytest.raises(ValueError, match=r"features\.memory_mb is too small for a block of one"):
        compute_features(panel, EVERY, Execution(memory_mb=1))
