"""Train models: one or an ensemble, on one device or several, going on where a run was cut off."""

import gc
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import pandas as pd

from gogooku_kedro.artifacts import remove_folder, remove_leftovers
from gogooku_kedro.model.atft_gat_fan import linear_inputs
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.tracking import child_run
from gogooku_kedro.training.checkpoints import run_key
from gogooku_kedro.training.device import resolve_device, resolve_processes, resolve_seeds_together
from gogooku_kedro.training.ensemble import CONFIG, Ensemble, SeedModel
from gogooku_kedro.training.launch import run_in_processes
from gogooku_kedro.training.linear import LinearScores, Mixture, fit_linear, refit_linear
from gogooku_kedro.training.side_by_side import process_bytes, train_side_by_side
from gogooku_kedro.training.tensors import Days, MarketTensors
from gogooku_kedro.training.together import pass_bytes
from gogooku_kedro.training.train_seed import FINISHED, HISTORY, Job, train_seed_model, train_together

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """A trained model and the metrics of its epochs."""

    seed_model: SeedModel
    history: pd.DataFrame


@dataclass(frozen=True)
class EnsembleResult:
    """Trained models and the metrics of their epochs, with a column `seed`."""

    ensemble: Ensemble
    history: pd.DataFrame


class Way(NamedTuple):
    """How several models train: in one loop, or in so many processes at a time."""

    together: bool
    processes: int


def fit_model(
    market: MarketTensors,
    train: Days,
    valid: Days,
    feature_hash: str,
    model_params: ModelParams,
    training: TrainingParams,
    callbacks: Sequence[pl.Callback] = (),
    gat_verbose: bool = False,
) -> FitResult:
    """Train ATFT-GAT-FAN with `training.seed` and return the weights of its best validation epoch.

    Only the training part is learned from; only the validation part chooses the epoch. A run that was
    cut off with the same data and settings goes on after its last finished epoch and ends with the same
    weights; its checkpoints lie in `training.checkpoint_dir` and are removed when training ends.

    Args:
        market: The market; sessions outside `train` and `valid` are read only as windows before them.
        train: Sessions of the training part.
        valid: Sessions of the validation part.
        feature_hash: Hash of the feature manifest, kept with the weights.
        model_params: Settings of the model.
        training: Settings of the optimisation. With `devices` above 1 new processes train, so a script
            that calls this needs `if __name__ == "__main__":`.
        callbacks: Further Lightning callbacks; of a class that can be imported when `devices` is above 1. With them
            `training.processes: auto` starts no processes.
        gat_verbose: Log every step of the GAT at DEBUG.

    Raises:
        ValueError: If `training.device` is not there, the training part begins before the first whole
            window, or a checkpoint is damaged.
        RuntimeError: If one of several processes fails.
    """
    single = training.model_copy(update={"seeds": ()})
    result = fit_ensemble(market, train, valid, feature_hash, model_params, single, callbacks, gat_verbose)
    return FitResult(result.ensemble.seed_models[0], result.history.drop(columns="seed"))


def fit_ensemble(
    market: MarketTensors,
    train: Days,
    valid: Days,
    feature_hash: str,
    model_params: ModelParams,
    training: TrainingParams,
    callbacks: Sequence[pl.Callback] = (),
    gat_verbose: bool = False,
    isolated: bool = False,
) -> EnsembleResult:
    """Train one model for each of `training.all_seeds()`; arguments and errors as of `fit_model`.

    A finished seed model waits in `training.checkpoint_dir` for the others, so a run that is cut off later
    does not train it again. `training.time_budget_minutes` is shared out equally, except among models that train
    together (`training.seeds_together`) or side by side (`training.processes`): each equals the model trained alone
    within rounding.

    With `training.refit: valid` each of them is trained once more, on all sessions from the begin of the training part
    to the end of the validation part, for the epochs that validation chose; see `Ensemble.models_for`.

    `isolated` says that the graph is a control with self loops alone. Without it a GAT without neighbours
    stops the training, see `InformationFlow`.

    Raises:
        ValueError: Also if `isolated` and there is an edge between two stocks.
    """
    if isolated and (market.graph.edge_index[0] != market.graph.edge_index[1]).any():
        raise ValueError("isolated: the graph has edges between different stocks; pass the self loops alone")
    told: dict[str, Any] = {"train": train, "valid": valid, "feature_hash": feature_hash}
    told |= {"callbacks": tuple(callbacks), "gat_verbose": gat_verbose, "isolated": isolated}
    return _fit_variants(market, {"": model_params}, training, told)[0]


