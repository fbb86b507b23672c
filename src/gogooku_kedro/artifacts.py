"""The one store of computed results: names made of content, files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from filelock import FileLock, Timeout

from gogooku_kedro import __version__
from gogooku_kedro.params.base import Section
from gogooku_kedro.typing import Array

SEAL = "seal"
"""Key in the facts of a finished result: name of its folder, hashes of its tables and facts."""

LEFTOVER_SECONDS = 3_600
"""Age at which a temporary file is taken for one whose writer was killed; no file takes that long to write."""


def key(**content: Any) -> str:
    """Return the name of a computation: equal content and package version, and only they, have equal names.

    Args:
        content: Everything the result depends on, as `digest` takes it.
    """
    return digest({"version": __version__, "content": content})


def digest(content: Any) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of `content`.

    Args:
        content: Settings (their `Section.identity`), JSON types, NumPy arrays, pandas tables (their columns, not
            their index), xarray datasets, and mappings and sequences of these. The order of names does not
            matter, nor whether text is stored as objects; every dtype, shape and byte else does.

    Raises:
        TypeError: Something else is among the content.
    """
    state = hashlib.sha256()
    _feed(state, content)
    return state.hexdigest()[:32]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it takes the name `path` when the block ends without an error.

    A reader sees the whole file or none, and a writer that is killed leaves a temporary file, which
    `remove_leftovers` deletes. Folders that are missing are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        error.filename = str(path)  # of a full disk there is none
        raise
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def read_arrays(path: Path, name: str) -> dict[str, Array]:
    """Return what `write_arrays` stored, and note that the file is used, for `remove_unused`.

    Raises:
        ValueError: The file cannot be read, fails a checksum, or was stored under another name.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error
    if str(arrays.pop("key", "")) != name:
        raise ValueError("it has another key")
    os.utime(path)
    return arrays


def write_arrays(path: Path, name: str, arrays: Mapping[str, Any]) -> None:
    """Store arrays and the name that they are asked for by, whole or not at all."""
    with atomic_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, key=name, **arrays)


class RootLock:
    """A data root is written by one run at a time.

    The operating system frees the lock when its process ends, however that happens; what a killed run left is
    then taken over, its temporary files are deleted.

    Args:
        root: The data root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._owner = root / ".run.json"
        self._lock = FileLock(root / ".run.lock")

    def acquire(self) -> None:
        """Take the data root for this process.

        Raises:
            BlockingIOError: Another run has it; the message names its process and start.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            try:
                owner = json.loads(self._owner.read_text())
                who = f"process {owner['process']}, which started at {owner['started']}"
            except (OSError, ValueError, KeyError, TypeError):  # it has just taken the root, or just left it
                who = "another process"
            raise BlockingIOError(
                f"{self._root} is written by {who}; wait for it to end, or give another --params data_root=DIR"
            ) from error
        for folder in (self._root, *self._root.glob("*/")):
            remove_leftovers(folder, older_than=0)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        with atomic_file(self._owner) as unfinished:
            unfinished.write_text(json.dumps({"process": os.getpid(), "started": started}))

    def release(self) -> None:
        """Give the data root back."""
        self._owner.unlink(missing_ok=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def remove_folder(folder: Path) -> None:
    """Delete a folder; it is there whole or not at all, as a file of `atomic_file` is."""
    unused = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    folder.replace(unused)
    shutil.rmtree(unused, ignore_errors=True)


def remove_leftovers(folder: Path, older_than: float = LEFTOVER_SECONDS) -> int:
    """Delete the temporary files in `folder` that are older than `older_than` seconds; return how many there were."""
    return remove_unused(folder, ".*.tmp", older_than)


def remove_unused(folder: Path, pattern: str, older_than: float) -> int:
    """Delete what a glob `pattern` finds and nobody touched for `older_than` seconds; return how many there were."""
    oldest = time.time() - older_than
    unused = [path for path in folder.glob(pattern) if path.stat().st_mtime < oldest]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(unused)


@dataclass(frozen=True)
class ResultFolders:
    """Results of one kind, each in a folder of its own: tables and, written last, the facts that mark it finished.

    Attributes:
        kind: What a result is called in messages.
        setting: YAML path of the setting that says where the folders lie.
        facts: Name of the JSON file of facts.
        tables: Names of the Parquet files.
    """

    kind: str
    setting: str
    facts: str
    tables: tuple[str, ...]

    def is_finished(self, folder: Path) -> bool:
        """Return whether `folder` holds a finished result."""
        return (folder / self.facts).exists()

    def save(self, folder: Path, facts: Mapping[str, Any], tables: Sequence[pd.DataFrame]) -> None:
        """Write the tables, in the order of `self.tables`, then the facts."""
        remove_leftovers(folder)
        (folder / self.facts).unlink(missing_ok=True)
        for name, table in zip(self.tables, tables, strict=True):
            with atomic_file(folder / name) as unfinished:
                table.to_parquet(unfinished, index=False, write_page_checksum=True)
        with atomic_file(folder / self.facts) as unfinished:
            unfinished.write_text(json.dumps({**facts, SEAL: self._seal(folder, facts)}, indent=2))

    def load(self, folder: Path) -> tuple[dict[str, Any], list[pd.DataFrame]]:
        """Return the facts and tables of a finished result.

        Raises:
            ValueError: A file is missing, damaged or of another folder; the message names the folder and the fix.
        """
        try:
            facts: dict[str, Any] = json.loads((folder / self.facts).read_text())
            if facts.pop(SEAL, None) != self._seal(folder, facts):
                raise ValueError("it is not as it was written, or it was written as another")
            return facts, [pd.read_parquet(folder / name, page_checksum_verification=True) for name in self.tables]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.setting}: the finished {self.kind} in {folder} cannot be read ({error}); remove that "
                f"folder to compute the {self.kind} again"
            ) from error

    def _seal(self, folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        tables = {name: file_hash(folder / name) for name in self.tables}
        return {"folder": folder.name, "tables": tables, "facts": digest(facts)}


def _feed(state: hashlib._Hash, content: Any) -> None:
    match content:
        case Section():
            _feed(state, content.identity())
        case xr.DataArray():
            _feed(state, content.to_dataset(name="values"))
        case xr.Dataset():
            _feed_named(state, content.variables, lambda name: (content[name].dims, content[name].to_numpy()))
        case pd.DataFrame():
            _feed_named(state, content.columns, lambda name: content[name].to_numpy())
        case Mapping():
            _feed_named(state, content, lambda name: content[name])
        case np.ndarray():
            values = np.ascontiguousarray(_plain(content))
            state.update(f"array {values.dtype.str} {content.shape};".encode())
            state.update(values.data if values.size else b"")
        case list() | tuple():
            state.update(f"list {len(content)};".encode())
            for item in content:
                _feed(state, item)
        case _:
            state.update(f"{json.dumps(content)};".encode())


def _feed_named(state: hashlib._Hash, names: Iterable[Any], value_of: Callable[[Any], Any]) -> None:
    """One value at a time, so that of a dataset on disk one variable at a time is in memory."""
    ordered = sorted(names, key=str)
    state.update(f"names {json.dumps([str(name) for name in ordered])};".encode())
    for name in ordered:
        _feed(state, value_of(name))


def _plain(values: Array) -> Array:
    """Dates as integers and text of one length, so that their bytes are their content."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").view(np.int64)
    return values if values.dtype.kind in "biuf" else values.astype(str)
