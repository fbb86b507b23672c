"""`kedro compare`, `kedro promote` and `kedro rollback`: which registered model scores the mornings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gogooku_kedro.command_line import check_stored, checked_parameters, configuration, of_an_environment
from gogooku_kedro.refusals import refusals_alone

if TYPE_CHECKING:
    from gogooku_kedro.champion.comparison import Comparison, Verdict
    from gogooku_kedro.champion.registry import Registry, Version

UNDECIDED = 3
"""Exit code of a promotion that the matured days do not allow."""

STORED = ("features", "labels", "graph_edges", "feature_manifest")


class NotPromoted(click.ClickException):
    """A challenger that does not become champion; the command prints the sentence."""

    exit_code = UNDECIDED


class Desk(NamedTuple):
    """The registry of a configuration, its parameters, and what its data root holds."""

    registry: Registry
    parameters: Mapping[str, Any]
    catalog: Mapping[str, Any]
    env: str | None

    @property
    def horizon(self) -> int:
        """Sessions ahead at which the champion is decided."""
        return int(self.parameters["daily"]["champion"]["horizon"])


@click.command(name="compare")
@of_an_environment
@click.argument("challenger", default="challenger")
def compare(env: str | None, conf_source: str | None, params: dict[str, Any], challenger: str) -> None:
    """Hold a registered model against the champion on the matured days that neither has seen.

    CHALLENGER is the number of a version or an alias; the model registered last without it.
    """
    with refusals_alone():
        desk = _desk(env, conf_source, params)
        registry = desk.registry
        now, then = registry.find(challenger), registry.find("champion")
        lines, verdict = _judged(desk, then, now)
    click.echo("\n".join([f"champion:   {then.described()}", f"challenger: {now.described()}", *lines]))
    click.echo(verdict.sentence)


@click.command(name="promote")
@of_an_environment
@click.argument("challenger", default="challenger")
def promote(env: str | None, conf_source: str | None, params: dict[str, Any], challenger: str) -> None:
    """Make a registered model the champion if the interval allows; exit code 3 and one sentence where it does not.

    CHALLENGER is the number of a version or an alias; the model registered last without it.
    """
    with refusals_alone():
        desk = _desk(env, conf_source, params)
        new = desk.registry.find(challenger)
        evidence = {"promoted_because": "there was no champion to beat"}
        if "champion" in desk.registry.aliases():
            before = desk.registry.find("champion")
            _, verdict = _judged(desk, before, new)
            if not verdict.promote:
                raise NotPromoted(f"{before} stays champion: {verdict.sentence}")
            evidence = {"promoted_because": verdict.sentence}
        desk.registry.promote(new, evidence)
    click.echo(f"{new} of {new.model} is the champion: {evidence['promoted_because']}")
    click.echo("`kedro rollback` makes the champion before the champion again")


@click.command(name="rollback")
@of_an_environment
def rollback(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Make the champion before the champion again."""
    with refusals_alone():
        now, before = _desk(env, conf_source, params).registry.roll_back()
    click.echo(f"{now} of {now.model} is the champion again; {before} is the one before")


def _desk(env: str | None, conf_source: str | None, params: dict[str, Any]) -> Desk:
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    from gogooku_kedro.champion.registry import Registry
    from gogooku_kedro.tracking import tracking_settings

    uri = tracking_settings(loader, Path.cwd())["server"]["mlflow_tracking_uri"]
    registry = Registry.open(uri, parameters["daily"]["champion"]["name"])
    return Desk(registry, parameters, loader["catalog"], env)


def _judged(desk: Desk, champion: Version, challenger: Version) -> tuple[list[str], Verdict]:
    """The table of a comparison and what it decides."""
    if champion.number == challenger.number:
        raise ValueError(f"{challenger} of {challenger.model} is the champion itself; name another version")
    from gogooku_kedro.champion.comparison import decide, describe

    found = _compared(desk, champion, challenger)
    margin = float(desk.parameters["daily"]["champion"]["margin"])
    return describe(found, desk.horizon), decide(found, desk.horizon, margin)


def _compared(desk: Desk, champion: Version, challenger: Version) -> Comparison:
    from kedro.io import DataCatalog

    from gogooku_kedro.champion.comparison import StoredMarket, compare_models
    from gogooku_kedro.params import TrainingParams
    from gogooku_kedro.training import resolve_device

    catalog = DataCatalog.from_config(dict(desk.catalog))
    check_stored(catalog, dict(desk.parameters), desk.env, STORED)
    features, labels, edges, manifest = (catalog.load(name) for name in STORED)
    device = resolve_device(TrainingParams.model_validate(desk.parameters["training"]).device)
    then, now = (desk.registry.candidate(version) for version in (champion, challenger))
    return compare_models(then, now, StoredMarket(features, edges, manifest, labels), device)
