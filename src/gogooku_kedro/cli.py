"""Project commands beside Kedro's own: ``kedro validate-config``."""

from pathlib import Path

import click
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from pydantic import ValidationError

from gogooku_kedro.params import SECTIONS, check_top_level


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
    with KedroSession.create(project, env=env, conf_source=conf_source) as session:
        parameters = session.load_context().config_loader["parameters"]
    problems = configuration_problems(parameters)
    for problem in problems:
        click.secho(problem, fg="red", err=True)
    if problems:
        raise SystemExit(1)
    click.secho(f"configuration of environment {env or 'base'} is valid", fg="green")


def configuration_problems(parameters: dict[str, object]) -> list[str]:
    """Every problem of a merged configuration, one sentence each; empty when it is valid."""
    problems = []
    try:
        check_top_level(set(parameters))
    except ValueError as error:
        problems.append(str(error))
    for name, section in SECTIONS.items():
        if name not in parameters:
            problems.append(f"{name}: the section is missing; write it in conf/base/parameters*.yml")
            continue
        try:
            section.model_validate(parameters[name])
        except ValidationError as error:
            problems += [f"{'.'.join(map(str, (name, *e['loc'])))}: {e['msg']}" for e in error.errors()]
    return problems
