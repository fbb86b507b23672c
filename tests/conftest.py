"""One real run through the command line, and the configuration as Kedro composes it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

# Before anything imports numpy or torch: models this small gain nothing from a second thread, and lose
# minutes to threads that wait for one another where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from kedro.config import OmegaConfigLoader

from gogooku_kedro.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ("base", "gat_minimal", "gat_production", "jquants", "ohlcv", "test")


class FinishedProcess(NamedTuple):
    """A finished run: its folder, what it printed, and `data/` of the project before and after it."""

    data_root: Path
    output: str
    data_before: list[Path]
    data_after: list[Path]


def kedro(
    *arguments: str, cwd: Path = ROOT, env: str | None = None, expect: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run Kedro's command line in a process of its own; stderr is part of stdout."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("KEDRO", "COV_", "MLFLOW"))}
    surroundings |= {"COLUMNS": "160", "KEDRO_DISABLE_TELEMETRY": "1"}
    if env is not None:
        surroundings["KEDRO_ENV"] = env
    result = subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=cwd,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in expect, result.stdout[-4000:]
    return result


def config_loader(env: str | None = None, conf: Path = ROOT / "conf", **runtime: Any) -> OmegaConfigLoader:
    """The configuration of an environment, `base` alone without one."""
    return OmegaConfigLoader(
        str(conf), env="base" if env is None else env, runtime_params=runtime, **CONFIG_LOADER_ARGS
    )


def settings_of(env: str | None = None, **changes: Any) -> dict[str, Any]:
    """Merged parameters; `changes` are YAML paths with `__` for the dots, `...` removes a key."""
    parameters = deepcopy(dict(config_loader(env)["parameters"]))
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


@pytest.fixture(scope="session")
def finished_process(tmp_path_factory: pytest.TempPathFactory) -> FinishedProcess:
    """The whole flow on the small sample market, once per test session."""
    data_root = tmp_path_factory.mktemp("finished") / "data"
    before = listing(ROOT / "data")
    run = kedro("run", "--env", "test", "--params", f"data_root={data_root}")
    return FinishedProcess(data_root, run.stdout, before, listing(ROOT / "data"))


@pytest.fixture(scope="session")
def finished_run(finished_process: FinishedProcess) -> Path:
    """Folder of a finished run; copy it before you change anything in it."""
    return finished_process.data_root
