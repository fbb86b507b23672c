"""Runs are tracked by MLflow where that can be done; where it cannot, one line says so and the run goes on."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from gogooku_kedro.artifacts import atomic_file

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"


def prepare_database(uri: str) -> None:
    """Make the SQLite database of a tracking URI, whole or not at all, or see that it can be written.

    MLflow alone tries a database that it cannot open ten times, and one whose making was cut off for ever.

    Args:
        uri: Tracking URI; one of another kind is left to MLflow.

    Raises:
        OSError: The database cannot be made, read or written; the message names it.
    """
    if not uri.startswith(SQLITE):
        return
    from filelock import FileLock  # noqa: PLC0415

    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        if not path.exists():
            from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH  # noqa: PLC0415
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

            with atomic_file(path) as unfinished:
                new_uri = f"{SQLITE}{unfinished}"
                store = SqlAlchemyStore(new_uri, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call]
                store.engine.dispose()
    lock.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("SELECT version_num FROM alembic_version")
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}; if it is of no use, remove it") from error


def within_project(settings: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return the settings of `mlflow.yml` with the path of an SQLite database below the project's folder.

    MLflow alone takes a relative path from where a command was started, a notebook for example.
    """
    uri = str(settings["server"]["mlflow_tracking_uri"])
    if uri.startswith(SQLITE):
        uri = f"{SQLITE}{project / uri.removeprefix(SQLITE)}"
    return {**settings, "server": {**settings["server"], "mlflow_tracking_uri": uri}}


def give_up(error: Exception) -> None:
    """Say that the run is not tracked from here on, and close the MLflow run that is open."""
    import mlflow  # noqa: PLC0415

    logger.warning("the run goes on without MLflow: %s", str(error).partition("\n")[0])
    with suppress(Exception):  # the database may be what is wrong; the run is no longer open in any case
        mlflow.end_run("FAILED")


def track(log: Callable[..., Any], *arguments: Any) -> None:
    """Call what logs to the open MLflow run, if there is one; the first failure ends the tracking."""
    import mlflow  # noqa: PLC0415

    if mlflow.active_run() is None:
        return
    try:
        log(*arguments)
    except Exception as error:  # a database, a server or a disk: none of them is worth a run
        give_up(error)
