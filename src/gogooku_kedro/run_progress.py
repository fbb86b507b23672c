"""Say how far a run is: a line for every stage, a bar on a terminal, a status file, and how to go on after Ctrl-C."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import click
import rich
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner.runner import _find_nodes_to_resume_from
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gogooku_kedro.run_status import RunStatus, State, duration

logger = logging.getLogger(__name__)

RECORD = "run_record"
"""Dataset that lies in the data root's reporting folder."""

TRAINING = "gogooku_kedro.training"
"""Logger whose records of an epoch carry a mapping `epoch_progress`."""


class RunProgress:
    """Follow a run from node to node and from epoch to epoch."""

    def __init__(self) -> None:
        self._status: RunStatus | None = None
        self._bar: Progress | None = None

    @hook_impl(trylast=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Begin the status; Ctrl-C from here on says how to go on."""
        self._root = Path(catalog[RECORD]._describe()["filepath"]).parents[1]
        self._pipeline, self._catalog = pipeline, catalog
        self._todo = {node.name: _stage(node) for node in pipeline.nodes}
        before = RunStatus.load(self._root)
        self._status = RunStatus(
            process=os.getpid(),
            command=shlex.join(["kedro", *_arguments()]),
            started=time.time(),
            stages=len(set(self._todo.values())),
            nodes=len(self._todo),
            expected={} if before is None else before.expected | before.seconds,
        )
        self._epochs = _Epochs(self)
        logging.getLogger(TRAINING).addHandler(self._epochs)
        if rich.get_console().is_terminal:
            text = TextColumn("{task.description}")
            left = TextColumn("{task.fields[left]}")
            self._bar = Progress(text, BarColumn(), TimeElapsedColumn(), left, transient=True, refresh_per_second=2)
            self._bar.start()
            self._task: TaskID = self._bar.add_task("", total=1.0, left="")
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        # The Makefile waits for these words: from here on a signal ends the run in order.
        logger.info("run begins, stages: %d, nodes: %d", self._status.stages, self._status.nodes)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """The node before has ended: a node that yields blocks computes while they are saved."""
        self._end_node()
        if self._status is not None:
            self._status.node, self._status.stage = node.name, _stage(node)
            self._status.node_started = time.time()
            self._show()

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Close the status."""
        self._end_node()
        self._end("finished")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the status with what went wrong."""
        self._end("failed", str(error).partition("\n")[0])

    def note_epoch(self, progress: dict[str, Any]) -> None:
        """Take over what training says at the end of an epoch."""
        if self._status is not None:
            self._status.training = progress | {"node": self._status.node}
            self._show()

    def _end_node(self) -> None:
        status = self._status
        if status is None or not status.node:
            return
        status.seconds[status.node] = time.time() - status.node_started
        stage = self._todo.pop(status.node)
        status.node = ""
        if stage in self._todo.values():
            return
        nodes = [node.name for node in self._pipeline.nodes if _stage(node) == stage]
        status.finished_stages.append(stage)
        left = status.remaining(self._todo) if self._todo else None
        logger.info(
            "%d/%d %s, %s%s",
            len(status.finished_stages),
            status.stages,
            stage,
            duration(sum(status.seconds[name] for name in nodes)),
            "" if left is None else f"; about {duration(left)} left",
        )

    def _show(self) -> None:
        """Write the status, and move the bar."""
        status = self._status
        assert status is not None
        status.left = status.remaining(self._todo)
        status.go_on = self._go_on()
        status.save(self._root)
        if self._bar is not None:
            gone, left = time.time() - status.started, status.left
            self._bar.update(
                self._task,
                description=f"{len(status.finished_stages) + 1}/{status.stages} {status.place()}",
                completed=0.0 if left is None else gone / (gone + left + 1e-9),
                left="" if left is None else f"about {duration(left)} left",
            )

    def _end(self, state: State, error: str = "") -> RunStatus | None:
        status, self._status = self._status, None
        if status is None:
            return None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        logging.getLogger(TRAINING).removeHandler(self._epochs)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        status.state, status.error, status.ended, status.left = state, error, time.time(), None
        status.save(self._root)
        if state == "finished":
            stages = "1 stage" if status.stages == 1 else f"{status.stages} stages"
            logger.info("%s in %s", stages, duration(status.ended - status.started))
        return status

    def _go_on(self) -> str:
        """The command that runs what has not ended, with what it needs from memory."""
        unfinished = [node for node in self._pipeline.nodes if node.name in self._todo]
        start = sorted(_find_nodes_to_resume_from(self._pipeline, unfinished, self._catalog))
        return shlex.join(["kedro", *_arguments(), f"--from-nodes={','.join(start)}"])

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End the run in order; what has ended, epochs included, is on disk."""
        status = self._end("stopped")
        if status is not None:
            click.echo(f"\nstopped in {status.place()}; finished stages and epochs are kept", err=True)
            click.echo(f"go on with: {status.go_on}", err=True)
        if "mlflow" in sys.modules:
            import mlflow  # noqa: PLC0415

            mlflow.end_run("KILLED")
        raise SystemExit(128 + number)


class _Epochs(logging.Handler):
    """Hands on what training says of an epoch."""

    def __init__(self, progress: RunProgress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Take the records of epochs, leave the others."""
        facts = getattr(record, "epoch_progress", None)
        if facts is not None:
            self._progress.note_epoch(dict(facts))


def _stage(node: Node) -> str:
    return node.namespace or "other"


def _arguments() -> list[str]:
    """What was typed behind `kedro`, without an earlier `--from-nodes`."""
    typed = sys.argv[1:] if sys.argv[1:2] == ["run"] else ["run"]
    return [word for word in typed if not word.startswith("--from-nodes=")]
