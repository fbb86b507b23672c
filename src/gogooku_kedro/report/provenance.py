"""What identifies a run, and whether an artefact of another pipeline belongs to it."""

from __future__ import annotations

import subprocess

from gogooku_kedro.report.results import RunFacts

ABLATION_TRAININGS, WALK_FORWARD_FOLDS = 24, 4
"""Trainings of one seed, and folds, under the settings of `conf/base`."""

HERE, OTHER_SETTINGS, OTHER_DATA, ABSENT = "this run", "other settings", "other data", "absent"
"""States of an artefact: used as it is, used with a remark, refused, not there."""


def origin(found: RunFacts | None, run: RunFacts) -> str:
    """Return whether an artefact is of this run's data and settings, of the data alone, or of neither.

    Args:
        found: `run` of what a pipeline wrote; None where it did not run.
        run: `run` of metrics.json.

    Returns:
        `HERE`, `OTHER_SETTINGS`, `OTHER_DATA` or `ABSENT`. An artefact that does not say what data it is of
        counts as of other data.
    """
    if found is None:
        return ABSENT
    if found.data_hash is None or found.data_hash != run.data_hash:
        return OTHER_DATA
    return HERE if found.config_hash == run.config_hash else OTHER_SETTINGS


def usable(state: str) -> bool:
    """Return whether an artefact in this state is shown at all."""
    return state in (HERE, OTHER_SETTINGS)


def command(pipeline: str, run: RunFacts) -> str:
    """Return the command that runs a pipeline in the environment of a run."""
    environment = "" if run.environment == "base" else f" --env {run.environment}"
    preset = "" if run.preset == "none" else f" --params preset={run.preset}"
    return f"kedro run --pipelines={pipeline}{environment}{preset}"


def expected_seconds(pipeline: str, run: RunFacts) -> float | None:
    """Return about how long a pipeline beside the default one takes, from the stages of a run; None if unknown.

    Under the settings of `conf/base`: an ablation trains 4 variants with 3 seeds on 2 folds, a walk-forward
    evaluation trains, fits and measures 4 folds, and an explanation took 0.45 of the time of a run.
    """
    stages = run.seconds
    if not {"training", "baselines"} <= stages.keys():
        return None
    return {
        "ablation": ABLATION_TRAININGS * stages["training"] / max(1, len(run.seeds)),
        "walk_forward": WALK_FORWARD_FOLDS * (stages["training"] + stages["baselines"]),
        "explanation": 0.45 * sum(stages.values()),
    }.get(pipeline)


def remark(pipeline: str, found: RunFacts | None, run: RunFacts) -> str | None:
    """Return the sentence that a reader needs before trusting an artefact; None for one of this run.

    Args:
        pipeline: What writes the artefact.
        found: As for `origin`.
        run: As for `origin`.
    """
    again, state = command(pipeline, run), origin(found, run)
    if found is None:
        return f"Not run for this data: {again}"
    if state == OTHER_DATA:
        data = f"{_short(found.data_hash)}, here {_short(run.data_hash)}"
        return f"Not shown: the {pipeline} found is of other data ({data}). Run it again: {again}"
    if state == OTHER_SETTINGS:
        settings = f"{_short(found.config_hash)}, here {_short(run.config_hash)}"
        return f"Of the same data at other settings (config {settings})."
    return None


def git_sha() -> str:
    """Return the commit of the working tree, with `+` when it has changes; `unknown` outside a checkout."""
    try:
        sha = _git("rev-parse", "--short=12", "HEAD")
        return sha + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _short(value: str | None) -> str:
    return (value or "unknown")[:12]
