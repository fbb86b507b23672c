"""Kedro's run, and project commands beside it, such as validate-config, explain, daily, verify and jquants-audit."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.project import run as kedro_run

from gogooku_kedro import champion_commands, desk_commands
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.command_line import (
    check_stored,
    checked_parameters,
    configuration,
    of_an_environment,
    only_writer,
    with_lists,
)
from gogooku_kedro.refusals import refusals_alone

if TYPE_CHECKING:
    import pandas as pd
    from kedro.io import DataCatalog

    from gogooku_kedro.explanation import Why
    from gogooku_kedro.training.diagnostics.gradient_check import GradientReport


@click.group(name="gogooku_kedro")
def cli() -> None:
    """Commands of gogooku_kedro."""


cli.add_command(desk_commands.export)
cli.add_command(desk_commands.monitor)
cli.add_command(champion_commands.compare)
cli.add_command(champion_commands.promote)
cli.add_command(champion_commands.rollback)


@cli.command(name="run", params=with_lists(kedro_run).params)
@click.option("--verbose", "-v", is_flag=True, help="Show the traceback of a refusal too.")
def run(verbose: bool, **arguments: Any) -> Any:
    """Run the pipeline; what is refused prints one sentence."""
    with refusals_alone(verbose):
        return click.get_current_context().invoke(kedro_run, **arguments)


@cli.command(name="validate-config")
@of_an_environment
def validate_config(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Check every setting that can be checked without running a pipeline."""
    parameters = checked_parameters(configuration(env, conf_source, params))
    from gogooku_kedro.ablation.variants import variant_problems
    from gogooku_kedro.tuning.space import space_problems

    problems = variant_problems(parameters) + space_problems(parameters)
    if problems:
        raise click.ClickException("\n".join(problems))
    preset = parameters.get("preset", "none")
    size = "" if preset == "none" else f" with preset {preset}"
    click.secho(f"configuration of environment {env or 'base'}{size} is valid", fg="green")


@cli.command(name="compile")
def compile_loops() -> None:
    """Compile the loops of graph, features and model, which the first run would wait for otherwise."""
    from gogooku_kedro.study import Study

    logging.disable(logging.INFO)
    with TemporaryDirectory() as folder:
        short = {"max_epochs": 1, "max_batches": 1}
        _ = Study(env="test", data_root=folder, params={"training": short}).ensemble
    click.secho("compiled", fg="green")


