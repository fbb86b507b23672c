"""Train one model: the network, Lightning's trainer around it, and the weights of its best epoch."""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Timer, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from rich.file_proxy import FileProxy

from gogooku_kedro.freed_memory import freed_memory_kept
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training.acceleration import TryCompiled, accelerate, matrix_products
from gogooku_kedro.training.callbacks import AveragedWeights, EpochLog, History, Patience, SeedEveryStep
from gogooku_kedro.training.captured import CapturedModule, CudaRecorder
from gogooku_kedro.training.checkpoints import (
    EpochCheckpoints,
    PlainCheckpoints,
    common_epochs,
    read_checkpoint,
    saved_epochs,
)
from gogooku_kedro.training.data import DayChunkDataModule, steps_per_epoch
from gogooku_kedro.training.device import (
    describe_device,
    resolve_cuda_graphs,
    resolve_device,
    resolve_market_memory,
    resolve_precision,
)
from gogooku_kedro.training.diagnostics.information_flow import InformationFlow
from gogooku_kedro.training.ensemble import SeedModel, market_sizes
from gogooku_kedro.training.linear import LinearScores, Mixture, mixture
from gogooku_kedro.training.module import MONITOR, CrossSectionModule
from gogooku_kedro.training.predict import predict_days
from gogooku_kedro.training.streaming import StreamedDataModule, market_bytes, page_locked
from gogooku_kedro.training.tensors import Days, MarketTensors
from gogooku_kedro.training.together import EpochsTogether, Loop, Seat, SeatedModule, SeatedRecorder

logger = logging.getLogger(__name__)
for chatty in ("lightning.pytorch", "lightning.fabric", "lightning_fabric"):  # we write one line per epoch
    logging.getLogger(chatty).setLevel(logging.WARNING)

FINISHED, HISTORY = "finished", "history.json"
"""Folder of the finished model in the folder of its run, and the table of its epochs in it."""

NOISE = (
    ".*does not have many workers.*",  # the panel lies in the device's memory: a worker has nothing to do
    ".*Checkpoint directory .* exists.*",
    ".*treespec, LeafSpec.*",  # Lightning's own use of PyTorch
    ".*recommended to use .*sync_dist=True.*",  # every process validates the same sessions
    "Grad strides do not match bucket view strides.*",  # a matter of speed, of small weights
)


class Diverged(ValueError):
    """No epoch of a training has a metric that is a number."""


@dataclass(frozen=True)
class Job:
    """What a training process is told, beside the market.

    Attributes:
        folder: Folder of the checkpoints, and of the finished model.
        train: Sessions of the training part.
        valid: Sessions of the validation part.
        feature_hash: Hash of the feature manifest.
        model_params: Settings of the model.
        training: Settings of the optimisation; `seed` is that of the one model.
        callbacks: Further Lightning callbacks.
        gat_verbose: Log every step of the GAT at DEBUG.
        isolated: The graph has self loops alone, on purpose.
        mlflow: Tracking URI and id of the MLflow run to log to, and what its metrics begin with.
        epochs: Of a refit, whose training part holds the validation part: train so many and keep the last. None:
            the validation part chooses the epoch.
        linear: Scores beside the network's, with `model.linear_path`.
        mixture: Of a refit, how they are mixed; None: validation chooses.
        name: What the log calls a variant of the network beside its seed; empty for the network itself.
    """

    folder: Path
    train: Days
    valid: Days
    feature_hash: str
    model_params: ModelParams
    training: TrainingParams
    callbacks: tuple[pl.Callback, ...]
    gat_verbose: bool
    isolated: bool
    mlflow: tuple[str, str, str] | None
    epochs: int | None = None
    linear: LinearScores | None = None
    mixture: Mixture | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """What the log calls the model."""
        return f"seed {self.training.seed}{self.name and f' {self.name}'}"


def train_seed_model(market: MarketTensors, job: Job) -> None:
    """Train the model of a job, or go on with it, and leave it in `job.folder / FINISHED`.

    Every process of a job with several devices calls this; the first one leaves the model.

    Raises:
        Diverged: If no epoch has a metric that is a number.
        ValueError: If a checkpoint cannot be read.
    """
    with _surroundings(job), _data_module(market, job) as data_module:
        _train(market, job, partial(data_module, market), next(reversed(saved_epochs(job.folder)), None))


def train_together(market: MarketTensors, jobs: Sequence[Job]) -> None:
    """Train the models of several jobs in one loop, each as `train_seed_model` does, but in rounding.

    They differ in their seed alone. Jobs that were cut off in one run go on from the last epoch that all have saved.
    """
    share = 1 / len(jobs)
    logger.info("%d models train together: seeds %s", len(jobs), [job.training.seed for job in jobs])
    starts = zip(jobs, common_epochs([job.folder for job in jobs]), strict=True)
    with _surroundings(jobs[0]), _data_module(market, jobs[0]) as data_module:
        at_hand = market  # on the device once, for all models
        if data_module is DayChunkDataModule:
            at_hand = market.to(torch.device(resolve_device(jobs[0].training.device)))
        data = partial(data_module, at_hand)
        Loop().run([partial(_train, market, job, data, last, share) for job, last in starts])


