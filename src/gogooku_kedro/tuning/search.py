"""The search: trials one after the other, until there are enough of them, the grid is tried or the time is spent."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlflow
import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.trial import Trial, TrialState

from gogooku_kedro.labels.split import Split
from gogooku_kedro.params import FeaturesParams, TuningParams
from gogooku_kedro.tracking import child_run, track
from gogooku_kedro.training.train_seed import Diverged
from gogooku_kedro.tuning.space import Point, Settings, distributions, grid_points
from gogooku_kedro.tuning.store import DIVERGED, FOLDS, KEY, StudyStore, training_key, value_of

logger = logging.getLogger(__name__)


class Score(Protocol):
    """Train settings on a fold and measure them, as `folds.FoldScores` does."""

    def __call__(self, number: int, settings: Settings, name: str) -> dict[str, Any]:
        """Return rank_ic and rank_icir by horizon, and seconds."""


@dataclass(frozen=True)
class Search:
    """What the trials of a study have in common.

    Attributes:
        params: Section `tuning`.
        base: Settings that the points change.
        features: Section `features`.
        splits: Of the folds.
    """

    params: TuningParams
    base: Settings
    features: FeaturesParams
    splits: Sequence[Split]


def run_trials(store: StudyStore, search: Search, score: Score) -> None:
    """Run trials until the study has `tuning.trials` of them, its grid is tried or the time of the run is spent.

    A trial that was cut off begins again first, after the folds that it finished. A fold of a training that was
    measured before, in this or another study of the file, is not trained again.

    Args:
        store: Of the study.
        search: What the trials have in common.
        score: Trains and measures a fold.

    Raises:
        ValueError: The settings of a point do not fit the data or one another; the message names them.
    """
    params, started = search.params, time.monotonic()
    budget = math.inf if params.time_budget_minutes is None else 60 * params.time_budget_minutes
    store.study.pruner = _pruner(params)
    if revived := store.revive():
        logger.info("tuning: %d trials that were cut off begin again", revived)
    while (done := len(store.ended())) < params.trials:
        spent = time.monotonic() - started
        if spent >= budget:
            logger.info("tuning.time_budget_minutes: %g spent after %d trials", params.time_budget_minutes, done)
            return
        trial = _next(store, params)
        if trial is None:
            logger.info("tuning: every point of the grid is tried, %d trials", done)
            return
        with child_run(f"trial {trial.number}"):
            _run(trial, store, search, score)
    logger.info("tuning: the study has %d trials; raise tuning.trials for more", done)


def _pruner(params: TuningParams) -> BasePruner:
    return NopPruner() if params.pruner == "none" else MedianPruner(n_startup_trials=params.unpruned_trials)


def _next(store: StudyStore, params: TuningParams) -> Trial | None:
    """The next trial; None where a grid has no point left."""
    space, study = params.spaces[params.space], store.study
    number = len(study.get_trials(deepcopy=False))
    # Of a seed of its own, so that a study that was cut off draws what it would have drawn.
    study.sampler = TPESampler(seed=int(np.random.SeedSequence([params.sampler_seed, number]).generate_state(1)[0]))
    waiting = study.get_trials(deepcopy=False, states=[TrialState.WAITING])
    if space.sampler == "grid" and not waiting:
        tried = [trial.params for trial in store.ended()]
        left = [point for point in grid_points(space, params.sampler_seed) if point not in tried]
        if not left:
            return None
        study.enqueue_trial(left[0])
    return study.ask(fixed_distributions=distributions(space))


def _run(trial: Trial, store: StudyStore, search: Search, score: Score) -> None:
    params, point, name = search.params, dict(trial.params), f"trial {trial.number}"
    settings = search.base.at(point)
    training = training_key(store.identity, search.splits, search.features, settings)
    folds = store.known_folds(training)
    trial.set_user_attr(KEY, training)
    state = TrialState.COMPLETE
    for number in range(1, len(search.splits) + 1):
        try:
            if number > len(folds):
                folds.append(score(number, settings, name))
            value = value_of(folds[:number], params.objective)
        except Diverged as error:
            logger.warning("%s diverged on fold %d (%s): %s", name, number, _words(point), error)
            value = math.nan
        trial.set_user_attr(FOLDS, folds[:number])
        if math.isnan(value):
            trial.set_user_attr(DIVERGED, True)
            state = TrialState.PRUNED
            break
        trial.report(value, number)
        if number < len(search.splits) and trial.should_prune():
            state = TrialState.PRUNED
            break
    store.study.tell(trial, value if state is TrialState.COMPLETE else None, state=state)
    track(_record, point, value, state.name.lower(), folds, params.objective)
    _say(trial, store, params, value, state)


def _say(trial: Trial, store: StudyStore, params: TuningParams, value: float, state: TrialState) -> None:
    ended = store.ended()
    values = [each.value for each in ended if each.state is TrialState.COMPLETE and each.value is not None]
    logger.info(
        "tuning %d/%d: trial %d %s | %s %+.4f | %s | best %s",
        len(ended),
        params.trials,
        trial.number,
        _words(trial.params),
        params.objective,
        value,
        "finished" if state is TrialState.COMPLETE else "given up",
        f"{max(values):+.4f}" if values else "none yet",
    )


def _words(point: Point) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} {_number(value)}" for name, value in point.items())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _record(point: Point, value: float, state: str, folds: Sequence[dict[str, Any]], objective: str) -> None:
    mlflow.log_params({**point, "state": state, "objective": objective})
    figures = {objective: value, "folds": len(folds), "seconds": sum(fold["seconds"] for fold in folds)}
    mlflow.log_metrics({name: float(each) for name, each in figures.items() if math.isfinite(each)})