def fit_variants(
    market: MarketTensors,
    train: Days,
    valid: Days,
    feature_hash: str,
    variants: Mapping[str, ModelParams],
    training: TrainingParams,
    gat_verbose: bool = False,
) -> list[EnsembleResult]:
    """Train variants of the model as `fit_ensemble` does each, all of their models side by side where that can be.

    Args:
        market: The market; other arguments and errors as of `fit_ensemble`.
        train: Sessions of the training part.
        valid: Sessions of the validation part.
        feature_hash: Hash of the feature manifest, kept with the weights.
        variants: What the log calls a variant -> its settings. Metrics of the one without a name go to the open MLflow
            run, those of the others to runs of their names below it.
        training: Settings of the optimisation, of every variant.
        gat_verbose: Log every step of the GAT at DEBUG.

    Returns:
        The results, in the order of the variants.
    """
    told: dict[str, Any] = {"train": train, "valid": valid, "feature_hash": feature_hash}
    told |= {"callbacks": (), "gat_verbose": gat_verbose, "isolated": False}
    return _fit_variants(market, variants, training, told)


def _fit_variants(
    market: MarketTensors, variants: Mapping[str, ModelParams], training: TrainingParams, told: dict[str, Any]
) -> list[EnsembleResult]:
    resolve_device(training.device, training.devices)
    for params in variants.values():
        _check_parts(told["train"], params)
        _announce_gat(params)
    way = _way(market, variants, training, told)
    remove_leftovers(Path(training.checkpoint_dir))
    fingerprint = market.fingerprint()
    with ExitStack() as runs:
        of_variants = []
        for name, params in variants.items():
            if name:
                runs.enter_context(child_run(name))
            of_variants.append(_jobs(market, fingerprint, name, params, training, way, told))
        jobs = list(chain.from_iterable(of_variants))
        results = dict(zip(map(id, jobs), _trained(market, jobs, way), strict=True))
        refits: list[list[Job]] = [[] for _ in variants]
        if training.refit == "valid":
            refits = [_refits(market, own, [results[id(job)] for job in own], fingerprint) for own in of_variants]
        again = list(chain.from_iterable(refits))
        results |= zip(map(id, again), _trained(market, again, way), strict=True)
    for job in [*jobs, *again]:
        remove_folder(job.folder)
    return [
        _ensemble(training, [results[id(job)] for job in own], [results[id(job)] for job in later])
        for own, later in zip(of_variants, refits, strict=True)
    ]


def _way(
    market: MarketTensors, variants: Mapping[str, ModelParams], training: TrainingParams, told: Mapping[str, Any]
) -> Way:
    (params, *_), days = variants.values(), training.chunk_days
    together = resolve_seeds_together(training, pass_bytes(market, params, days))
    looked_at = told["callbacks"] and training.processes == "auto"  # the caller wants to read what callbacks note
    if together or looked_at:
        return Way(together, 1)
    models = len(training.all_seeds()) * len(variants)
    own = max(process_bytes(market, each, days) for each in variants.values())
    return Way(together, resolve_processes(training, models, own))


def _jobs(
    market: MarketTensors,
    fingerprint: str,
    name: str,
    params: ModelParams,
    training: TrainingParams,
    way: Way,
    told: dict[str, Any],
) -> list[Job]:
    seeds, share = training.all_seeds(), training.time_budget_minutes
    if share is not None and not way.together:
        share /= math.ceil(len(seeds) / way.processes)
    told = told | {
        "model_params": params,
        "name": name,
        "linear": _linear(market, told["train"], told["valid"], params),
    }
    jobs = []
    for seed in seeds:
        own = training.model_copy(update={"seed": seed, "seeds": (), "time_budget_minutes": share})
        mlflow_run = _mlflow_run(f"seed_{seed}" if len(seeds) > 1 else "")
        jobs.append(_in_its_folder(Job(Path(), training=own, mlflow=mlflow_run, **told), fingerprint))
    return jobs


