"""The console: plain lines in a file, no remarks of plugins about code that is not ours, and MLflow imported late."""

import logging
import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import click
import rich
from rich.logging import RichHandler

REMARK = "Add type hints to the `predict` method"
COMMANDS = "kedro_mlflow.framework.cli.cli"
LINE, TIME = "%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"
"""A line of the log where there is no terminal."""


class MlflowCommands(click.Group):
    """The group `mlflow` of kedro-mlflow, imported when it is called: MLflow alone takes longer than most commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the name of the group."""
        return ["mlflow"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import kedro-mlflow and return its group."""
        if cmd_name != "mlflow":
            return None
        if isinstance(getattr(sys.modules.get(COMMANDS), "commands", None), MlflowCommands):
            del sys.modules[COMMANDS]
        commands: Any = import_quietly(COMMANDS)
        group: click.Command | None = commands.commands.get_command(ctx, cmd_name)
        return group


def quieten() -> None:
    """Set the level of MLflow's loggers, and put a group that imports kedro-mlflow late in the place of its own.

    Without a terminal the log has one line a message. Kedro calls this before it loads its plugins (entry point
    `kedro.init`).
    """
    if not rich.get_console().is_terminal:
        plain_lines(logging.getLogger())
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # MLflow sets the level when it is imported
    if COMMANDS not in sys.modules:
        late: Any = ModuleType(COMMANDS)
        late.commands = MlflowCommands(name="Mlflow", help="Kedro plugin for interactions with mlflow.")
        sys.modules[COMMANDS] = late


def plain_lines(logger: logging.Logger) -> None:
    """Put a handler of plain lines in the place of rich's, which wraps and pads them to 80 columns in a file."""
    for wrapping in [handler for handler in logger.handlers if isinstance(handler, RichHandler)]:
        plain = logging.StreamHandler(sys.stdout)
        plain.setFormatter(logging.Formatter(LINE, TIME))
        plain.setLevel(wrapping.level)
        logger.removeHandler(wrapping)
        logger.addHandler(plain)


def import_quietly(module: str) -> ModuleType:
    """Import a module of kedro-mlflow without the remark that MLflow makes about it.

    kedro-mlflow defines an MLflow model class without type hints, and MLflow insists on saying so (it overrides
    warning filters); nothing in this project can change that class. Every other warning is shown.
    """
    with warnings.catch_warnings(record=True) as caught:
        imported = import_module(module)
    logging.getLogger(module.partition(".")[0]).setLevel(logging.WARNING)  # kedro-mlflow sets INFO when it is imported
    for warning in caught:
        if REMARK not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return imported
