"""Graphs that were built before, by the content of what they were built from."""

import hashlib
import json
import logging
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import scipy

from gogooku_kedro.graph.snapshot import Snapshot, Window
from gogooku_kedro.params.graph import GraphParams

GRAPH_VERSION = 1
"""To be raised whenever a change of the code changes the edges of any window."""

KEEP_DAYS = 30
"""Days after its last use at which a stored graph is deleted."""

LOGGER = logging.getLogger(__name__)


def snapshot_key(window: Window, params: GraphParams) -> str:
    """Return the SHA-256 of everything that decides the edges of one as-of date.

    That is every byte of the window, the settings that `find_edges` reads, `GRAPH_VERSION`, and the
    versions of NumPy and SciPy (their products may round otherwise). Neither the as-of date nor
    `graph.cadence` is among them: the same data have the same edges.
    """
    settings = params.model_dump(mode="json", exclude={"cadence", "gates", "cache_dir"})
    made_by = {"graph": GRAPH_VERSION, "numpy": np.__version__, "scipy": scipy.__version__}
    digest = hashlib.sha256(json.dumps([settings, made_by], sort_keys=True).encode())
    for name, array in window._asdict().items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class SnapshotCache:
    """A folder with one file per graph, named by its key.

    Runs, environments and machines may share a folder: files are written beside and renamed, and two
    that write the same key write the same bytes. A file that no run has used for `KEEP_DAYS` days is
    deleted by `prune`; deleting any of them, or the folder, costs only the time to build them again.

    Args:
        folder: Made if it is not there.

    Raises:
        ValueError: The folder cannot be made; the message names the setting.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"graph.cache_dir = {str(folder)!r}: the folder cannot be made ({error}); name another "
                "or write null to build every graph anew"
            ) from error

    def path(self, key: str) -> Path:
        """Return where the graph of a key lies, or would."""
        return self.folder / f"{key}.npz"

    def load(self, key: str) -> Snapshot | None:
        """Return the stored graph, in the bits it was built with, or None if there is none.

        A file that cannot be read or fails its checksum is named in a warning and counts as absent.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                snapshot = Snapshot(**stored)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            LOGGER.warning("graph cache: %s is damaged (%s); its graph is built again", path, error)
            return None
        os.utime(path)
        return snapshot

    def save(self, key: str, snapshot: Snapshot) -> None:
        """Store a graph under its key; a reader sees the whole file or none."""
        unfinished = self.folder / f"{key}.{os.getpid()}.tmp"
        try:
            with unfinished.open("wb") as file:
                np.savez(file, **snapshot._asdict())
            unfinished.replace(self.path(key))
        finally:
            unfinished.unlink(missing_ok=True)

    def prune(self, keep_days: float = KEEP_DAYS) -> int:
        """Delete what was not used for `keep_days` days, and return how many files that were."""
        oldest = time.time() - keep_days * 86_400
        files = [path for pattern in ("*.npz", "*.tmp") for path in self.folder.glob(pattern)]
        unused = [path for path in files if path.stat().st_mtime < oldest]
        for path in unused:
            path.unlink(missing_ok=True)
        return len(unused)
