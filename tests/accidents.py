"""Accidents at the writes of a piece of work: it is killed, or the disk is full."""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from tests.conftest import listing

OF_THE_HOOKS = ("run_record", ".run.json", ".run.lock")
"""What is written after every node, and tells seconds: an unreadable one counts as absent."""

Writes = Callable[[], None]


@contextmanager
def at_write(number: int, accident: Callable[[], None], when: str) -> Iterator[list[int]]:
    """Let an accident happen at a write: before the file takes its name, after it, or with half of it written.

    Yields:
        One item, the writes so far.
    """
    count = [0]
    kept = {Path: ("replace", "write_text", "write_bytes"), os: ("replace",)}
    before = {(owner, name): getattr(owner, name) for owner, names in kept.items() for name in names}

    def happens(path: Any) -> bool:
        if any(name in str(path) for name in OF_THE_HOOKS):
            return False
        count[0] += 1
        return count[0] == number

    def renaming(real: Any) -> Any:
        def rename(*arguments: Any) -> Any:
            now = happens(arguments[-1])
            if now and when == "before":
                accident()
            result = real(*arguments)
            if now:
                accident()
            return result

        return rename

    def writing(real: Any) -> Any:
        def write(path: Path, content: Any, *arguments: Any, **named: Any) -> Any:
            if happens(path):
                real(path, content[: len(content) // 2], *arguments, **named)
                accident()
            return real(path, content, *arguments, **named)

        return write

    for (owner, name), real in before.items():
        setattr(owner, name, renaming(real) if name == "replace" else writing(real))
    try:
        yield count
    finally:
        for (owner, name), real in before.items():
            setattr(owner, name, real)


def killed(work: Writes, number: int, when: str) -> bool:
    """Run work in a process of its own that is killed at a write; False if it ended before."""
    child = os.fork()
    if child == 0:
        try:
            with at_write(number, lambda: os.kill(os.getpid(), signal.SIGKILL), when):
                work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_at_writes(work: Writes, root: Path, step: int, least: int) -> None:
    """Kill work at every `step`-th point, of at least `least`: done again it leaves the files of undisturbed work."""
    work()
    wanted = contents(root)
    shutil.rmtree(root)
    writes = writes_of(work)
    assert contents(root) == wanted
    points = [(number, when) for number in range(1, writes + 1) for when in ("before", "after")]
    assert len(points) >= least
    for number, when in points[::step]:
        shutil.rmtree(root)
        assert killed(work, number, when)
        work()
        assert contents(root) == wanted, (number, when)


def full(work: Writes, number: int) -> OSError | DatasetError | None:
    """Run work until the disk is full at a write; None if it ended before."""

    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with at_write(number, no_space, "before"):
        try:
            work()
        except (OSError, DatasetError) as error:
            return error
    return None


def writes_of(work: Writes) -> int:
    with at_write(-1, lambda: None, "before") as count:
        work()
    return count[0]


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder but what tells seconds, and what may be left of a run that was killed."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in listing(root)
        if not any(name in path.name for name in OF_THE_HOOKS) and path.suffix != ".tmp"
    }
