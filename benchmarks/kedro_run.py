"""A run of the command line with the settings of an environment and changes to them, for benchmarks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[1] / "conf"
ENVIRONMENT = "changed"

Changes = dict[str, dict[str, Any]]
"""By file name: YAML to lay over that file, section by section; a list replaces a list."""


def changed_conf(folder: Path, environment: str, changes: Changes) -> Path:
    """Copy `conf/` into a folder, beside it a changed copy of one environment, and return its path."""
    conf = folder / "conf"
    shutil.copytree(CONF, conf, ignore=shutil.ignore_patterns("local"), dirs_exist_ok=True)
    (conf / "local").mkdir(exist_ok=True)
    shutil.copytree(CONF / environment, conf / ENVIRONMENT, dirs_exist_ok=True)
    for name, change in changes.items():
        file = conf / ENVIRONMENT / name
        written = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(laid_over(written, change), sort_keys=False))
    return conf


def kedro_run(folder: Path, environment: str, changes: Changes, pipelines: str, params: str = "") -> Path:
    """Run pipelines with changed settings below a folder and return the folder of their reports.

    Raises:
        RuntimeError: The run failed; the message ends with what it printed.
    """
    conf, data = changed_conf(folder, environment, changes), folder / "data"
    command = [sys.executable, "-m", "kedro", "run", "--env", ENVIRONMENT, "--conf-source", str(conf)]
    command += ["--pipelines", pipelines, "--params", ",".join(filter(None, [f"data_root={data}", params]))]
    surroundings = os.environ | {"KEDRO_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, cwd=CONF.parent, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return data / "08_reporting"


def laid_over(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: laid_over(old.get(key), value) for key, value in new.items()}
