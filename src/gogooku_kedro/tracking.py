"""Runs are tracked by MLflow where that can be done; where it cannot, one line says so and the run goes on."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gogooku_kedro.artifacts import atomic_file

if TYPE_CHECKING:
    from kedro.config import AbstractConfigLoader

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"

_given_up = False
_server = ""


def prepare_database(uri: str) -> None:
    """Make the SQLite database of a tracking URI, whole or not at all, or see that it can be written.

    MLflow alone tries a database that it cannot open ten times, and one whose making was cut off for ever. A file
    that is no database of MLflow is put aside: it keeps its content under another name.

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
        if path.is_file() and not _is_of_mlflow(path):
            aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            path.replace(aside)
            logger.warning("%s is no database of MLflow, or half of one: it is called %s now", path, aside.name)
        if not path.exists():
            _make(path)
        lock.unlink(missing_ok=True)  # while it is held: who waits for it sees that, and takes a new one
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def within_project(settings: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return the settings of `mlflow.yml` with the path of an SQLite database below the project's folder.

    MLflow alone takes a relative path from where a command was started, a notebook for example.
    """
    uri = str(settings["server"]["mlflow_tracking_uri"])
    if uri.startswith(SQLITE):
        uri = f"{SQLITE}{project / uri.removeprefix(SQLITE)}"
    return {**settings, "server": {**settings["server"], "mlflow_tracking_uri": uri}}


def tracking_settings(loader: AbstractConfigLoader, project: Path) -> dict[str, Any]:
    """Return the settings of `mlflow.yml` of a configuration, as of `within_project`."""
    patterns: Any = loader
    patterns.config_patterns.setdefault("mlflow", ["mlflow*", "mlflow*/**", "**/mlflow*"])
    return within_project(loader["mlflow"], project)


def server() -> str:
    """Return the tracking URI of the configuration of this process, "" before one was read."""
    return _server


def _make(path: Path) -> None:
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH  # noqa: PLC0415
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    with atomic_file(path) as unfinished:
        store = SqlAlchemyStore(f"{SQLITE}{unfinished}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call]
        store.engine.dispose()


def _is_of_mlflow(path: Path) -> bool:
    """False only for what no wait or permission would mend."""
    try:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT version_num FROM alembic_version").fetchone() is not None
    except sqlite3.OperationalError as error:  # locked, or not to be opened
        return "no such table" not in str(error)
    except sqlite3.DatabaseError:
        return False


def run_name(run_params: Mapping[str, Any], source: str, record: Mapping[str, Any]) -> str:
    """Return what a run is called: "prices.parquet, production, seeds 0 1 2", with its pipelines in front if named.

    Args:
        run_params: Of Kedro's hooks.
        source: Name of the price file.
        record: The record of the run: environment, preset and seeds.
    """
    named = run_params.get("pipeline_names") or [run_params.get("pipeline_name")]
    pipelines = [name for name in named if name not in (None, "__default__")]
    preset = record["environment"] if record["preset"] == "none" else record["preset"]
    seeds = [str(seed) for seed in record["seeds"]]
    of_seeds = f"{'seed' if len(seeds) == 1 else 'seeds'} {' '.join(seeds)}"
    return ", ".join([*(["+".join(pipelines)] if pipelines else []), source, preset, of_seeds])


def begin(uri: str = "") -> None:
    """Track again: what ended the tracking of an earlier run of this process need not hold for the next.

    Args:
        uri: Tracking URI of the configuration, for `server`.
    """
    global _given_up, _server
    _given_up, _server = False, uri


def attempt(step: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call what tracks a run; the first failure is said, and ends the tracking of the run."""
    global _given_up  # noqa: PLW0603
    if _given_up:
        return
    try:
        step(*arguments, **named)
    except Exception as error:  # of a database, a server or a disk: none of them is worth a run
        _given_up = True
        logger.warning("the run goes on without MLflow: %s", str(error).partition("\n")[0])
        close_runs("FAILED")


def track(log: Callable[..., Any], *arguments: Any) -> None:
    """Call what logs to the open MLflow run, if there is one, as `attempt` does."""
    import mlflow  # noqa: PLC0415

    if mlflow.active_run() is not None:
        attempt(log, *arguments)


@contextmanager
def child_run(name: str) -> Iterator[None]:
    """Open a run below the open MLflow run, if there is one, while the context is open."""
    import mlflow  # noqa: PLC0415

    track(lambda: mlflow.start_run(run_name=name, nested=True))
    try:
        yield
    except BaseException:
        track(mlflow.end_run, "FAILED")
        raise
    track(mlflow.end_run)


def close_runs(status: str) -> None:
    """Close every open MLflow run of this process."""
    import mlflow  # noqa: PLC0415

    while mlflow.active_run() is not None:
        with suppress(Exception):  # the database may be what is wrong; the run is no longer open in any case
            mlflow.end_run(status)
