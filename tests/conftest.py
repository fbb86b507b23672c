"""One real run through the command line, and the configuration as Kedro composes it."""

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

# Before anything imports numpy or torch: models this small gain nothing from a second thread, and lose
# minutes to threads that wait for one another where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from filelock import FileLock
from kedro.config import OmegaConfigLoader

from gogooku_kedro.settings import CONFIG_LOADER_ARGS
from tests.command import TIMEOUT, run_kedro

# What is imported to collect the tests stays: to look through it for what can be thrown away takes seconds.
gc.disable()

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ("base", "gat_minimal", "gat_production", "jquants", "ohlcv", "test")
LONGEST = ("tests/test_planted_market.py", "tests/pipelines/test_stages.py", "tests/training/test_planted_graph.py")
"""Files that take minutes, in the order in which they begin."""


class FinishedProcess(NamedTuple):
    """A finished run: its folder, what it printed, and `data/` of the project before and after it."""

    data_root: Path
    output: str
    data_before: list[Path]
    data_after: list[Path]


def kedro(
    *arguments: str, cwd: Path = ROOT, env: str | None = None, expect: Sequence[int] = (0,), cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run Kedro's command line in a process of its own; stderr is part of stdout.

    A `cold` process is the interpreter started anew, as a user does; others begin with the libraries loaded.
    """
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("KEDRO", "COV_", "MLFLOW"))}
    surroundings |= {"COLUMNS": "160", "KEDRO_DISABLE_TELEMETRY": "1"}
    if env is not None:
        surroundings["KEDRO_ENV"] = env
    command = [sys.executable, "-m", "kedro", *arguments]
    with NamedTemporaryFile(prefix="kedro") as printed:
        if cold:
            done = subprocess.run(
                command, cwd=cwd, env=surroundings, stdout=printed, stderr=printed, timeout=TIMEOUT, check=False
            )
            code = done.returncode
        else:
            code = run_kedro(arguments, cwd, surroundings, Path(printed.name))
        result = subprocess.CompletedProcess(command, code, Path(printed.name).read_text())
    assert result.returncode in expect, result.stdout[-4000:]
    return result


def config_loader(env: str | None = None, conf: Path = ROOT / "conf", **runtime: Any) -> OmegaConfigLoader:
    """The configuration of an environment, `base` alone without one."""
    return OmegaConfigLoader(
        str(conf), env="base" if env is None else env, runtime_params=runtime, **CONFIG_LOADER_ARGS
    )


@cache
def _composed(section: str, env: str | None, runtime: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return dict(config_loader(env, **dict(runtime))[section])


def entries_of(env: str | None = None, **runtime: Any) -> dict[str, Any]:
    """The merged catalog, composed once for the same arguments."""
    return deepcopy(_composed("catalog", env, tuple(sorted(runtime.items()))))


def settings_of(env: str | None = None, **changes: Any) -> dict[str, Any]:
    """Merged parameters; `changes` are YAML paths with `__` for the dots, `...` removes a key."""
    parameters = deepcopy(_composed("parameters", env, ()))
    for path, value in changes.items():
        *parents, key = path.split("__")
        section: Any = parameters
        for parent in parents:
            section = section[parent]
        if value is ...:
            del section[key]
        else:
            section[key] = value
    return parameters


def listing(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that several workers end together (`--no-loadscope-reorder`).

    Of two workers the second makes the finished run while the first trains; files that train come before the others
    that run pipelines, so that no worker waits for the finished run of another.
    """
    first = {ROOT / name: 3 + place for place, name in enumerate(reversed(LONGEST))}
    for item in items:
        kind = 2 if item.get_closest_marker("training") else 1 if item.get_closest_marker("pipeline") else 0
        first[item.path] = max(first.get(item.path, 0), kind)
    items.sort(key=lambda item: -first[item.path])


def pytest_collection_finish() -> None:
    """Throw away from here on what tests leave, and look at nothing that was there before them."""
    gc.freeze()
    gc.enable()


def shared_folder(factory: pytest.TempPathFactory, config: pytest.Config) -> Path:
    """The folder of a test session, the same for all workers."""
    folder = factory.getbasetemp()
    # of pytest-xdist: the folders of the workers lie side by side
    return folder.parent if hasattr(config, "workerinput") else folder


@pytest.fixture(scope="session")
def finished_process(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> FinishedProcess:
    """The whole flow on the small sample market, once for all workers of a test session."""
    folder = shared_folder(tmp_path_factory, pytestconfig)
    kept = folder / "finished_process.pickle"
    with FileLock(folder / "finished_process.lock"):
        if not kept.exists():
            data_root = folder / "finished/data"
            before = listing(ROOT / "data")
            run = kedro("run", "--env", "test", "--params", f"data_root={data_root}", cold=True)
            kept.write_bytes(pickle.dumps(FinishedProcess(data_root, run.stdout, before, listing(ROOT / "data"))))
        finished: FinishedProcess = pickle.loads(kept.read_bytes())
    return finished


@pytest.fixture(scope="session")
def finished_run(finished_process: FinishedProcess) -> Path:
    """Folder of a finished run; copy it before you change anything in it."""
    return finished_process.data_root
