"""Train one model with Lightning: early stopping, best checkpoint, and going on where a run was cut off."""

import hashlib
import json
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import mlflow
import pandas as pd
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import Logger, MLFlowLogger

from gogooku_kedro.model import ATFTGATFAN, fit_level_scale
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training.bundle import ModelBundle
from gogooku_kedro.training.callbacks import EpochLog, History, SeedEveryStep
from gogooku_kedro.training.data import DayChunkDataModule, steps_per_epoch
from gogooku_kedro.training.device import describe_device, resolve_device, resolve_precision
from gogooku_kedro.training.market import MarketTensors
from gogooku_kedro.training.module import MONITOR, CrossSectionModule

logger = logging.getLogger(__name__)
for chatty in (
    "lightning.pytorch",
    "lightning.fabric",
    "lightning_fabric",
):  # our own line per epoch says it all
    logging.getLogger(chatty).setLevel(logging.WARNING)

Days = tuple[int, int]
"""First day and last day plus one, as positions among the market's sessions."""


@dataclass(frozen=True)
class FitResult:
    """A trained model and the metrics of its epochs."""

    bundle: ModelBundle
    history: pd.DataFrame


def fit_model(
    market: MarketTensors,
    train: Days,
    valid: Days,
    feature_hash: str,
    model_params: ModelParams,
    training: TrainingParams,
    callbacks: Sequence[pl.Callback] = (),
) -> FitResult:
    """Train ATFT-GAT-FAN and return the weights of its best validation epoch.

    Only the training part is learned from; only the validation part chooses the epoch. A run that was
    cut off with the same data and settings goes on after its last finished epoch and ends with the same
    weights; its checkpoints lie in ``training.checkpoint_dir`` and are removed when training ends.

    Args:
        market: The market; days outside ``train`` and ``valid`` are read only as windows before them.
        train: Days of the training part.
        valid: Days of the validation part.
        feature_hash: Hash of the feature manifest, kept with the weights.
        model_params: Settings of the model.
        training: Settings of the optimisation.
        callbacks: Further Lightning callbacks.

    Raises:
        ValueError: If ``training.device`` is not there, or the training part begins before the first
            whole window.
    """
    started = time.monotonic()
    device = resolve_device(training.device)
    pl.seed_everything(training.seed, verbose=False)
    model = _build(market, train, model_params)
    steps = steps_per_epoch(*train, training.chunk_days) * training.max_epochs
    module = CrossSectionModule(model, model_params, training, steps)
    data = DayChunkDataModule(market, train, valid, training.chunk_days, model_params.window, training.seed)
    folder = Path(training.checkpoint_dir) / run_key(market, train, valid, model_params, training)
    history, best = History(), _best_checkpoint(folder)
    trainer = _trainer(training, device, [history, best, *callbacks])
    _fit_or_go_on(trainer, module, data, folder / "last.ckpt")
    _load_best(model, best.best_model_path)
    shutil.rmtree(folder)
    frame = history.frame()
    summary = {
        "seed": training.seed,
        "device": describe_device(device),
        "n_parameters": model.n_parameters(),
        "best_epoch": int(frame["epoch"].to_numpy()[frame[MONITOR].to_numpy().argmax()]),
        "epochs": len(frame),
        "seconds": round(time.monotonic() - started, 1),
    }
    sizes = (market.x.size(-1), market.levels.size(-1))
    bundle = ModelBundle.from_model(model, model_params, sizes, feature_hash, summary)
    return FitResult(bundle, frame)


def run_key(
    market: MarketTensors,
    train: Days,
    valid: Days,
    model_params: ModelParams,
    training: TrainingParams,
) -> str:
    """Name of a training run: equal data and settings, and only they, have equal keys."""
    settings = {
        "model": model_params.model_dump(mode="json"),
        "training": training.model_dump(mode="json", exclude={"checkpoint_dir"}),
        "parts": [train, valid],
        "market": market.fingerprint(),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _build(market: MarketTensors, train: Days, model_params: ModelParams) -> ATFTGATFAN:
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
    model = ATFTGATFAN(model_params, market.x.size(-1), market.levels.size(-1))
    if model.levels is not None:
        model.levels.set_scale(fit_level_scale(market.levels[train[0] : train[1]], model_params.window))
    if model_params.gat.enabled:
        logger.info(
            "[GAT-INIT] %s, %d heads, edge attributes %s, edges in training: %s",
            model_params.gat.conv,
            model_params.gat.heads,
            list(model_params.gat.edge_attributes),
            model_params.gat.use_in_training,
        )
    return model


def _trainer(training: TrainingParams, device: str, callbacks: list[pl.Callback]) -> pl.Trainer:
    logger.info(
        "training on %s, %s: %d epochs at most",
        describe_device(device),
        resolve_precision(training.precision, device),
        training.max_epochs,
    )
    interactive = sys.stdout.isatty()
    return pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=resolve_precision(training.precision, device),
        max_epochs=training.max_epochs,
        gradient_clip_val=training.gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=_mlflow_logger(),
        log_every_n_steps=1,
        enable_progress_bar=interactive,
        enable_model_summary=False,
        callbacks=[
            SeedEveryStep(training.seed),
            EMAWeightAveraging(decay=training.ema_decay),
            EarlyStopping(
                MONITOR,
                mode="max",
                patience=training.patience,
                check_on_train_epoch_end=True,
            ),
            EpochLog(),
            *([TQDMProgressBar(leave=False)] if interactive else []),
            *callbacks,
        ],
    )


def _best_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder,
        filename="best",
        monitor=MONITOR,
        mode="max",
        save_last=True,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )


def _fit_or_go_on(
    trainer: pl.Trainer, module: CrossSectionModule, data: DayChunkDataModule, last: Path
) -> None:
    going_on = last.exists()
    if going_on:
        logger.info("going on with the training that was cut off: %s", last)
    with warnings.catch_warnings():
        # The panel lies in the device's memory: there is nothing for a worker process to do.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists.*")
        warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")  # Lightning's own use of PyTorch
        trainer.fit(
            module,
            data,
            ckpt_path=str(last) if going_on else None,
            weights_only=False if going_on else None,
        )


def _mlflow_logger() -> Logger | bool:
    run = mlflow.active_run()
    if run is None:
        return False
    return MLFlowLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run.info.run_id)


def _load_best(model: ATFTGATFAN, path: str) -> None:
    state = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "model."
    model.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    model.cpu()
