"""Every command of README and docs is accepted, every block of Python runs, every block of YAML validates."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from kedro.framework.cli.cli import KedroCLI
from kedro.io import DataCatalog
from omegaconf import OmegaConf

from gogooku_kedro.command_line import read_params
from gogooku_kedro.params.base import overlaid
from gogooku_kedro.pipeline_registry import register_pipelines
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ENVIRONMENTS, ROOT, config_loader, settings_of
from tests.test_makefile import TARGETS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "conf/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("dask", "docker", "export", "git", "kedro", "make", "pip", "python", "source")
PLACEHOLDERS = {
    r"--env (NAME|ENV)": "--env base",
    r"--pipelines=NAME": "--pipelines=data",
    r"--params key=value": "--params graph.k=8",
    r"JQUANTS_API_KEY=\S+": "JQUANTS_API_KEY=key",
}
"""What stands for something that the reader chooses."""
ELSEWHERE: dict[str, str] = {
    "tutorials/python.md": "tests/test_own_alpha.py",
    "how_to/champion.md": "tests/champion/test_commands.py",
}
"""Pages whose blocks of Python need more than this file gives, and the test that runs them."""

OTHER_LIBRARIES = ("how_to/export.md",)
"""Pages whose blocks of Python call libraries that are no dependency: they are compiled, not run."""


class Command(NamedTuple):
    """A line of a block, or words between backticks: what is called, and what the page says of its refusal."""

    page: str
    words: str
    refused: str


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\b[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"))


def command_lines(page: Path) -> Iterator[str]:
    """Lines that a reader would type: of blocks, and of text between backticks."""
    text = page.read_text(encoding="utf-8")
    for block in fenced(page, "(?:bash|sh|console)"):
        yield from block.splitlines()
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    for block in re.findall(r"(?m)(?:^    .*\n?)+", prose):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        yield from typed or [line for line in lines if line.split(" ")[0] in PROGRAMS]
    yield from (words for words in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(kedro|make) [a-z-]", words))


def commands() -> list[Command]:
    """Every command of every page, once."""
    found = {}
    for page in PAGES:
        for line in command_lines(page):
            words, _, remark = re.sub(r"\s{2,}#|\s#\s", "\0", line, count=1).partition("\0")
            for placeholder, stands_for in PLACEHOLDERS.items():
                words = re.sub(placeholder, stands_for, words)
            refused = re.search(r"refused: (.+)", remark)
            said = refused[1].strip() if refused else ""
            found.setdefault(words.strip(), Command(page.relative_to(ROOT).as_posix(), words.strip(), said))
    return list(found.values())


COMMANDS = commands()


@cache
def group() -> KedroCLI:
    """Kedro's command line as it is in the project's folder."""
    return KedroCLI(ROOT)


def options_of(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """The name of a command of kedro and its options; refused are names and options that do not exist."""
    command: click.Command | None = group()
    context = click.Context(group())
    names = []
    while isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}"
        context = click.Context(command, parent=context, info_name=name)
        names.append(name)
    assert command is not None
    if isinstance(command, click.Group):
        return " ".join(names), {}
    options, rest, _ = command.make_parser(context).parse_args(arguments)
    assert not [word for word in rest if word.startswith("-")]
    return " ".join(names), options


@cache
def problems(environment: str, params: str) -> tuple[str, ...]:
    """What is wrong with an environment under `--params`."""
    return tuple(configuration_problems(config_loader(environment, **read_params(params))["parameters"]))


def check_kedro(arguments: list[str], refused: str) -> None:
    name, options = options_of(arguments)
    environment = options.get("env") or "base"
    if environment == "tuned":  # what a tuning writes over the environment that it ran in
        environment = "base"
    assert environment in ENVIRONMENTS
    pipelines = options.get("pipelines") or ""
    assert set(filter(None, pipelines.split(","))) <= set(register_pipelines()), name
    found = problems(environment, options.get("params") or "")
    if refused and found:
        assert refused.partition(";")[0] in "\n".join(found)
    else:
        assert found == () or refused


def check_make(arguments: list[str]) -> None:
    given = dict(word.split("=", 1) for word in arguments if "=" in word)
    assert set(given) <= {"ARGS", "WORKERS", "PYTHON"}
    targets = [word for word in arguments if "=" not in word]
    assert set(targets) <= set(TARGETS)
    if "ARGS" in given and targets in (["run"], ["train-optimized"]):
        check_kedro(["run", *shlex.split(given["ARGS"])], "")
    elif targets == ["test"]:
        named = [word for word in shlex.split(given.get("ARGS", "")) if not word.startswith("-")]
        assert [word for word in named if not (ROOT / word).exists()] == []


def check_python(arguments: list[str]) -> None:
    flag, module, *options = arguments
    assert flag == "-m"
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text(encoding="utf-8")
    own = [option for option in options if option.startswith("--")] if module.startswith("benchmarks") else []
    assert [option for option in own if option.partition("=")[0] not in source] == []


def check_pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    assert "requirements.lock" in arguments
    declared = set(re.findall(r"(?m)^(\w+) = \[", (ROOT / "pyproject.toml").read_text()))
    assert {extra for word in arguments for extra in re.findall(r"[\w]+", word.partition("[")[2])} <= declared


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page}: {command.words}"[:90])
def test_a_command_of_a_page_is_accepted(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command.words.rstrip("\\"))
    if program == "kedro":
        check_kedro(arguments, command.refused)
    elif program == "make":
        check_make(arguments)
    elif program == "python":
        check_python(arguments)
    elif program == "pip":
        check_pip(arguments)
    else:  # the container is read by tests/test_packaging.py
        assert program in PROGRAMS


def test_commands_are_found():
    assert len(COMMANDS) > 60
    assert {command.words.split(" ")[0] for command in COMMANDS} >= {"kedro", "make", "python", "pip", "docker"}
    assert len([command for command in COMMANDS if command.refused]) >= 1


@pytest.mark.parametrize(
    "wrong", ["kedro explain --codes 7203", "kedro fly", "kedro run --env nowhere", "kedro run --params graph.kk=1"]
)
def test_a_command_that_does_not_exist_is_found_out(wrong, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((AssertionError, click.ClickException)):
        check_kedro(shlex.split(wrong)[1:], "")


def with_python() -> list[Path]:
    return [page for page in PAGES if fenced(page, "python") and page.name != "README.md"]


@pytest.mark.parametrize("page", with_python(), ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    name = page.relative_to(ROOT / "docs").as_posix()
    if name in ELSEWHERE:
        assert Path(name).name in (ROOT / ELSEWHERE[name]).read_text(encoding="utf-8")
        return
    if name in OTHER_LIBRARIES:
        assert all(compile(block, name, "exec") for block in fenced(page, "python"))
        return
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in fenced(page, "python"):
        exec(compile(block, name, "exec"), names)
    EXPECTED.get(name, lambda _: None)(names)


def _feature(names: dict[str, Any]) -> None:
    assert names["same"]
    assert 0 < abs(names["mean"]) < 0.2
    assert [feature.name for feature in names["line"]] == ["steadiness_20d", "steadiness_60d"]


def _file(names: dict[str, Any]) -> None:
    from gogooku_kedro.datasets import OhlcvFileDataset

    assert {"date", "code", "close", "sector"} <= set(OhlcvFileDataset(filepath="prices.csv").load().columns)


EXPECTED = {"tutorials/add_a_feature.md": _feature, "tutorials/your_own_file.md": _file}
"""What is there after the last block of a page."""


def with_yaml() -> list[tuple[Path, str]]:
    return [(page, block) for page in PAGES for block in fenced(page, "yaml")]


@pytest.mark.parametrize(("page", "block"), with_yaml(), ids=lambda value: getattr(value, "name", ""))
def test_the_yaml_of_a_page_validates(page, block):
    file = re.match(r"# (conf/(\w+)/\w+\.yml)\n", block)
    assert file is not None, "the first line names the file"
    if "catalog" in file[1]:
        OmegaConf.register_new_resolver("runtime_params", lambda name, default=None: default, replace=True)
        entries = OmegaConf.to_container(OmegaConf.create(block), resolve=True)
        assert set(entries) <= set(config_loader("ohlcv")["catalog"])
        DataCatalog.from_config(entries)
        return
    environment = file[2] if file[2] in ENVIRONMENTS else "ohlcv" if "ingestion:" in block else "base"
    merged = overlaid(settings_of(environment), yaml.safe_load(block))
    assert configuration_problems(merged) == []
