"""Commands of the desk beside Kedro's run: files for other libraries, and monitoring."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.command_line import check_stored, checked_parameters, configuration, of_an_environment
from gogooku_kedro.refusals import refusals_alone, sentence_of

if TYPE_CHECKING:
    import xarray as xr
    from kedro.io import DataCatalog

    from gogooku_kedro.monitoring.monitor import Monitoring

logger = logging.getLogger(__name__)

MONITORED = ("raw_features", "daily_metrics", "split", "feature_manifest")
"""What a run has left that rankings are held against, beside the panel."""


@click.command(name="export")
@of_an_environment
@click.option("--to", "library", type=click.Choice(["qlib", "alphalens"]), required=True, help="Who reads it.")
@click.option("--horizon", type=click.Choice([str(h) for h in HORIZONS]), default="5", show_default=True)
@click.argument("path", type=click.Path(path_type=Path))
def export(
    env: str | None, conf_source: str | None, params: dict[str, Any], library: str, horizon: str, path: Path
) -> None:
    """Write prices and scores for Qlib into the folder PATH, or scores and labels for alphalens into the file PATH.

    --horizon says which score is the factor of alphalens.
    """
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    from kedro.io import DataCatalog

    catalog = DataCatalog.from_config(loader["catalog"])
    with refusals_alone():
        if library == "qlib":
            line = _to_qlib(_stored(catalog, parameters, env, "panel", "predictions"), path)
        else:
            line = _to_alphalens(
                _stored(catalog, parameters, env, "predictions", "labels", "panel"), path, int(horizon)
            )
    click.secho(f"wrote {path}: {line}", fg="green")


@click.command(name="monitor")
@of_an_environment
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="A past morning; the latest session without it.")
def monitor(env: str | None, conf_source: str | None, params: dict[str, Any], as_of: datetime | None) -> None:
    """Hold the published rankings against what came of them; write monitoring.html and monitoring.json."""
    with refusals_alone():
        line, page = write_monitoring(env, conf_source, params, as_of)
    click.echo(line)
    click.echo(f"monitoring: {page}")


class Known(NamedTuple):
    """What a morning has seen beyond the data of the last run.

    Attributes:
        panel: The market up to it.
        raw_features: Of its last sessions, before they are normalised.
    """

    panel: xr.Dataset
    raw_features: xr.Dataset


def monitored_morning(env: str | None, conf_source: str | None, params: dict[str, Any], known: Known) -> str:
    """Monitor after a publication, and return what to print: a failure is one line, as the ranking is published."""
    try:
        line, page = write_monitoring(env, conf_source, params, known=known)
    except Exception as error:  # of whatever: the ranking is out, and the morning has done what it is for
        sentence = sentence_of(error)
        if sentence is None:
            logger.exception("the rankings could not be monitored")
        return f"monitoring: not written: {sentence or type(error).__name__}"
    return f"{line}\nmonitoring: {page}"


def write_monitoring(
    env: str | None,
    conf_source: str | None,
    params: dict[str, Any],
    as_of: datetime | None = None,
    known: Known | None = None,
) -> tuple[str, Path]:
    """Monitor the rankings of a data root, and return the verdict and the page.

    Args:
        env: Environment of the configuration.
        conf_source: Folder of the configuration; None for that of the project.
        params: Run-time parameters.
        as_of: The morning; None for the last session of the panel.
        known: What a morning has seen; None for the stored panel and features alone, which are then held against
            the prices of now.

    Raises:
        ValueError: Nothing was published, or what a run leaves is missing or of other settings.
    """
    loader = configuration(env, conf_source, params)
    parameters = checked_parameters(loader)
    import pandas as pd
    from kedro.io import DataCatalog

    from gogooku_kedro.artifacts import atomic_file
    from gogooku_kedro.monitoring.page import render_monitoring, verdict

    catalog = DataCatalog.from_config(loader["catalog"])
    if known is None:
        stored = _stored(catalog, parameters, env, "panel", *MONITORED)
    else:
        check_stored(catalog, parameters, env, MONITORED, sessions_added=True)
        stored = {name: catalog.load(name) for name in MONITORED} | {"panel": known.panel}
    root = Path(loader["catalog"]["run_record"]["filepath"]).parents[1]
    morning = stored["panel"].indexes["date"][-1] if as_of is None else pd.Timestamp(as_of)
    recent = None if known is None else known.raw_features
    found = _monitored(stored, parameters, Path(parameters["daily"]["rankings"]), morning, recent)
    folder = root / "08_reporting"
    for name, text in {"json": json.dumps(found.as_dict(), indent=2), "html": render_monitoring(found)}.items():
        with atomic_file(folder / f"monitoring.{name}") as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return verdict(found), folder / "monitoring.html"


def _monitored(
    stored: dict[str, Any], parameters: dict[str, Any], rankings: Path, morning: Any, recent: xr.Dataset | None
) -> Monitoring:
    from gogooku_kedro.arrays.cross_section import universe_mask
    from gogooku_kedro.baselines.table import NETWORK
    from gogooku_kedro.daily.publication import Publications
    from gogooku_kedro.monitoring.matured import scores_of
    from gogooku_kedro.monitoring.monitor import monitor as monitor_rankings
    from gogooku_kedro.params import EvaluationParams, LabelsParams

    published, daily = Publications(rankings), stored["daily_metrics"]
    settings = (
        LabelsParams.model_validate(parameters["labels"]),
        EvaluationParams.model_validate(parameters["evaluation"]),
    )
    panel = stored["panel"].sel(date=slice(None, morning))
    return monitor_rankings(
        scores_of(published.ranking(session) for session in published.sessions()),
        panel,
        universe_mask(panel, min_history=parameters["features"]["min_history"]),
        stored["raw_features"].sel(date=slice(None, morning)),
        daily[daily["model"] == NETWORK],
        {name: stored[name] for name in ("split", "feature_manifest")},
        settings,
        morning,
        recent,
    )


def _to_qlib(stored: dict[str, Any], folder: Path) -> str:
    from gogooku_kedro.export import write_qlib

    size = write_qlib(folder, **stored)
    return f"{size['sessions']} sessions, {size['codes']} codes, {size['fields']} fields"


def _to_alphalens(stored: dict[str, Any], file: Path, horizon: int) -> str:
    from gogooku_kedro.artifacts import atomic_file
    from gogooku_kedro.export import alphalens_table

    if file.is_dir():
        raise ValueError(f"{file} is a folder; name a file such as {file / 'factor.parquet'}")
    sectors = stored["panel"]["sector"].to_series()
    table = alphalens_table(stored["predictions"], stored["labels"], sectors, horizon)
    with atomic_file(file) as unfinished:
        table.to_parquet(unfinished)
    return f"{len(table):,} rows, factor score_{horizon}d"


def _stored(catalog: DataCatalog, parameters: dict[str, Any], env: str | None, *names: str) -> dict[str, Any]:
    """Load what a run has left, after `check_stored`."""
    check_stored(catalog, parameters, env, names)
    return {name: catalog.load(name) for name in names}