@cli.command(name="check-gradients")
@of_an_environment
def check_gradients(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Show that the task reaches every part of the configured model, and every input its scores."""
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    from kedro.io import DataCatalog, DatasetError

    try:
        report, tried_on = _gradient_report(parameters, DataCatalog.from_config(loader["catalog"]))
    except (ValueError, DatasetError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{report}\ntried on {tried_on}")
    if not report.passed:
        raise click.ClickException(f"failed: {', '.join(report.failures)}")
    click.secho(f"all {len(report.checks)} checks passed", fg="green")


@cli.command(name="explain")
@of_an_environment
@click.option("--code", required=True, help="The stock, for example 7203.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="The session; the latest without it.")
@click.option("--horizon", type=click.Choice([str(h) for h in HORIZONS]), default="5", show_default=True)
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Rows of every table.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def explain(
    env: str | None,
    conf_source: str | None,
    params: dict[str, Any],
    code: str,
    date: datetime | None,
    horizon: str,
    top: int,
    as_json: bool,
) -> None:
    """Say why the stored model scores a stock as it does on a session."""
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    import pandas as pd
    from kedro.io import DataCatalog

    from gogooku_kedro.explanation import render

    session = None if date is None else pd.Timestamp(date)
    try:
        catalog = DataCatalog.from_config(loader["catalog"])
        why = _explained(parameters, catalog, env or "base", code, session, int(horizon))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(why.as_dict(top), indent=2) if as_json else render(why, top))


@cli.command(name="daily")
@of_an_environment
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Replay the morning after this session.")
@click.option("--verbose", "-v", is_flag=True, help="Show the traceback of a refusal too.")
def daily(
    env: str | None, conf_source: str | None, params: dict[str, Any], as_of: datetime | None, verbose: bool
) -> None:
    """Fetch, append, check, score and publish the newest session; exit code 3 and one sentence where it must not.

    Then monitor the published rankings, as `kedro monitor` does.
    """
    loader = configuration(env, conf_source, params)
    checked_parameters(loader)
    from gogooku_kedro.pipelines.daily.command import run_morning

    with refusals_alone(verbose):
        morning = run_morning(Path.cwd(), env, conf_source, params, loader, as_of)
    click.echo(morning.text)
    if as_of is None:
        known = desk_commands.Known(morning.panel, morning.raw_features)
        click.echo(desk_commands.monitored_morning(env, conf_source, params, known))


@cli.command(name="evaluate")
@of_an_environment
@click.option("--scores", required=True, type=click.Path(path_type=Path), help="Parquet or CSV: date, code, score.")
@click.option("--name", default="own", show_default=True, help="What the scores are called.")
def evaluate(env: str | None, conf_source: str | None, params: dict[str, Any], scores: Path, name: str) -> None:
    """Measure your own scores beside the models of a finished run, on the same stocks and sessions."""
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    from kedro.io import DataCatalog, DatasetError

    from gogooku_kedro.alpha_page import tear_sheet
    from gogooku_kedro.metrics.given_scores import read_scores
    from gogooku_kedro.own_alpha import STORED, Ground, measure

    catalog = DataCatalog.from_config(loader["catalog"])
    try:
        given = read_scores(scores)
        check_stored(catalog, parameters, env, STORED)
        found = measure(given, Ground.of_run(catalog.load, parameters), name)
    except (ValueError, DatasetError) as error:
        raise click.ClickException(str(error)) from error
    folder = Path(loader["catalog"]["run_record"]["filepath"]).parent / "own_scores" / name
    horizon = "5d" if "5d" in found.horizons else found.horizons[0]
    paths = [*found.save(folder), tear_sheet(found, path=folder / "tear_sheet.html", horizon=horizon)]
    click.echo("\n".join([str(found), *map(str, paths)]))


@cli.command(name="verify")
@of_an_environment
def verify(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Read every file that a run writes, and hold it against the settings: one line for each finding, exit code 1."""
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    from kedro.framework.project import pipelines
    from kedro.io import DataCatalog

    from gogooku_kedro.datasets.integrity import stored_problems
    from gogooku_kedro.lineage import Lineage, reasons

    written = {name: pipeline.all_outputs() for name, pipeline in pipelines.items()}
    catalog, every = DataCatalog.from_config(loader["catalog"]), set().union(*written.values())
    found = stored_problems(catalog, every, written["__default__"])
    found += reasons(Lineage(catalog, parameters).mismatches(every))
    if found:
        raise click.ClickException("\n".join(found))
    click.secho("every file is there, as it was written, and of these settings", fg="green")


@cli.command(name="status")
@of_an_environment
def status(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Say what the last run of a data root does or did: stage, epoch, time left, metrics, how to go on."""
    loader = configuration(env, conf_source, params)
    from gogooku_kedro.run_status import RunStatus

    root = Path(loader["catalog"]["run_record"]["filepath"]).parents[1]
    last = RunStatus.load(root)
    click.echo("\n".join([f"no run yet in {root}"] if last is None else last.lines()))


@cli.command(name="document-features")
def document_features() -> None:
    """Write docs/features.md from the feature registry."""
    from gogooku_kedro.features.registry import features_page

    page = Path.cwd() / "docs" / "features.md"
    page.write_text(features_page(), encoding="utf-8")
    click.secho(f"wrote {page}", fg="green")


@cli.command(name="document-settings")
def document_settings() -> None:
    """Write docs/settings.md from the typed settings and the configuration."""
    from gogooku_kedro.settings_page import settings_page

    page = Path.cwd() / "docs" / "settings.md"
    page.write_text(settings_page(Path.cwd() / "conf"), encoding="utf-8")
    click.secho(f"wrote {page}", fg="green")


@cli.command(name="document-terms")
def document_terms() -> None:
    """Write docs/terms.md from the glossary of the report."""
    from gogooku_kedro.report.glossary import glossary_page

    page = Path.cwd() / "docs" / "terms.md"
    page.write_text(glossary_page(), encoding="utf-8")
    click.secho(f"wrote {page}", fg="green")


@cli.command(name="document-rules")
def document_rules() -> None:
    """Write the tables of docs/data_rules.md from the rules for bad data."""
    from gogooku_kedro.market.issue_rules import rules_page

    page = Path.cwd() / "docs" / "data_rules.md"
    page.write_text(rules_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    click.secho(f"wrote {page}", fg="green")


@cli.command(name="jquants-audit")
@of_an_environment
@click.option("--probe", type=click.IntRange(min=1), help="Ask the service for this many stored sessions again.")
@click.option("--repair", is_flag=True, help="Fetch what was found, and nothing else.")
def jquants_audit(
    env: str | None, conf_source: str | None, params: dict[str, Any], probe: int | None, repair: bool
) -> None:
    """Hold what was fetched from J-Quants against the calendar: one line for each finding, and exit code 1."""
    store, settings = _jquants(env, conf_source, params)
    from gogooku_kedro.pipelines.jquants import nodes

    found = nodes.audit_store(store, settings, probe)
    for finding in found:
        click.echo(str(finding))
    if found and repair:
        with only_writer(store.folder.parents[1]):
            found = nodes.repair_store(store, settings, found)
        click.echo(f"fetched again; {len(found)} left")
    if found:
        raise click.ClickException(f"{len(found)} partitions are not as they should be; --repair fetches them")
    click.secho("every partition that the plan has is there and whole", fg="green")


@cli.command(name="jquants-purge")
@of_an_environment
@click.confirmation_option(prompt="Delete everything that was fetched from J-Quants?")
def jquants_purge(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Delete what was fetched from J-Quants, as its terms ask for when a subscription ends."""
    store, _ = _jquants(env, conf_source, params)
    with only_writer(store.folder.parents[1]):
        count = store.purge()
    click.secho(f"deleted {count} files in {store.folder}", fg="green")
    click.echo("Panels, features, models and reports made of them lie in the other folders of the data root.")


def _jquants(env: str | None, conf_source: str | None, params: dict[str, Any]) -> tuple[Any, Any]:
    """Return the store and the settings of J-Quants."""
    loader = configuration(env or "jquants", conf_source, params)
    parameters = checked_parameters(loader)
    from kedro.io import DataCatalog

    from gogooku_kedro.params import JQuantsParams

    catalog = DataCatalog.from_config({"jquants_store": loader["catalog"]["jquants_store"]})
    return catalog.load("jquants_store"), JQuantsParams.model_validate(parameters["jquants"])


def _gradient_report(parameters: dict[str, Any], catalog: DataCatalog) -> tuple[GradientReport, str]:
    """Check an untrained model on what a run has left in the catalog, or on random numbers."""
    from gogooku_kedro.params import ModelParams, TrainingParams
    from gogooku_kedro.training.diagnostics import trial
    from gogooku_kedro.training.diagnostics.gradient_check import check_gradients

    model = ModelParams.model_validate(parameters["model"])
    training = TrainingParams.model_validate(parameters["training"])
    names = ("features", "labels", "graph_edges", "split", "feature_manifest")
    if all(catalog.exists(name) for name in names):
        features, labels, edges, split, manifest = (catalog.load(name) for name in names)
        chunk = trial.first_chunk(features, labels, edges, split, manifest, model, training.chunk_days)
        called = trial.InputNames.of(manifest, model)
        tried_on = f"the first {training.chunk_days} training sessions, {chunk.x.size(1)} stocks"
    else:
        chunk = trial.random_chunk(model, training.seed)
        called = trial.InputNames.numbered(chunk)
        tried_on = "random numbers, as there are no features, labels and graph yet"
    chunk, replaced = trial.with_variation(chunk, called, training.seed)
    if replaced:
        tried_on += f"; without variation there, so tried with random numbers: {', '.join(replaced)}"
    network = trial.untrained_model(model, chunk, training.seed)
    return check_gradients(network, chunk, model, training, called), tried_on


def _explained(
    parameters: dict[str, Any], catalog: DataCatalog, env: str, code: str, date: pd.Timestamp | None, horizon: int
) -> Why:
    """Explain the score of a stock with the model and the data that a run has left in the catalog."""
    from kedro.io import DatasetError

    from gogooku_kedro.explanation import Subject, explain_stock
    from gogooku_kedro.lineage import Lineage
    from gogooku_kedro.params import ExplanationParams, ModelParams, TrainingParams
    from gogooku_kedro.training import build_market, resolve_device

    names = ("panel", "features", "labels", "graph_edges", "feature_manifest")
    missing = [name for name in names if not catalog.exists(name)]
    if missing:
        raise ValueError(f"no {', '.join(missing)} yet: run `kedro run --pipelines=data` first")
    if not catalog.exists("ensemble"):
        raise ValueError("no trained model yet: run `kedro run --pipelines=training` first")
    Lineage(catalog, parameters, env).check([*names, "ensemble"])
    model = ModelParams.model_validate(parameters["model"])
    device = resolve_device(TrainingParams.model_validate(parameters["training"]).device)
    settings = ExplanationParams.model_validate(parameters["explanation"])
    try:
        panel, features, labels, edges, manifest = (catalog.load(name) for name in names)
        ensemble = catalog.load("ensemble")
    except DatasetError as error:
        raise ValueError(str(error)) from error
    market = build_market(features, labels, edges, manifest, model)
    subject = Subject.of(ensemble, market, model, device)
    return explain_stock(subject, panel, model.quantiles, code, date, horizon, settings.gradient_steps)
