"""`kedro validate-config` says what is wrong without running anything."""

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.logging import RichHandler

from gogooku_kedro import console
from gogooku_kedro.cli import cli
from tests.conftest import ENVIRONMENTS, ROOT, listing


@pytest.fixture
def validate(monkeypatch):
    monkeypatch.chdir(ROOT)
    return lambda *arguments: CliRunner().invoke(cli, ["validate-config", *arguments])


@pytest.mark.parametrize("env", [None, *ENVIRONMENTS])
def test_the_environments_of_the_project_are_valid(validate, env):
    result = validate() if env is None else validate("--env", env)
    assert (result.exit_code, result.output) == (
        0,
        f"configuration of environment {env or 'base'} is valid\n",
    )


def test_every_problem_is_one_line(validate, tmp_path):
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    file = conf / "test/parameters.yml"
    settings = yaml.safe_load(file.read_text())
    settings["model"]["gat"] = {"heads": 7, "use_in_training": False}
    settings["graph"]["wndow"] = 60
    settings["modle"] = {"hidden_size": 8}
    file.write_text(yaml.safe_dump(settings))
    result = validate("--env", "test", "--conf-source", str(conf))
    assert result.exit_code == 1
    top, graph, model = result.output.removeprefix("Error: ").splitlines()
    assert top.startswith("unknown top-level parameter 'modle' (did you mean 'model'?)")
    assert graph.startswith("graph.wndow: unknown key; did you mean 'window'?")
    assert model.startswith("model.gat.use_in_training: false while")
    assert validate("--conf-source", str(conf)).exit_code == 0


def test_an_environment_that_does_not_exist(validate):
    result = validate("--env", "gat_tiny")
    assert result.exit_code == 1
    assert "gat_tiny" in result.output


def test_nothing_is_written(validate):
    databases = [path.stat().st_mtime_ns for path in ROOT.glob("mlflow.db")]
    before = listing(ROOT / "conf")
    validate("--env", "test")
    assert listing(ROOT / "conf") == before
    assert [path.stat().st_mtime_ns for path in ROOT.glob("mlflow.db")] == databases


def test_the_console_keeps_warnings_that_are_not_the_known_remark(monkeypatch, tmp_path, recwarn):
    (tmp_path / "talkative.py").write_text(
        f"""import warnings
warnings.warn({console.REMARK!r} + " to enable data validation", stacklevel=1)
warnings.warn("something else is deprecated", FutureWarning, stacklevel=1)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert console.import_quietly("talkative").__name__ == "talkative"
    assert [str(warning.message) for warning in recwarn] == ["something else is deprecated"]


def test_a_log_without_a_terminal_has_one_line_a_message(capsys):
    logger = logging.Logger("own")
    logger.addHandler(RichHandler(level=logging.INFO))
    console.plain_lines(logger)
    logger.info("%s", "word " * 40 + "end")
    logger.debug("left out")
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    (word ){40}end", line)


def test_the_commands_of_mlflow_are_imported_when_they_are_called():
    program = """
import logging, sys
from click.testing import CliRunner
from gogooku_kedro.console import quieten
quieten()
from kedro.framework.cli.utils import load_entry_points
(group,) = (each for each in load_entry_points("project") if each.name == "Mlflow")
assert (group.list_commands(None), "mlflow" in sys.modules) == (["mlflow"], False)
assert "ui " in CliRunner().invoke(group, ["mlflow", "--help"]).output
assert "mlflow" in sys.modules
print(logging.getLogger("mlflow").level, logging.getLogger("kedro_mlflow").level)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("30 30\n", "")  # logging.WARNING


def test_threads_wait_asleep_and_their_number_holds_after_numba_too():
    program = """
import gogooku_kedro, numpy, torch, xarray
panel = xarray.DataArray(numpy.random.rand(300, 40), dims=("date", "code"))
panel.ffill("date").rolling(date=5).mean().compute()
assert "numba" in __import__("sys").modules
print(torch.get_num_threads())
"""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("NUMBA_NUM_THREADS", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=surroundings | {"OMP_NUM_THREADS": "1", "OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr or sys.platform != "linux"
