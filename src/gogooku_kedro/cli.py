"""Project commands beside Kedro's own: ``kedro validate-config`` and ``kedro document-features``."""

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


@cli.command(name="document-features")
def document_features() -> None:
    """Write docs/features.md from the feature registry."""
    from gogooku_kedro.features.document import features_page

    page = Path.cwd() / "docs" / "features.md"
    page.write_text(features_page(), encoding="utf-8")
    click.secho(f"wrote {page}", fg="green")
