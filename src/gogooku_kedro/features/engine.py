"""Computes features in blocks: of stocks for time-series formulas, of dates for cross-sections.

A feature sees no row before its look-back, bit for bit (`arrays/fold.py`), so a block of dates
with the look-back before it gives the same bits as the whole panel, and the size of the blocks, the
number of workers and the machine they run on change nothing but time and memory.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.features.declared import DeclaredPanel
from gogooku_kedro.features.feature import Feature, Kind, shared_results
from gogooku_kedro.features.registry import REGISTERED, find_feature, log_dropped, select_features
from gogooku_kedro.market.blocks import PanelBlock, PanelFrame, assemble
from gogooku_kedro.typing import Array, Float32Array

logger = logging.getLogger(__name__)

Engine = Literal["local", "dask"]
Values = dict[str, Float32Array]

CODES_PER_CHUNK = 512  # blocks of stocks are multiples of the stored chunk where memory allows
DATES_PER_CHUNK = 256
CONNECT_SECONDS = 10  # wait for the answer of a scheduler
LOOKBACKS = (64.0, 128.0, np.inf)  # features of dates are computed in groups of like look-back
LOOKBACKS_OF_FEW = (2.0, 26.0, 69.0, 125.0, np.inf)  # of the last few sessions, whose look-back is nearly all the work
CODES_IN_CACHE = 256
VALUES_IN_CACHE = 2**18  # codes times sessions; of few sessions more codes, as every call of a formula costs a while
INTERMEDIATE = 60  # float64 arrays of a block's size that its formulas hold at the same time


class MemoryTooSmallError(ValueError):
    """The working memory does not hold the smallest block."""


@dataclass(frozen=True)
class Execution:
    """Where and how large: nothing here changes a result.

    Attributes:
        engine: `local` computes in threads of this process, `dask` on a dask.distributed cluster.
        scheduler: Address of the cluster's scheduler (`tcp://host:8786`); None starts a cluster of
            `workers` processes on this machine for the time of the computation.
        workers: Blocks computed at the same time; `auto`: one for every core of this process, fewer where the
            memory does not hold as many.
        memory_mb: Working memory of all blocks together, in MiB; decides their size.
    """

    engine: Engine = "local"
    scheduler: str | None = None
    workers: int | Literal["auto"] = 1
    memory_mb: int = 4096

    @property
    def threads(self) -> int:
        """Return how many blocks are computed at the same time where the memory holds them."""
        return cores() if self.workers == "auto" else self.workers


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


LOCAL = Execution()


class _Task(NamedTuple):
    kind: Kind
    names: tuple[str, ...]
    dates: slice
    codes: slice
    halo: int


def compute_features(panel: xr.Dataset, families: Sequence[str], execution: Execution = LOCAL) -> xr.Dataset:
    """Compute the raw features of `families` from the panel, in memory.

    Formulas run in float64. A value exists only where the whole look-back lies inside the panel
    and, for rolling statistics, where at least 80% of the window is present. Rows after t never
    change values up to t.

    Args:
        panel: Market panel `(date, code)`, with the variables of events and neighbours where there are any.
        families: Names among `FAMILIES`; one whose needs the panel does not meet drops out with one
            INFO line.
        execution: Engine, workers and memory.

    Returns:
        One float32 variable per feature, `(date, code)`, or `(date,)` for the kind `market`; NaN where
        undefined.

    Raises:
        ValueError: A family is unknown or named twice, no feature is left, or the memory is too small.
    """
    return assemble(stream_features(panel, families, execution))


def stream_features(panel: xr.Dataset, families: Sequence[str], execution: Execution = LOCAL) -> Iterator[PanelBlock]:
    """Yield the raw features block by block, as `compute_features` describes them."""
    selection = select_features(panel, families)
    log_dropped(selection.dropped)
    logger.info("%d features of %d families", len(selection.features), len(families))
    return stream_selected(panel, selection.features, execution)


def stream_selected(
    panel: xr.Dataset, features: Sequence[Feature], execution: Execution = LOCAL
) -> Iterator[PanelBlock]:
    """Yield some registered features, whose needs the panel meets, block by block."""
    if execution.engine != "local" and any(feature.name in REGISTERED for feature in features):
        raise ValueError(
            f"features.engine = {execution.engine!r}: the registered features {', '.join(REGISTERED)} are in this "
            f"process alone; write engine: local, or put them into a family"
        )
    frame = _frame(panel, features)
    execution = _that_fits(panel, features, execution)
    tasks = list(plan(panel, features, execution))
    with _submitter(execution) as submit:
        pending: deque[tuple[_Task, Callable[[], Values]]] = deque()
        waiting, number = iter(tasks), 0
        while True:
            while len(pending) <= execution.threads and (task := next(waiting, None)) is not None:
                pending.append((task, submit(_compute, task, _view(panel, task))))
            if not pending:
                return
            task, result = pending.popleft()
            yield PanelBlock(frame, result(), task.dates, task.codes, number, len(tasks))
            number += 1


def compute_last(panel: xr.Dataset, features: Sequence[Feature], sessions: int, execution: Execution = LOCAL) -> Values:
    """Return some features on the last sessions of a panel, computed from these and the look-back before them.

    The values are those of the whole panel, bit for bit, as long as the panel has the longest look-back before the
    sessions, or begins with its market.

    Args:
        panel: Market panel that meets the needs of the features.
        features: Registered features.
        sessions: How many of the last sessions.
        execution: Engine and workers; memory is not minded, the few sessions and their look-back are held as a whole.

    Returns:
        float32 `(date, code)` by name, `(date,)` for the kind `market`.
    """
    first, stop = panel.sizes["date"] - sessions, panel.sizes["date"]
    computed: Values = {}
    with _submitter(replace(execution, workers=execution.threads)) as submit:
        results = []
        for kind, members in _groups(features, LOOKBACKS_OF_FEW, LOOKBACKS_OF_FEW):
            names, halo = tuple(feature.name for feature in members), max(feature.lookback for feature in members)
            task = _Task(kind, names, slice(first, stop), slice(0, panel.sizes["code"]), min(halo, first))
            results.append(submit(_compute, task, _view(panel, task)))
        for result in results:
            computed |= result()
    return computed


def plan(panel: xr.Dataset, features: Sequence[Feature], execution: Execution) -> Iterator[_Task]:
    """Yield the blocks, each as large as its share of the memory and of the work.

    Raises:
        MemoryTooSmallError: The memory does not hold the smallest block.
    """
    n_dates, n_codes = panel.sizes["date"], panel.sizes["code"]
    budget = execution.memory_mb * 2**20 / (execution.threads + 1)
    for kind, members in _groups(features, (np.inf,), LOOKBACKS):
        names = tuple(feature.name for feature in members)
        computing, kept = 8 * (len(_needs(members)) + INTERMEDIATE), 4 * (len(_needs(members)) + len(members))
        if kind == "stock":  # a few stocks at a time are computed, see `_compute`
            per_session, share = budget / n_dates, _share(n_codes, execution)
            at_once = _codes_in_cache(n_dates)
            room = min(per_session / (computing + kept), at_once)
            room = max(room, (per_session - computing * at_once) / kept)
            size = _block_size(room, CODES_PER_CHUNK, share, "one stock")
            for start in range(0, n_codes, size):
                codes = slice(start, min(start + size, n_codes))
                yield _Task(kind, names, slice(0, n_dates), codes, 0)
        else:
            halo = max(feature.lookback for feature in members)
            room = budget / ((computing + kept) * n_codes) - halo
            smallest = f"one session and {halo} before it"
            size = _block_size(room, DATES_PER_CHUNK, _share(n_dates, execution), smallest)
            for start in range(0, n_dates, size):
                dates = slice(start, min(start + size, n_dates))
                yield _Task(kind, names, dates, slice(0, n_codes), min(halo, start))


def _that_fits(panel: xr.Dataset, features: Sequence[Feature], execution: Execution) -> Execution:
    """Return the execution with a number of workers: of `auto`, the most up to the cores whose blocks fit."""
    if execution.workers != "auto":
        return execution
    for workers in range(execution.threads, 1, -1):
        fewer = replace(execution, workers=workers)
        with suppress(MemoryTooSmallError):
            list(plan(panel, features, fewer))
            return fewer
    return replace(execution, workers=1)


def _groups(
    features: Sequence[Feature], of_stocks: Sequence[float], of_dates: Sequence[float]
) -> Iterator[tuple[Kind, list[Feature]]]:
    """Features of one kind and of like look-back, which a block of dates has to read once more."""
    for kind in get_args(Kind):
        bounds = of_stocks if kind == "stock" else of_dates
        least = -1.0
        for most in bounds:
            members = [f for f in features if f.kind == kind and least < f.lookback <= most]
            if members:
                yield kind, members
            least = most


def _codes_in_cache(n_dates: int) -> int:
    """Stocks whose formulas are computed at once."""
    return max(CODES_IN_CACHE, VALUES_IN_CACHE // max(n_dates, 1))


def _share(length: int, execution: Execution) -> int:
    """Rows of one block at most, so that every worker has one."""
    return -(-length // execution.threads)


def _block_size(room: float, chunk: int, longest: int, smallest: str) -> int:
    if room < 1:
        raise MemoryTooSmallError(
            f"features.memory_mb is too small for a block of {smallest}; raise it, or lower features.workers"
        )
    whole_chunks = int(room) // chunk * chunk
    return min(whole_chunks or int(room), longest)


def _view(panel: xr.Dataset, task: _Task) -> xr.Dataset:
    """Return the variables a task reads, on its rows and the look-back before them, in one memory block each."""
    needs = sorted(_needs([find_feature(name) for name in task.names]))
    rows = {"date": slice(task.dates.start - task.halo, task.dates.stop), "code": task.codes}
    part = panel[[need for need in needs if need in panel.data_vars]].isel(rows, missing_dims="ignore")
    # Labels that no formula asks for would be compared and copied by every operation of every formula.
    part = part.drop_vars([name for name in part.coords if name not in needs])
    return part.map(_contiguous, keep_attrs=False).load()


def _contiguous(values: xr.DataArray) -> xr.DataArray:
    return values.copy(deep=False, data=np.ascontiguousarray(values.values))


def _wide(values: xr.DataArray) -> xr.DataArray:
    """Return numbers in float64, in one memory block; flags as they are."""
    dtype = bool if values.dtype == bool else np.float64
    return values.copy(deep=False, data=np.ascontiguousarray(values.values, dtype=dtype))


def _compute(task: _Task, view: xr.Dataset) -> Values:
    """Compute the features of one block; runs in a thread, or on a worker of the cluster.

    Formulas of stocks run on a few stocks at a time, whose arrays stay in the processor's cache.
    """
    n_dates, n_codes = task.dates.stop - task.dates.start, view.sizes.get("code", 0)
    step = _codes_in_cache(n_dates + task.halo) if task.kind == "stock" else max(n_codes, 1)
    width = 1 if task.kind == "market" else n_codes
    computed = {name: np.empty((n_dates, width), np.float32) for name in task.names}
    for start in range(0, max(n_codes, 1), step):
        part = view.isel(code=slice(start, start + step), missing_dims="ignore").map(_wide, keep_attrs=False)
        _compute_at_once(task, part, start, computed)
    return {name: values[:, 0] for name, values in computed.items()} if task.kind == "market" else computed


def _compute_at_once(task: _Task, view: xr.Dataset, first_code: int, computed: Values) -> None:
    first = task.dates.start - task.halo
    views = {needs: DeclaredPanel.of(view, needs) for needs in {find_feature(name).needs for name in task.names}}
    with shared_results():
        for name in task.names:
            feature = find_feature(name)
            raw = feature.function(views[feature.needs].for_formula(name))
            raw = raw.transpose("date", "code") if feature.kind != "market" else raw
            values = np.ascontiguousarray(raw.values, dtype=np.float64).reshape(raw.sizes["date"], -1)
            missing = max(feature.lookback - first - task.halo, 0)
            _narrow(values, task.halo, missing, first_code, computed[name])


@compiled
def _narrow(values: Array, halo: int, missing: int, first_code: int, narrow: Float32Array) -> None:
    """Write float64 values without the first `halo` rows as float32, NaN where not finite and in `missing` rows."""
    for t in range(narrow.shape[0]):
        for code in range(values.shape[1]):
            value = np.float32(values[halo + t, code])
            known = np.isfinite(value) & (t >= missing)
            narrow[t, first_code + code] = value if known else np.float32(np.nan)


def _needs(features: Sequence[Feature]) -> set[str]:
    return {need for feature in features for need in feature.needs}


def _frame(panel: xr.Dataset, features: Sequence[Feature]) -> PanelFrame:
    dims = {f.name: ("date",) if f.kind == "market" else ("date", "code") for f in features}
    coords = {name: panel[name].reset_coords(drop=True) for name in ("date", "code")}
    chunks = {"date": DATES_PER_CHUNK, "code": CODES_PER_CHUNK}
    return PanelFrame(coords, dims, dict.fromkeys(dims, np.float32), {}, chunks)


@contextmanager
def _submitter(execution: Execution) -> Iterator[Callable[..., Callable[[], Any]]]:
    """Yield a function that starts a task and returns how to wait for its result."""
    if execution.engine == "local":
        with ThreadPoolExecutor(execution.threads) as pool:
            yield lambda function, *arguments: pool.submit(function, *arguments).result
        return
    with _cluster(execution) as client:
        yield lambda function, *arguments: client.submit(function, *arguments, pure=False).result


@contextmanager
def _cluster(execution: Execution) -> Iterator[Any]:
    from dask.distributed import Client, LocalCluster  # noqa: PLC0415 - a second that local runs save

    if execution.scheduler is not None:
        try:
            client = Client(execution.scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"features.scheduler = {execution.scheduler!r}: no dask scheduler answers there ({error}); "
                "start one with `dask scheduler`, or write null to use this machine"
            ) from error
        with client:
            yield client
        return
    with (
        LocalCluster(n_workers=execution.threads, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client
