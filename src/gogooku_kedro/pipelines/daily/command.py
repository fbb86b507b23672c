"""`kedro daily`: the fetch where the prices are J-Quants', then the pipeline `daily`, and what to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import pandas as pd
import xarray as xr
from kedro.config import AbstractConfigLoader
from kedro.framework.session import KedroSession
from kedro.io import AbstractDataset
from kedro.runner import SequentialRunner

from gogooku_kedro.params.base import overlaid
from gogooku_kedro.pipelines.daily.pipeline import LEFT
from gogooku_kedro.refusals import sentence_of

REFUSED = 3
"""Exit code of a morning that publishes nothing."""

FETCHED = "gogooku_kedro.datasets.JQuantsTableDataset"


class Morning(NamedTuple):
    """What a morning left.

    Attributes:
        text: What to print.
        panel: The market up to it.
        raw_features: Of its last sessions, before they are normalised.
    """

    text: str
    panel: xr.Dataset
    raw_features: xr.Dataset


class MorningRefused(click.ClickException):
    """A morning that must not publish, or cannot; the command prints the sentence."""

    exit_code = REFUSED


def run_morning(
    project: Path,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    loader: AbstractConfigLoader,
    as_of: datetime | None,
) -> Morning:
    """Run a morning or its replay; return what it left.

    Args:
        project: Folder of the project.
        env: Environment of the configuration.
        conf_source: Folder of the configuration, None for the project's.
        params: `--params`.
        loader: The configuration with them.
        as_of: Session whose morning is replayed, None for the newest.

    Raises:
        MorningRefused: Nothing was published; the text is one sentence.
    """
    names = ["daily"] if as_of is not None or not is_fetched(loader) else ["jquants", "daily"]
    settings: dict[str, Any] = dict(params)
    if as_of is not None:
        settings = overlaid(settings, {"daily": replay_settings(loader["parameters"]["daily"], as_of)})
    published: dict[str, Any] = {}
    for name in names:
        try:
            with KedroSession.create(
                project_path=project, env=env, conf_source=conf_source, runtime_params=settings
            ) as session:
                run: Any = session.run  # the type of a session does not know its pipelines
                published = run(pipeline_names=[name], runner=SequentialRunner())
        except Exception as error:
            sentence = refusal_of(name, error)
            if sentence is None:
                raise
            raise MorningRefused(sentence) from error
    facts, panel, raw = (_loaded(published[name]) for name in LEFT)
    return Morning(describe(facts, Path(loader["parameters"]["daily"]["rankings"])), panel, raw)


def _loaded(output: Any) -> Any:
    """The value of an output, which Kedro hands back as a dataset or as it is."""
    return output.load() if isinstance(output, AbstractDataset) else output


def is_fetched(loader: AbstractConfigLoader) -> bool:
    """Return whether the prices of a configuration are fetched from J-Quants."""
    return bool(loader["catalog"]["raw_bars"]["type"] == FETCHED)


def replay_settings(daily: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
    """Return what replays a morning: its session, and until when what it published had been fetched."""
    from gogooku_kedro.daily.publication import Publications  # noqa: PLC0415 - pandera is a second

    facts = Publications(Path(daily["rankings"])).facts(pd.Timestamp(as_of))
    return {"as_of": f"{as_of:%Y-%m-%d}"} | ({} if facts is None else {"known_at": facts["known_at"]})


def refusal_of(pipeline: str, error: BaseException) -> str | None:
    """Return the sentence of an error that means that nothing can be published, None for any other.

    Of the fetch everything that it says is one: without today's prices there is no ranking.
    """
    from gogooku_kedro.daily.checks import NotPublishedError  # noqa: PLC0415

    if pipeline == "jquants":
        sentence = sentence_of(error)
        return None if sentence is None else f"no ranking: {sentence}"
    return str(error) if isinstance(error, NotPublishedError) else None


def describe(facts: Mapping[str, Any], folder: Path) -> str:
    """Return what a morning left, in two lines."""
    from gogooku_kedro.daily.morning import REPLAYS  # noqa: PLC0415

    where = folder / REPLAYS if str(facts["state"]).startswith("replayed") else folder
    lines = [f"ranking of {facts['date']}: {facts['state']}, {facts['rows']:,} stocks"]
    return "\n".join([*lines, f"{where / ('ranking_' + facts['date'])}.parquet, .csv, .html"])
