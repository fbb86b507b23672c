"""Models that train at the same time on a CPU, each in a process of its own."""

import logging
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import IO, Any

import torch

from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.launch import PROJECT, load_market, save_market
from gogooku_kedro.training.tensors import MarketTensors
from gogooku_kedro.training.train_seed import Job, train_seed_model

LIBRARIES = 2**30
"""Bytes of a process before it has read anything, about."""

KEPT = 400
"""Bytes kept for every token and channel until the backward pass: 8.6 GiB were measured at 4,000 stocks, 67 sessions
and a width of 64, market included (docs/architecture.md)."""

MARKET = "market.pt"
LENGTH = struct.Struct("<Q")


def process_bytes(market: MarketTensors, params: ModelParams, days: int) -> int:
    """Estimate what a process of its own holds that trains on chunks of `days`; the market is shared by all."""
    return LIBRARIES + KEPT * market.x.size(1) * (days + params.window - 1) * params.hidden_size


def train_side_by_side(market: MarketTensors, jobs: Sequence[Job], processes: int) -> None:
    """Train the models of several jobs, so many at a time, each as `train_seed_model` does.

    A process is a new Python that runs nothing of the calling program. The market goes through a file that all of
    them map into memory, and what they log comes out of the caller's handlers. PyTorch's threads are shared out. If a
    training fails or the caller is stopped, the others are stopped too; they go on from their last epoch another time.

    Args:
        market: The market, on the CPU.
        jobs: The trainings; what they hold can be pickled.
        processes: Processes at a time.

    Raises:
        Exception: That of the first training which fails.
        RuntimeError: If a process ends without a word, with the end of what it wrote.
    """
    processes = min(processes, len(jobs))
    threads = max(1, torch.get_num_threads() // processes)
    PROJECT.info("%d models train %d at a time, each in a process of its own", len(jobs), processes)
    jobs[0].folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=jobs[0].folder) as scratch, ThreadPoolExecutor(processes) as pool:
        save_market(market, Path(scratch) / MARKET)
        running: list[subprocess.Popen[bytes]] = []
        stopped = threading.Event()
        found = [pool.submit(_one, Path(scratch), job, threads, running, stopped) for job in jobs]
        try:
            for each in wait(found, return_when=FIRST_EXCEPTION).done:
                each.result()
        finally:
            stopped.set()
            for process in running:
                process.kill()


def _one(
    scratch: Path, job: Job, threads: int, running: list[subprocess.Popen[bytes]], stopped: threading.Event
) -> None:
    own = scratch / job.folder.name
    own.with_suffix(".job").write_bytes(pickle.dumps((job, threads, PROJECT.getEffectiveLevel())))
    command = [sys.executable, "-m", __name__, str(scratch), own.name]
    paths = os.pathsep.join(dict.fromkeys([*filter(None, sys.path), os.getcwd()]))
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)}
    with own.with_suffix(".log").open("wb") as log:
        if stopped.is_set():
            return
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env)
    running.append(process)
    with process:
        if stopped.is_set():
            process.kill()
        assert process.stdout is not None
        failure = _listen(process.stdout)
    if failure is not None:
        raise failure
    if process.returncode and not stopped.is_set():
        end = own.with_suffix(".log").read_text(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"the process that trains {job.title} ended with {process.returncode}: {' '.join(end)}")


def _listen(pipe: IO[bytes]) -> Exception | None:
    """Hand on what a process logs until it ends; return the error that ended its training.

    What a process that was killed has said half of is left out.
    """
    failure = None
    while len(head := pipe.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(head)
        if len(body := pipe.read(size)) < size:
            break
        said = pickle.loads(body)
        if isinstance(said, logging.LogRecord):
            logging.getLogger(said.name).handle(said)
        else:
            failure = said
    return failure


class _Pipe(SimpleQueue[Any]):
    """Send what is put in to the process that waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def put_nowait(self, item: Any) -> None:
        said = pickle.dumps(item)
        self._pipe.write(LENGTH.pack(len(said)) + said)
        self._pipe.flush()


def _end_with_the_caller() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _work(scratch: Path, name: str) -> None:
    """Train the model of a job in this process."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not for the pipe
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    job, threads, level = pickle.loads((scratch / f"{name}.job").read_bytes())
    torch.set_num_threads(threads)
    said = _Pipe(pipe)
    PROJECT.setLevel(level)
    PROJECT.handlers, PROJECT.propagate = [QueueHandler(said)], False
    try:
        train_seed_model(load_market(scratch / MARKET), job)
    except Exception as error:
        with suppress(Exception):
            said.put_nowait(error)
        raise


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2])
