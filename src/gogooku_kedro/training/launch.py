"""Run a function in several processes of this machine, one a device, that share a market."""

import logging
import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from gogooku_kedro.training.graph_tensors import GraphTensors
from gogooku_kedro.training.tensors import MarketTensors

ELASTIC = "distributed.elastic.multiprocessing.api"
PROJECT = logging.getLogger("gogooku_kedro")
CPP_LOG_LEVEL = "TORCH_CPP_LOG_LEVEL"
AGENT = [logging.getLogger(f"torch.{name}") for name in ("multiprocessing.spawn", ELASTIC)]
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]

Worker = Callable[[MarketTensors, Any], None]
"""A function of a module: processes import it by its name."""


def run_in_processes(worker: Worker, market: MarketTensors, job: Any, processes: int, folder: Path) -> None:
    """Run `worker(market, job)` in new processes and wait for all of them.

    PyTorch's elastic agent starts them and sets `RANK` and `WORLD_SIZE`; nothing of the calling program
    runs again in them. The market goes through a file that all of them map into memory, what the first
    process logs comes out of the caller's handlers, and the other processes are silent.

    Args:
        worker: What to run.
        market: The market, on the CPU.
        job: Second argument of `worker`; can be pickled.
        processes: Number of processes.
        folder: Where the market's file is written, and removed at the end.

    Raises:
        RuntimeError: If a process fails, with the message of the first that did.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as scratch, _surroundings(), _listening() as queue:
        save_market(market, Path(scratch) / "market.pt")
        threads = max(1, torch.get_num_threads() // processes)
        try:
            elastic_launch(config, _work)(worker, job, scratch, threads, queue, PROJECT.getEffectiveLevel())
        except ChildFailedError as error:
            raise RuntimeError(_first_failure(Path(scratch), error)) from error


def save_market(market: MarketTensors, path: Path) -> None:
    """Write the tensors of a market, one after the other."""
    tensors = {f.name: getattr(market, f.name) for f in fields(market) if f.name != "graph"}
    graph = {f.name: getattr(market.graph, f.name) for f in fields(market.graph)}
    torch.save(tensors | {"graph": graph}, path)


def load_market(path: Path) -> MarketTensors:
    """Map what `save_market` wrote into memory: pages are read when needed, once for all processes."""
    tensors = torch.load(path, mmap=True, weights_only=True)
    return MarketTensors(**(tensors | {"graph": GraphTensors(**tensors["graph"])}))


def _work(worker: Worker, job: Any, scratch: str, threads: int, queue: Any, level: int) -> None:
    rank = int(os.environ["RANK"])
    torch.set_num_threads(threads)
    PROJECT.setLevel(level)
    PROJECT.handlers = [QueueHandler(queue) if rank == 0 else logging.NullHandler()]
    PROJECT.propagate = False  # a new process may have handlers of its own
    try:
        worker(load_market(Path(scratch) / "market.pt"), job)
    except Exception as error:
        note = f"process {rank} of training.devices failed: {type(error).__name__}: {error}"
        (Path(scratch) / f"{time.time_ns()}.failure").write_text(note)
        raise


def _first_failure(scratch: Path, error: ChildFailedError) -> str:
    rank, failure = error.get_first_failure()
    # Once a process has failed the others fail too, for want of a partner: the cause is the first.
    notes = sorted(scratch.glob("*.failure"))
    if notes and failure.exitcode >= 0:  # a process that was killed leaves no note
        return notes[0].read_text()
    return f"process {rank} of training.devices failed: {failure.message}"


@contextmanager
def _listening() -> Iterator[Any]:
    queue = multiprocessing.get_context("spawn").Queue()
    listener = QueueListener(queue, _Forward())
    listener.start()
    try:
        yield queue
    finally:
        listener.stop()
        queue.close()


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@contextmanager
def _surroundings() -> Iterator[None]:
    # The agent leaves its signal handlers installed, and logs a traceback that our error carries too. PyTorch
    # warns once per process that all parameters were used, which only a phase without graph changes.
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    levels = {agent: agent.level for agent in AGENT}
    cpp_level = os.environ.get(CPP_LOG_LEVEL)
    os.environ[CPP_LOG_LEVEL] = cpp_level or "ERROR"
    for agent in AGENT:
        agent.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        if cpp_level is None:
            del os.environ[CPP_LOG_LEVEL]
        for agent, level in levels.items():
            agent.setLevel(level)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
