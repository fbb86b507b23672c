"""Graphs that were built before, by the content of what they were built from."""

import logging
from pathlib import Path

import numpy as np
import scipy

from gogooku_kedro.artifacts import key, read_arrays, remove_leftovers, remove_unused, write_arrays
from gogooku_kedro.graph.snapshot import Snapshot, Window
from gogooku_kedro.params.graph import GraphParams

GRAPH_VERSION = 2
"""To be raised whenever a change of the code changes the edges of any window, or what their file holds."""

KEEP_DAYS = 30
"""Days after its last use at which a stored graph is deleted."""

LOGGER = logging.getLogger(__name__)


def snapshot_key(window: Window, params: GraphParams) -> str:
    """Return the key of everything that decides the edges of one as-of date.

    That is every byte of the window, the settings that `find_edges` reads, `GRAPH_VERSION`, and the versions of
    NumPy and SciPy (their products may round otherwise).
    """
    return key(
        # Not the as-of date, nor how far apart they are: the same data have the same edges.
        settings=params.identity(without={"cadence"}),
        made_by=[GRAPH_VERSION, np.__version__, scipy.__version__],
        window=window._asdict(),
    )


class SnapshotCache:
    """A folder with one file per graph, named by its key.

    Runs, environments and machines may share a folder: a file is there whole or not at all, and two that write
    the same key write the same bytes. Deleting any file, or the folder, costs only the time to build them again.

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
            return Snapshot(**read_arrays(path, key))
        except (ValueError, TypeError) as error:
            LOGGER.warning("graph cache: %s is damaged (%s); its graph is built again", path, error)
            return None

    def save(self, key: str, snapshot: Snapshot) -> None:
        """Store a graph under its key; a reader sees the whole file or none."""
        write_arrays(self.path(key), key, snapshot._asdict())

    def prune(self, keep_days: float = KEEP_DAYS) -> int:
        """Delete what was not used for `keep_days` days or left unfinished, and return how many files that were."""
        return remove_leftovers(self.folder) + remove_unused(self.folder, "*.npz", keep_days * 86_400)
