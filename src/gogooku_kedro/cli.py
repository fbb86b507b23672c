"""Project commands beside Kedro's own: ``kedro validate-config``."""

from pathlib import Path

import click
from kedro.config import MissingConfigException
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from gogooku_kedro.validation import configuration_problems


@click.group(name="gogooku_kedro")
def cli() -> None:
    """Commands of gogooku_kedro."""


@cli.command(name="validate-config")
@click.option("--env", default=None, help="Configuration environment, for example gat_production.")
@click.option("--conf-source", default=None, help="Folder of the configuration.")
def validate_config(env: str | None, conf_source: str | None) -> None:
    """Check every setting that can be checked without running a pipeline."""
    project = Path.cwd()
    bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source or str(project / settings.CONF_SOURCE), env=env, **settings.CONFIG_LOADER_ARGS
    )
    try:
        problems = configuration_problems(loader["parameters"])
    except MissingConfigException as error:
        raise click.ClickException(str(error)) from error
    if problems:
        raise click.ClickException("\n".join(problems))
    click.secho(f"configuration of environment {env or 'base'} is valid", fg="green")
