"""The console: plugins say nothing about code that is not ours, and MLflow is imported by what needs it alone."""

import logging
import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import click

REMARK = "Add type hints to the `predict` method"
COMMANDS = "kedro_mlflow.framework.cli.cli"


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

    Kedro calls this before it loads its plugins (entry point `kedro.init`).
    """
    for chatty in ("kedro_mlflow", "mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # MLflow sets the level when it is imported
    if COMMANDS not in sys.modules:
        late: Any = ModuleType(COMMANDS)
        late.commands = MlflowCommands(name="Mlflow", help="Kedro plugin for interactions with mlflow.")
        sys.modules[COMMANDS] = late


def import_quietly(module: str) -> ModuleType:
    """Import a module of kedro-mlflow without the remark that MLflow makes about it.

    kedro-mlflow defines an MLflow model class without type hints, and MLflow insists on saying so (it overrides
    warning filters); nothing in this project can change that class. Every other warning is shown.
    """
    with warnings.catch_warnings(record=True) as caught:
        imported = import_module(module)
    for warning in caught:
        if REMARK not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return imported