def _train(
    market: MarketTensors,
    job: Job,
    data: Callable[..., DayChunkDataModule],
    last: Path | None,
    share: float = 1.0,
    seat: Seat | None = None,
) -> None:
    training = job.training
    pl.seed_everything(training.seed, verbose=False)
    model = build_model(market, job.train, job.model_params)
    group = training.devices * training.accumulate
    steps = steps_per_epoch(*job.train, training.chunk_days, group, training.max_batches)
    steps *= training.max_epochs
    captured = resolve_cuda_graphs(training, job.gat_verbose, say=True)
    if seat is None or captured:
        accelerate(model, training, market.present.size(1), steps, captured, alone=seat is None)
    module = _module_class(training, seat, captured)(
        model, job.model_params, training, steps, gat_verbose=job.gat_verbose
    )
    history, refit = History(), job.epochs is not None
    checkpoints = EpochCheckpoints(job.folder, training.keep_checkpoints, late=seat is not None, newest=refit)
    budget = training.time_budget_minutes
    timer = Timer(None if budget is None else timedelta(minutes=budget), verbose=False)
    patience = [] if refit else [Patience(training.patience)]
    trainer = _trainer(job, [*patience, history, timer, checkpoints], seat)
    _fit_or_go_on(trainer, module, _data(data, job, captured), last, job.title)
    if trainer.is_global_zero:
        _load_best(model, checkpoints)
        _say_if_time_is_up(timer, job, len(history.rows), checkpoints)
        mixed = None if job.linear is None else _mix(model, market, job, job.linear)
        _leave(model, market, job, history, checkpoints, share * timer.time_elapsed(), mixed)


def _module_class(training: TrainingParams, seat: Seat | None, captured: bool) -> Callable[..., CrossSectionModule]:
    if captured:
        recorder = CudaRecorder if seat is None else partial(SeatedRecorder, seat, CudaRecorder)
        return partial(CapturedModule, recorder, training.cuda_graphs is True)
    return CrossSectionModule if seat is None else partial(SeatedModule, seat)


@contextmanager
def _surroundings(job: Job) -> Iterator[None]:
    precision = resolve_precision(job.training.precision, resolve_device(job.training.device))
    with (
        freed_memory_kept(),
        matrix_products(precision),
        _debug_lines(job.gat_verbose),
        warnings.catch_warnings(),
    ):
        for noise in NOISE:
            warnings.filterwarnings("ignore", noise)
        yield


@contextmanager
def _debug_lines(wanted: bool) -> Iterator[None]:
    """Let the DEBUG lines of the training through while the context is open."""
    logger_of_steps = logging.getLogger(CrossSectionModule.__module__)
    before = logger_of_steps.level
    if wanted:
        logger_of_steps.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger_of_steps.setLevel(before)


def build_model(market: MarketTensors, train: Days, params: ModelParams) -> ATFTGATFAN:
    """Return an untrained model, its scales those of the training part of a market."""
    model = ATFTGATFAN(params, *market_sizes(market))
    model.fit_scales(market.levels[slice(*train)], *market.graph.of_days(*train))
    return model


@contextmanager
def _data_module(market: MarketTensors, job: Job) -> Iterator[type[DayChunkDataModule]]:
    device = resolve_device(job.training.device)
    if resolve_market_memory(job.training, device, market_bytes(market)) == "device":
        yield DayChunkDataModule
    else:
        with page_locked(market, device):
            yield StreamedDataModule


def _data(of_market: Callable[..., DayChunkDataModule], job: Job, places: bool) -> DayChunkDataModule:
    training = job.training
    return of_market(
        job.train,
        job.valid,
        training.chunk_days,
        job.model_params.window,
        training.seed,
        training.accumulate,
        training.max_batches,
        places,
    )


