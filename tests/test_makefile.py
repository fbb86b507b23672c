"""Every target of the Makefile works from a shell that knows no environment."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT

TARGETS = re.findall(r"[\w-]+", re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())[1])
SERVE = {
    "viz": "--no-browser --port {port}",
    "mlflow": "--port {port}",
    "docs-serve": "--config-file one_page.yml --dev-addr 127.0.0.1:{port}",
    "notebooks": "--no-browser --allow-root --port={port} --IdentityProvider.token=",
}
"""Targets that serve a page, and the arguments for a port of our own."""
ONE_PAGE = """INHERIT: mkdocs.yml
docs_dir: one_page
nav: [One: index.md]
"""
"""Of the documentation; tests/test_docs_site.py builds all pages."""

BUILT = ("docs",)
"""Targets that another file tries: tests/test_docs_site.py reads what they build."""
RUN = ("setup", "clean")
DRY = ("train-optimized", "run", "daily", "test", "coverage", "lint", "bench", "lock")
"""Targets that take long, or change the environment's lock: their commands are looked up, not run."""


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Start `make` with the environment of these tests for `.venv`, in a shell that has not activated it."""
    tool = shutil.which("make")
    assert tool is not None
    own = {
        "PYTHONPATH": str(cwd / "src"),
        "OMP_NUM_THREADS": "1",
    }  # the code beside this file, wherever it is installed
    bare = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cwd)} | own
    return subprocess.Popen(
        [tool, "-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}", *arguments],
        cwd=cwd,
        env=bare,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, so that nothing is written into the project itself."""
    copy = tmp_path_factory.mktemp("made")
    for name in ("pyproject.toml", "Makefile", "mkdocs.yml", "requirements.lock", "README.md"):
        shutil.copy(ROOT / name, copy)
    for name in ("conf", "src", "docs", "notebooks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    (copy / "conf/local").mkdir()
    (copy / "data/08_reporting").mkdir(parents=True)
    (copy / "one_page.yml").write_text(ONE_PAGE)
    (copy / "one_page").mkdir()
    (copy / "one_page/index.md").write_text("# One page")
    return copy


def test_every_target_is_tried():
    assert sorted(TARGETS) == sorted([*SERVE, *BUILT, *RUN, *DRY])


@pytest.mark.parametrize("target", DRY)
def test_the_commands_of_a_long_target_are_there(target):
    process = make("-n", target)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    commands = re.findall(rf"{re.escape(sys.prefix)}/bin/(\S+)(?: -m ([\w.]+))?", said)
    assert commands, said
    assert [name for name, _ in commands if not os.access(f"{sys.prefix}/bin/{name}", os.X_OK)] == []
    assert [module for _, module in commands if module and find_spec(module) is None] == []


@pytest.mark.pipeline
@pytest.mark.parametrize("target", RUN)
def test_a_short_target_runs(target, project):
    left = [project / "data/08_reporting/metrics.json", project / "site/index.html"]
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    process = make(target, cwd=project)
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said
    assert [file.exists() for file in left] == [target != "clean"] * 2


@pytest.mark.pipeline
@pytest.mark.parametrize("target", SERVE)
def test_a_target_that_serves_shows_its_page(target, project):
    port = next(port for port in range(4200, 49000) if is_free(port))  # kedro-viz refuses those above
    process = make(target, f"ARGS={SERVE[target].format(port=port)}", cwd=project)
    try:
        assert fetched(f"http://127.0.0.1:{port}/", process) == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.pipeline
def test_a_training_in_the_background_that_is_refused_says_so_at_once(project, tmp_path):
    arguments = f"ARGS=--env test --params data_root={tmp_path / 'data'},model.gat.haeds=4"
    process = make("train-optimized", arguments, cwd=project)
    said, _ = process.communicate(timeout=400)
    assert process.returncode != 0
    assert "model.gat.haeds: unknown key" in said
    assert not (project / "logs/train-optimized.pid").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.pipeline
def test_a_training_in_the_background_has_a_log_and_its_process_is_told(project, tmp_path):
    data_root = tmp_path / "data"
    process = make("train-optimized", f"ARGS=--env test --params data_root={data_root}", cwd=project)
    pid = 0
    try:
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said
        pid = int((project / "logs/train-optimized.pid").read_text())
        assert f"process {pid} runs; log logs/train-optimized.log" in said
        os.kill(pid, signal.SIGINT)
        log = project / "logs/train-optimized.log"
        for _ in range(240):
            if "go on with: kedro run " in log.read_text():
                break
            time.sleep(0.5)
        assert "; finished stages and epochs are kept" in log.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL) if pid else os.killpg(process.pid, signal.SIGKILL)


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def fetched(url: str, process: subprocess.Popen[str]) -> int:
    """Ask until the page is there; the status, or what the command printed before it ended."""
    for _ in range(300):
        assert process.poll() is None, process.communicate()[0]
        try:
            with urllib.request.urlopen(url, timeout=60) as page:
                return page.status
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError(f"nothing at {url}")
