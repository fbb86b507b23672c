"""What the options of a command mean: `--params`, pairs of key and YAML value, and the configuration they choose."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.config import AbstractConfigLoader, MissingConfigException
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from omegaconf import OmegaConf
from yaml import YAMLError

from gogooku_kedro.validation import configuration_problems

if TYPE_CHECKING:
    from kedro.io import DataCatalog

Command = Callable[..., Any]

CLOSING = {"[": "]", "{": "}", '"': '"', "'": "'"}


def read_params(text: str) -> dict[str, Any]:
    """Return the nested settings of a `--params` text, such as `training.seeds=[0,1],data_root=DIR`.

    A comma separates pairs, except within brackets or quotes that a value begins with.

    Raises:
        ValueError: A pair has no key or no `=`, or a value is no YAML; the message names the pair.
    """
    pairs = list(_pairs(text))
    for pair in pairs:
        name, equals, _ = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"{pair!r} is no key=value; write for example training.seeds=[0,1],data_root=DIR")
    try:
        read: Any = OmegaConf.to_container(OmegaConf.from_dotlist(pairs))
    except YAMLError as error:
        raise ValueError(f"{text!r} is not YAML ({str(error).partition(chr(10))[0]}); write lists as [a,b]") from error
    return dict(read)


def params_option(context: click.Context, parameter: click.Parameter, value: Any) -> dict[str, Any]:
    """Read `--params` for Click; what a configuration file of the command gives is taken as it is."""
    if isinstance(value, dict):
        return value
    try:
        return read_params(value or "")
    except ValueError as error:
        raise click.ClickException(f"--params: {error}") from error


def with_lists(command: click.Command) -> click.Command:
    """Return a command whose `--params` is read by `params_option`."""
    command = copy.copy(command)
    command.params = [copy.copy(parameter) for parameter in command.params]
    for parameter in command.params:
        if parameter.name == "params":
            parameter.callback = params_option
    return command


def of_an_environment(command: Command) -> Command:
    """Give a command the options that choose a configuration."""
    which_settings = click.option(
        "--params", default="", callback=params_option, help="As of kedro run: data_root=DIR,training.seeds=[0,1]."
    )
    where = click.option("--conf-source", default=None, help="Folder of the configuration.")
    which = click.option("--env", default=None, help="Configuration environment, for example gat_production.")
    return which(where(which_settings(command)))


def configuration(env: str | None, conf_source: str | None, runtime_params: dict[str, Any]) -> AbstractConfigLoader:
    """Return the configuration of an environment; without `conf_source` that of the working directory."""
    project = Path.cwd()
    bootstrap_project(project)
    loader: AbstractConfigLoader = settings.CONFIG_LOADER_CLASS(
        conf_source or str(project / settings.CONF_SOURCE),
        env=env,
        runtime_params=runtime_params,
        **settings.CONFIG_LOADER_ARGS,
    )
    return loader


def checked_parameters(loader: AbstractConfigLoader) -> dict[str, Any]:
    """Return the parameters of a configuration.

    Raises:
        click.ClickException: There are none, or some are wrong: one line each.
    """
    try:
        parameters: dict[str, Any] = loader["parameters"]
    except MissingConfigException as error:
        raise click.ClickException(str(error)) from error
    problems = configuration_problems(parameters)
    if problems:
        raise click.ClickException("\n".join(problems))
    return parameters


def check_stored(
    catalog: DataCatalog,
    parameters: dict[str, Any],
    env: str | None,
    names: Collection[str],
    sessions_added: bool = False,
) -> None:
    """See that a run has left some datasets, and that they are of these settings.

    Args:
        catalog: The catalog.
        parameters: The settings.
        env: Environment of the configuration.
        names: Datasets.
        sessions_added: Let them be of prices that have got further sessions since.

    Raises:
        ValueError: Something is missing, or of other settings.
    """
    from gogooku_kedro.lineage import Lineage  # noqa: PLC0415  pandas: only for what reads

    missing = [name for name in names if not catalog.exists(name)]
    if missing:
        raise ValueError(f"no {', '.join(missing)} yet: run `kedro run` first, with this --env and --params")
    Lineage(catalog, parameters, env or "base").check(names, applied=names if sessions_added else ())


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Keep runs off a data root.

    Raises:
        click.ClickException: A run has it.
    """
    from gogooku_kedro.artifacts import RootLock  # noqa: PLC0415  pandas: only for what writes

    lock = RootLock(root)
    try:
        lock.acquire()
    except BlockingIOError as error:
        raise click.ClickException(str(error)) from error
    try:
        yield
    finally:
        lock.release()


def _pairs(text: str) -> Iterator[str]:
    while text.strip():
        end = next((place for place, sign in enumerate(text) if sign in "=,"), len(text))
        if text[end : end + 1] == "=":
            end += 1 + _length(text[end + 1 :])
        key, equals, value = text[:end].partition("=")
        if key.strip() or equals:
            yield f"{key.strip()}{equals}{value.strip()}"
        text = text[end + 1 :]


def _length(value: str) -> int:
    """Characters of the value that a text begins with, up to the comma behind it."""
    start, closing = len(value) - len(value.lstrip()), list[str]()
    for place, sign in enumerate(value):
        if closing and sign == closing[-1]:
            closing.pop()
        elif closing and closing[-1] in "\"'":
            continue
        elif sign in CLOSING and (closing or place == start):
            closing.append(CLOSING[sign])
        elif sign == "," and not closing:
            return place
    if closing:
        raise ValueError(f"{value!r} has no closing {closing[-1]}; write lists as [a,b]")
    return len(value)
