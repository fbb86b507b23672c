"""What is built from the project: the wheel, the archive of the configuration, the container."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from kedro.framework.cli import project as kedro_project
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
CPU_BUILD = torch.version.cuda is None
HEAVY = {"jupyterlab", "ipykernel", "nbconvert", "mkdocs", "mkdocs-material", "pytest", "polars", "skfolio", "ruff"}


def needed(extra: str = "") -> set[str]:
    """Names of what the project, or one of its extras, asks for."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_every_pinned_package_installs_on_the_oldest_python_of_the_project():
    """Debian 12 has 3.11.2, and some packages ask for a later 3.11."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    asked = {}
    for line in LOCK.splitlines():
        name, _, version = line.partition("==")
        with suppress(PackageNotFoundError):  # of another platform
            found = distribution(name)
            if found.version.partition("+")[0] == version:
                asked[line] = found.metadata.get("Requires-Python") or ""
    assert len(asked) > 200
    assert {line: wanted for line, wanted in asked.items() if oldest not in SpecifierSet(wanted)} == {}


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """What `kedro package` leaves, from a copy of the project; the wheel is built by what is installed here."""
    project = tmp_path_factory.mktemp("packaged")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, project / name, symlinks=True, ignore=left_out)
    (project / "conf/local").mkdir()
    (project / "conf/local/credentials.yml").write_text("jquants: {api_key: SECRET}\n")

    def call(command: list[str], cwd: str = ".") -> None:
        offline = ["--no-isolation"] if "build" in command else []
        done = subprocess.run([*command, *offline], cwd=cwd or project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    metadata = SimpleNamespace(project_path=project, source_dir=project / "src", package_name="gogooku_kedro")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(kedro_project, "call", call)
        said = CliRunner().invoke(kedro_project.package, obj=metadata)
    assert said.exit_code == 0, said.output
    return project / "dist"


def bare() -> dict[str, str]:
    """The surroundings of a process that knows nothing of this one's project."""
    own = ("KEDRO", "COV_", "MLFLOW", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def installed(python: Path, *arguments: str, cwd: Path) -> str:
    """Run the packaged project with the configuration archive of `cwd`; what it prints."""
    done = subprocess.run(
        [str(python), "-m", "gogooku_kedro", "--conf-source", "conf-gogooku_kedro.tar.gz", *arguments],
        cwd=cwd,
        env=bare() | {"KEDRO_DISABLE_TELEMETRY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def fresh(folder: Path, wheel: Path, *options: str) -> Path:
    """A new environment with the wheel in it; its python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, str(wheel)]
    done = subprocess.run(command, env=bare(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return python


def test_the_wheel_holds_the_code_its_templates_and_types_and_nothing_else(dist):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    source = ROOT / "src"
    code = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if "conf" not in path.parts}
    templates = {path.relative_to(source).as_posix() for path in (source / "gogooku_kedro/report/templates").iterdir()}
    assert templates
    assert (code | templates | {"gogooku_kedro/py.typed"}) - set(names) == set()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"gogooku_kedro"}
    assert [name for name in names if re.search(r"credentials|/local/|test_|notebook", name)] == []


def test_the_archive_holds_every_environment_and_nothing_of_the_user(dist):
    with tarfile.open(dist / "conf-gogooku_kedro.tar.gz") as archive:
        names = [name.removeprefix("./") for name in archive.getnames()]
    mine = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").glob("*/*.yml") if path.parts[-2] != "local"}
    assert mine - set(names) == set()
    assert [name for name in names if "credentials" in name] == []


@pytest.mark.pipeline
def test_wheel_and_archive_run_without_the_source(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    python = fresh(tmp_path / "venv", wheel, "--no-deps")
    (own,) = (tmp_path / "venv").glob("lib/*/site-packages")
    libraries = Path(pytest.__file__).parents[1]
    (own / "libraries.pth").write_text(f"{libraries}\n")
    shutil.copy(dist / "conf-gogooku_kedro.tar.gz", tmp_path)
    installed(python, "--env", "test", "--pipelines", "ingestion", cwd=tmp_path)
    assert (tmp_path / "data/02_intermediate/quality_report.json").exists()
    where = subprocess.run(
        [str(python), "-c", "import gogooku_kedro; print(gogooku_kedro.__file__)"],
        cwd=tmp_path,
        env=bare(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path) in where.stdout


@pytest.mark.slow
def test_wheel_and_archive_run_in_an_environment_of_their_own(dist, tmp_path):
    """Downloads what the project needs, about a gigabyte on a CPU; takes minutes."""
    (wheel,) = dist.glob("*.whl")
    python = fresh(tmp_path / "venv", wheel, "-c", str(ROOT / "requirements.lock"))
    shutil.copy(dist / "conf-gogooku_kedro.tar.gz", tmp_path)
    installed(python, "--env", "test", cwd=tmp_path)
    assert (tmp_path / "data/08_reporting/report.html").exists()
    size = sum(path.stat().st_size for path in (tmp_path / "venv").rglob("*") if path.is_file())
    assert size < 2.4e9 or not CPU_BUILD, f"{size / 1e9:.2f} GB; docs/how_to/install.md says 2.3"


def test_what_only_developers_need_is_an_extra():
    assert needed() & HEAVY == set()
    assert "kedro-viz" not in needed()
    assert needed("viz") == {"kedro-viz"}
    assert HEAVY - {"ruff"} <= needed("notebooks") | needed("docs") | needed("test")
    (everything,) = [line for line in PROJECT["optional-dependencies"]["dev"] if line.startswith("gogooku_kedro[")]
    assert Requirement(everything).extras == set(PROJECT["optional-dependencies"]) - {"dev"}


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_the_lock_has_everything_that_is_asked_for(extra):
    locked = {canonicalize_name(Requirement(line).name): Requirement(line) for line in LOCK.splitlines() if line}
    asked = [
        Requirement(line) for line in (PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"])
    ]
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        if name == "gogooku-kedro":
            continue
        (pin,) = locked[name].specifier
        assert pin.version in requirement.specifier, requirement


def test_setup_says_how_much_it_downloads_before_it_does():
    recipe = (ROOT / "Makefile").read_text().split("$(READY):")[1].split("\n\n")[0].splitlines()
    says = next(place for place, line in enumerate(recipe) if "echo" in line)
    assert re.search(r"about \d\.\d GB .* minutes", recipe[says])
    assert says < next(place for place, line in enumerate(recipe) if "pip install" in line)


def test_the_container_copies_what_is_there_and_installs_from_the_lock():
    copied = [
        name
        for line in re.findall(r"(?m)^COPY (?!--from)(?:--chown=\S+ )?(.+)$", DOCKERFILE)
        for name in line.split()[:-1]
    ]
    assert {"requirements.lock", "pyproject.toml", "src", "conf"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
    assert set(copied) <= set(kept)
    assert "pip install -c requirements.lock ." in DOCKERFILE
    assert re.search(r"(?m)^torch==", LOCK), "the container takes the version of torch from the lock"
    assert f"ARG PYTHON={PROJECT['requires-python'].removeprefix('>=')}" in DOCKERFILE
    assert re.search(r"(?m)^USER (?!root)", DOCKERFILE)


def test_the_container_says_how_it_is_built_for_a_cpu_and_for_cuda():
    declared = set(re.findall(r"(?m)^ARG (\w+)", DOCKERFILE))
    page = (ROOT / "docs/how_to/install.md").read_text(encoding="utf-8")
    for text in (DOCKERFILE, page):
        used = set(re.findall(r"--build-arg (\w+)=", text))
        assert used == {"TORCH_INDEX"}
        assert used <= declared
        assert "never built" in text


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint")
def test_the_container_has_no_finding_of_hadolint():
    found = subprocess.run([HADOLINT, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