def _ensemble(training: TrainingParams, results: Sequence[FitResult], refitted: Sequence[FitResult]) -> EnsembleResult:
    seeds = training.all_seeds()
    histories = [result.history.assign(seed=seed) for seed, result in zip(seeds, results, strict=True)]
    history = pd.concat(histories, ignore_index=True)
    history.insert(0, "seed", history.pop("seed"))
    models = (tuple(result.seed_model for result in part) for part in (results, refitted))
    return EnsembleResult(Ensemble(*models), history)


def _in_its_folder(job: Job, fingerprint: str) -> Job:
    own, parts = job.training, (job.train, job.valid)
    key = run_key(fingerprint, job.feature_hash, *parts, job.model_params, own, job.epochs)
    return replace(job, folder=Path(own.checkpoint_dir) / key)


def _linear(market: MarketTensors, train: Days, valid: Days, params: ModelParams) -> LinearScores | None:
    return fit_linear(market, train, valid, *linear_inputs(params)) if params.linear_path.enabled else None


def _refits(market: MarketTensors, jobs: Sequence[Job], chosen: Sequence[FitResult], fingerprint: str) -> list[Job]:
    """The same trainings on all sessions up to the end of validation, for as many epochs as were chosen.

    The schedule is that of all epochs, as before; an epoch has more steps. The budget has been spent on the choice.
    """
    again, train = [], (jobs[0].train[0], jobs[0].valid[1])
    linear = jobs[0].linear
    if linear is not None:
        linear = refit_linear(linear, market, train, *linear_inputs(jobs[0].model_params))
    for job, result in zip(jobs, chosen, strict=True):
        own = job.training.model_copy(update={"time_budget_minutes": None})
        epochs = int(result.seed_model.training["best_epoch"]) + 1
        kept = result.seed_model.training["mixture"]
        mixed = None if kept is None else Mixture(**kept)
        later = replace(job, train=train, training=own, epochs=epochs, mlflow=None, linear=linear, mixture=mixed)
        again.append(_in_its_folder(later, fingerprint))
    return again


def _trained(market: MarketTensors, jobs: list[Job], way: Way) -> list[FitResult]:
    to_do = [job for job in jobs if not _is_finished(job)]
    if way.together and len(to_do) > 1:
        for _, own in groupby(to_do, key=lambda job: job.name):
            train_together(market, list(own))
    elif way.processes > 1 and len(to_do) > 1:
        train_side_by_side(market, to_do, way.processes)
    else:
        for job in to_do:
            _train_by_itself(market, job)
    gc.collect()  # a training leaves its trainer and the market that it read in a cycle
    return [_take(job) for job in jobs]


def _is_finished(job: Job) -> bool:
    finished = job.folder / FINISHED
    if not (finished / CONFIG).exists():
        return False
    logger.info("the model of %s is finished already: %s", job.title, finished)
    return True


def _train_by_itself(market: MarketTensors, job: Job) -> None:
    if job.training.devices == 1:
        train_seed_model(market, job)
    else:
        run_in_processes(train_seed_model, market, job, job.training.devices, job.folder)


def _take(job: Job) -> FitResult:
    finished = job.folder / FINISHED
    try:
        seed_model = SeedModel.load(finished)
    except ValueError as error:
        raise ValueError(f"{error}, after removing {job.folder}") from error
    return FitResult(seed_model, pd.DataFrame(json.loads((finished / HISTORY).read_text())))


def _check_parts(train: Days, model_params: ModelParams) -> None:
    if train[0] < model_params.window - 1:
        raise ValueError(
            f"split: the training part begins at session {train[0]}, before the first whole window of "
            f"model.window = {model_params.window} sessions"
        )
    if train[1] - train[0] < model_params.window:
        raise ValueError(
            f"split: the training part has {train[1] - train[0]} sessions, fewer than model.window "
            f"({model_params.window}); move split.train_end or shorten the window"
        )


def _announce_gat(model_params: ModelParams) -> None:
    gat = model_params.gat
    if gat.enabled:
        logger.info(
            "[GAT-INIT] %s, %d heads, edge attributes %s, edges in training: %s",
            gat.conv,
            gat.heads,
            list(gat.edge_attributes),
            gat.use_in_training,
        )


def _mlflow_run(prefix: str) -> tuple[str, str, str] | None:
    if "mlflow" not in sys.modules:  # then nobody has opened a run; to import it takes two seconds of a core
        return None
    import mlflow  # noqa: PLC0415

    run = mlflow.active_run()
    return None if run is None else (mlflow.get_tracking_uri(), run.info.run_id, prefix)
