"""Kedro's command line in processes of their own that begin with the libraries loaded.

A start of `python -m kedro` takes 10 seconds of a core, nearly all of it imports. Here one process per test session
imports them, and every command is a fork of it: no state is shared between commands, or with the tests.
"""

import atexit
import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LIBRARIES = (
    "kedro.framework.cli",
    "kedro.framework.session",
    "kedro_mlflow.framework.cli.cli",
    "kedro_mlflow.framework.hooks.mlflow_hook",
    "mlflow.store.tracking.sqlalchemy_store",
    "gogooku_kedro.cli",
    "gogooku_kedro.hooks",
    "gogooku_kedro.settings",
    "gogooku_kedro.pipeline_registry",
    *(
        f"gogooku_kedro.pipelines.{stage}.nodes"
        for stage in ("ingestion", "features", "graph", "training", "inference", "baselines", "evaluation")
    ),
    *(
        f"gogooku_kedro.pipelines.{stage}.nodes"
        for stage in ("walk_forward", "ablation", "tuning", "explanation", "report")
    ),
    # What the stages and the datasets import when they are used: torch, scipy.signal, dask, pandera and so on.
    "gogooku_kedro.training",
    "gogooku_kedro.training.run_logger",
    *(f"gogooku_kedro.baselines.{model}" for model in ("lightgbm", "lstm", "ridge", "rules")),
    *(f"gogooku_kedro.{package}" for package in ("backtest.summary", "champion.registry", "explanation.why")),
    *(f"gogooku_kedro.{package}" for package in ("report.page", "report.publish", "report.figures.tear_sheet")),
    *(f"gogooku_kedro.{package}" for package in ("sample_market", "schemas", "tuning.search", "ablation.ablation")),
    *(f"gogooku_kedro.datasets.{kind}" for kind in ("ensemble", "files", "jquants", "sample_market", "zarr_panel")),
    *(f"kedro_datasets.{kind}" for kind in ("json", "pandas", "plotly", "pickle", "yaml")),
    *("dask.dataframe", "IPython", "sklearn.linear_model"),
    *("pandera.backends.pandas.builtin_checks", "pandera.typing", "plotly.graph_objects", "pyarrow.dataset"),
    *("alembic.command", "numba", "mlflow.pyfunc", "mlflow.pytorch", "mlflow.tracing.processor.base_mlflow", "git"),
)
TIMEOUT = 900
"""Seconds; a whole flow takes one minute of a core that nobody else uses."""


def loaded() -> None:
    """Import what a run needs; where the module is preloaded, so are they."""
    for name in LIBRARIES:
        importlib.import_module(name)


def run_kedro(arguments: Sequence[str], folder: Path, surroundings: Mapping[str, str], printed: Path) -> int:
    """Run a command in a folder and return its exit code; stdout and stderr go to the file `printed`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    process = context.Process(target=_command, args=(arguments, folder, dict(surroundings), printed))
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(surroundings)  # the first start makes the process that all others are forks of
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    process.join(TIMEOUT)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _command(arguments: Sequence[str], folder: Path, surroundings: Mapping[str, str], printed: Path) -> None:
    file = os.open(printed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(surroundings)
    os.chdir(folder)
    sys.argv = ["kedro", *arguments]
    from kedro.framework.cli import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
