"""How far a run is: a small file in the data root that `kedro status` reads, while the run goes on and afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from gogooku_kedro.artifacts import atomic_file

FILE = ".status.json"
REFERENCE = {
    "train_model": 120.0,
    "fit_baselines": 48.0,
    "measure_portfolios": 15.0,
    "measure_days": 9.0,
    "compute_features": 8.0,
    "make_baseline_settings": 7.0,
    "build_tensors": 5.0,
    "predict_scores": 5.0,
    "normalise_features": 4.0,
    "stack_predictions": 4.0,
}
"""Seconds of the longest nodes on the sample market with two cores; only their proportions matter."""

OTHER = 1.0
"""Of every other node."""

SETTLED = 20.0
"""Reference seconds of ended nodes from which on their pace counts more than the reference's: the first nodes take a
second or two whatever the market, and a whole run must not be foretold from them."""

EPOCHS_OF = {"train_model": " of the network"}
"""Node that trains a model -> whose epochs they are."""

State = Literal["running", "finished", "stopped", "failed"]


@dataclass
class RunStatus:
    """What is known of a run; times are seconds, moments seconds since 1970.

    Attributes:
        process: Id of its process.
        command: What was typed.
        started: Moment.
        stages: Number of its stages.
        nodes: Number of its nodes.
        expected: Name of a node -> seconds that it took in the run before.
        state: What became of it, as far as it could say so.
        ended: Moment, None while it runs.
        finished_stages: In the order in which they ended.
        seconds: Name of a finished node -> seconds.
        stage: Of the current node.
        node: Current node.
        node_started: Moment.
        training: node, seed, name, refit, epoch, epochs and metrics of the last finished epoch.
        left: Seconds left when the status was written, None while nothing is known of them.
        written: Moment.
        go_on: Command that goes on where it ended, if it did not finish.
        error: First line of what stopped it.
    """

    process: int
    command: str
    started: float
    stages: int
    nodes: int
    expected: dict[str, float] = field(default_factory=dict)
    state: State = "running"
    ended: float | None = None
    finished_stages: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    stage: str = ""
    node: str = ""
    node_started: float = 0.0
    training: dict[str, Any] = field(default_factory=dict)
    left: float | None = None
    written: float = 0.0
    go_on: str = ""
    error: str = ""

    def save(self, root: Path) -> None:
        """Write the status into a data root."""
        self.written = time.time()
        with atomic_file(root / FILE) as unfinished:
            unfinished.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def load(cls, root: Path) -> Self | None:
        """Return the status of the last run of a data root; None where there was none, or of another version."""
        try:
            stored = json.loads((root / FILE).read_text())
            return cls(**{key.name: stored[key.name] for key in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remaining(self, todo: Iterable[str]) -> float | None:
        """Return the seconds that are left, None before the first node has ended.

        A node takes as long as in the run before; one that did not run then, as `REFERENCE` says, at the pace of
        the nodes that have ended, once these say something (`SETTLED`); training, as its epochs so far.

        Args:
            todo: Names of the nodes that have not ended, the current one among them.
        """
        elapsed, left = time.time() - self.node_started, 0.0
        pace = (sum(self.seconds.values()) + SETTLED) / (sum(map(_reference, self.seconds)) + SETTLED)
        for node in todo:
            expected = self.expected.get(node) or pace * _reference(node)
            if node == self.node and node not in self.expected and self._trains():
                expected = elapsed / self.training["epoch"] * self.training["epochs"]
            left += max(expected - elapsed, 0.0) if node == self.node else expected
        return left if self.seconds or self.expected else None

    def is_alive(self) -> bool:
        """Return whether its process is there, and not another one under the same number."""
        try:
            return bool(psutil.Process(self.process).create_time() <= self.started + 1)
        except psutil.Error:
            return False

    def lines(self) -> list[str]:
        """Return what `kedro status` prints."""
        now, alive = time.time(), self.state == "running" and self.is_alive()
        at = f"{len(self.finished_stages)} of {self.stages} stages finished, in {self.place()}"
        if alive:
            lines = [f"running for {duration(now - self.started)} as process {self.process}: {at}"]
        elif self.state == "running":
            lines = [f"died without a word, process {self.process} is not there any more: {at}"]
        elif self.state == "finished":
            lines = [f"finished {moment(self.ended)} after {duration((self.ended or now) - self.started)}"]
        else:
            lines = [f"{self.state} {moment(self.ended)}: {at}", *([self.error] if self.error else [])]
        lines.append(f"command: {self.command}")
        if alive and self.left is not None:
            lines.append(f"about {duration(max(self.left - (now - self.written), 0.0))} left")
        if metrics := self.training.get("metrics"):
            figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            lines.append(f"last epoch{self._whose()}: {figures}")
        if self.go_on and not alive and self.state != "finished":
            lines.append(f"go on with: {self.go_on}")
        return lines

    def place(self) -> str:
        """Return stage, node and epoch."""
        training = self.training
        epoch = f", seed {training['seed']}, epoch {training['epoch']}/{training['epochs']}" if self._trains() else ""
        return f"{self.stage} ({self.node.rpartition('.')[2]}{epoch})"

    def _whose(self) -> str:
        node = self.training["node"].rpartition(".")[2]
        refit = " refit" if self.training.get("refit") else ""
        variant = " " * bool(name := self.training.get("name")) + (name or "")
        return f"{EPOCHS_OF.get(node, f' in {node}')}{variant}, seed {self.training['seed']}{refit}"

    def _trains(self) -> bool:
        return self.training.get("node") == self.node and "epoch" in self.training


def duration(seconds: float) -> str:
    """Return seconds in words: `41 s`, `3 min 41 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(seconds: float | None) -> str:
    """Return a moment as local time."""
    return time.strftime("on %Y-%m-%d at %H:%M:%S", time.localtime(seconds))


def _reference(node: str) -> float:
    return REFERENCE.get(node.rpartition(".")[2], OTHER)
