"""Does an artefact of another pipeline belong to this run? Its data and its settings say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HERE, OTHER_SETTINGS, OTHER_DATA, ABSENT = "this run", "other settings", "other data", "absent"
"""States of an artefact: used as it is, used with a remark, refused, not there."""

IDENTITY = ("git_sha", "config_hash", "data_hash")


def origin(artefact: Mapping[str, Any] | None, run: Mapping[str, Any]) -> str:
    """Return whether an artefact is of this run's data and settings, of the data alone, or of neither.

    Args:
        artefact: What a pipeline wrote, with its `run` (data_hash, config_hash); None where it did not run.
        run: `run` of metrics.json.

    Returns:
        `HERE`, `OTHER_SETTINGS`, `OTHER_DATA` or `ABSENT`. An artefact that does not say what data it is of
        counts as of other data.
    """
    if artefact is None:
        return ABSENT
    of = artefact.get("run", {})
    if of.get("data_hash") is None or of["data_hash"] != run.get("data_hash"):
        return OTHER_DATA
    return HERE if of.get("config_hash") == run.get("config_hash") else OTHER_SETTINGS


def usable(state: str) -> bool:
    """Whether an artefact in this state is shown at all."""
    return state in (HERE, OTHER_SETTINGS)


def command(pipeline: str, run: Mapping[str, Any]) -> str:
    """Return the command that runs a pipeline in the environment of a run."""
    environment = run.get("environment") or "base"
    return f"kedro run --pipelines={pipeline}" + (f" --env {environment}" if environment != "base" else "")


def remark(what: str, state: str, artefact: Mapping[str, Any] | None, run: Mapping[str, Any]) -> str | None:
    """Return the sentence that a reader needs before trusting an artefact; None for one of this run.

    Args:
        what: Name of the pipeline, which is also what is missing.
        state: From `origin`.
        artefact: As for `origin`.
        run: As for `origin`.
    """
    again = command(what, run)
    if state == ABSENT:
        return f"Not run for this data: {again}"
    found = {} if artefact is None else artefact.get("run", {})
    if state == OTHER_DATA:
        return (
            f"Not shown: the {what} found is of other data ({_short(found.get('data_hash'))}, here "
            f"{_short(run.get('data_hash'))}). Run it again: {again}"
        )
    if state == OTHER_SETTINGS:
        return (
            f"Of the same data at other settings (config {_short(found.get('config_hash'))}, here "
            f"{_short(run.get('config_hash'))})."
        )
    return None


def _short(value: object) -> str:
    return str(value or "unknown")[:12]