def _trainer(job: Job, callbacks: list[pl.Callback], seat: Seat | None) -> pl.Trainer:
    training = job.training
    device = resolve_device(training.device)
    precision = resolve_precision(training.precision, device)
    epochs, extent = (training.max_epochs, "at most") if job.epochs is None else (job.epochs, "on train and valid")
    where = describe_device(device, training.devices)
    logger.info("%s trains on %s, %s: %d epochs %s", job.title, where, precision, epochs, extent)
    interactive = sys.stdout.isatty() and seat is None and not isinstance(sys.stdout, FileProxy)  # a run's own bar
    return pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=training.devices,
        strategy=_strategy(device, training.devices),
        precision=precision,
        min_epochs=min(_first_epoch_to_keep(job) + 1, epochs),
        max_epochs=epochs,
        limit_val_batches=None if job.epochs is None else 1,  # nothing is chosen on it
        accumulate_grad_batches=training.accumulate,
        gradient_clip_val=training.gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=_logger(job),
        log_every_n_steps=1,
        enable_progress_bar=interactive,
        enable_model_summary=False,
        plugins=[PlainCheckpoints()],
        callbacks=[
            *([] if seat is None else [EpochsTogether(seat)]),
            SeedEveryStep(training.seed),
            AveragedWeights(training.ema_decay),
            InformationFlow(job.isolated),
            TryCompiled(training.compile),
            EpochLog(training.seed, refit=job.epochs is not None, name=job.name),
            *([TQDMProgressBar(leave=False)] if interactive else []),
            *callbacks,
            *job.callbacks,
        ],
    )


def _strategy(device: str, devices: int) -> str | Strategy:
    if devices == 1:
        return "auto"
    # A phase without graph leaves the GAT's parameters unused.
    backend = "nccl" if device == "cuda" else "gloo"
    return DDPStrategy(process_group_backend=backend, find_unused_parameters=True)


def _first_epoch_to_keep(job: Job) -> int:
    if not job.model_params.gat.enabled:
        return 0
    epochs = range(job.training.max_epochs)
    return next(epoch for epoch in epochs if job.training.phase_of(epoch).graph)


def _fit_or_go_on(
    trainer: pl.Trainer, module: CrossSectionModule, data: DayChunkDataModule, last: Path | None, title: str
) -> None:
    if last is not None:
        logger.info("%s: going on with the training that was cut off: %s", title, last)
    trainer.fit(module, data, ckpt_path=last, weights_only=True)


def _say_if_time_is_up(timer: Timer, job: Job, epochs: int, checkpoints: EpochCheckpoints) -> None:
    remaining = timer.time_remaining()
    if remaining is not None and remaining <= 0 and epochs < job.training.max_epochs:
        logger.info(
            "%s: training.time_budget_minutes: %.4g spent in epoch %d of %d; the best epoch so far, %d, is kept",
            job.title,
            job.training.time_budget_minutes,
            epochs,
            job.training.max_epochs,
            (checkpoints.best_epoch or 0) + 1,
        )


def _mix(model: ATFTGATFAN, market: MarketTensors, job: Job, linear: LinearScores) -> Mixture:
    """Set the linear path of a trained model."""
    assert model.linear_path is not None
    mixed, days = job.mixture, list(range(*job.valid))
    if mixed is None:
        scored = predict_days(model.eval(), market, days, resolve_device(job.training.device))
        network = torch.stack([score for _, score, _ in scored])
        mixed = mixture(network, linear.valid, market.target[slice(*job.valid)].cpu())
        logger.info("%s: linear scores have %g times the network's weight", job.title, mixed.share)
    model.cpu()
    sizes = torch.tensor(mixed.linear).repeat(len(linear.weight) // len(mixed.linear))
    model.linear_path.mix(linear.weight * sizes.unsqueeze(1), torch.tensor(mixed.network))
    return mixed


def _leave(
    model: ATFTGATFAN,
    market: MarketTensors,
    job: Job,
    history: History,
    checkpoints: EpochCheckpoints,
    seconds: float,
    mixed: Mixture | None,
) -> None:
    training = job.training
    summary = {
        "seed": training.seed,
        "device": describe_device(resolve_device(training.device), training.devices),
        "n_parameters": model.n_parameters(),
        "best_epoch": checkpoints.best_epoch,
        "refit": job.epochs is not None,
        "losses": [row["train/loss"] for row in history.rows],
        "epochs": len(history.rows),
        "seconds": round(seconds, 1),
        "mixture": None if mixed is None else asdict(mixed),
    }
    finished = job.folder / FINISHED
    finished.mkdir(exist_ok=True)
    (finished / HISTORY).write_text(json.dumps(history.rows))
    sizes = market_sizes(market)
    SeedModel.from_model(model, job.model_params, sizes, job.feature_hash, summary).save(finished)


def _logger(job: Job) -> Logger | bool:
    if job.mlflow is None:
        return False
    from gogooku_kedro.training.run_logger import RunLogger  # noqa: PLC0415  MLflow: only for what is tracked

    uri, run_id, prefix = job.mlflow
    return RunLogger(uri, run_id, prefix)


def _load_best(model: ATFTGATFAN, checkpoints: EpochCheckpoints) -> None:
    if checkpoints.best_epoch is None:
        raise Diverged(
            f"no epoch has a {MONITOR} that is a number, so none can be kept: the loss diverged; lower "
            f"training.learning_rate"
        )
    state: dict[str, Any] = read_checkpoint(checkpoints.path(checkpoints.best_epoch))["state_dict"]
    prefix = "model."
    model.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    model.cpu()
