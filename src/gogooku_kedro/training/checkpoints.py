"""Checkpoints of a training run: one file an epoch, the newest and the best kept, never unpickled as code."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from gogooku_kedro.artifacts import atomic_file, key
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training.module import MONITOR

PARTS = {"state_dict", "current_model_state", "callbacks", "loops", "optimizer_states", "lr_schedulers"}
UNREADABLE = (UnpicklingError, EOFError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


def run_key(
    fingerprint: str,
    feature_hash: str,
    train: tuple[int, int],
    valid: tuple[int, int],
    model_params: ModelParams,
    training: TrainingParams,
    epochs: int | None = None,
) -> str:
    """Return the name of the training of one model: equal data and settings, and only they, have equal keys.

    Args:
        fingerprint: `MarketTensors.fingerprint()`.
        feature_hash: Hash of the feature manifest.
        train: Sessions of the training part.
        valid: Sessions of the validation part.
        model_params: Settings of the model.
        training: Settings of the optimisation, `seed` that of the model.
        epochs: Of a refit, how many; None where the validation part chooses.
    """
    # Not `seeds`: this is one of them. Not the budget: it ends a training, but changes no epoch before the end.
    # Nor whether a refit follows: what chooses its epochs is the same training.
    own = training.model_copy(update={"seeds": ()}).identity(without={"time_budget_minutes", "refit"})
    parts = [train, valid] if epochs is None else [train, valid, epochs]
    return key(model=model_params, training=own, parts=parts, market=[fingerprint, feature_hash])


class EpochCheckpoints(Checkpoint):
    """Save every epoch; keep the last `keep` of them and the best by the monitored metric.

    An epoch whose metric is not finite, as in a phase without the graph, is never the best. The best
    epoch is part of the state, so that a restart from any of the files finds the file that it names.

    Args:
        folder: Folder of the run.
        keep: Number of the newest epochs that are kept.
        late: Remove the others when the next epoch begins: until then a restart may need the epoch before.
        newest: Take the newest epoch for the best, as a refit does, which has seen the validation part.
    """

    def __init__(self, folder: Path, keep: int, late: bool = False, newest: bool = False) -> None:
        self.folder, self.keep, self.late, self.newest = folder, keep, late, newest
        self.best_epoch: int | None = None
        self.best_score = -math.inf

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove what is neither new nor the best, if that waits for the next epoch."""
        if self.late:
            self._remove_old(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch, then remove what is neither new nor the best."""
        score = float(trainer.callback_metrics[MONITOR])
        if self.newest or (math.isfinite(score) and score > self.best_score):
            self.best_epoch, self.best_score = trainer.current_epoch, score
        trainer.save_checkpoint(self.path(trainer.current_epoch), weights_only=False)
        if not self.late:
            self._remove_old(trainer)

    def _remove_old(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            for old in saved_epochs(self.folder)[: -self.keep]:
                if self.best_epoch is None or old != self.path(self.best_epoch):
                    old.unlink()

    def path(self, epoch: int) -> Path:
        """File of an epoch."""
        return self.folder / f"epoch_{epoch:05d}.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """Best epoch and its score."""
        return {"best_epoch": self.best_epoch, "best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best epoch before an interruption."""
        self.best_epoch, self.best_score = state_dict["best_epoch"], state_dict["best_score"]


class PlainCheckpoints(TorchCheckpointIO):
    """Write checkpoints whole or not at all, and read tensors and plain values only: no file can call anything."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; a process that is killed meanwhile leaves none of that name."""
        with atomic_file(Path(path)) as unfinished:
            super().save_checkpoint(checkpoint, unfinished, storage_options)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """The content of a checkpoint, on the CPU.

        Raises:
            ValueError: If the file holds anything else, or is damaged.
        """
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, tensors on the CPU.

    Raises:
        ValueError: If the file is damaged, is no checkpoint, or holds more than tensors and plain values.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
        reason = "" if isinstance(content, dict) and content.keys() >= PARTS else "no checkpoint"
    except UNREADABLE as error:  # its message may suggest to execute what is in the file
        reason = type(error).__name__
    if reason:
        raise ValueError(
            f"training.checkpoint_dir: {path} is damaged or was not written by this program ({reason}); "
            f"nothing in it was executed. Remove the file to go on from the epoch before it, or its folder "
            f"to train from the start"
        )
    return dict(content)


def saved_epochs(folder: Path) -> list[Path]:
    """Checkpoints of a run, the oldest first."""
    return sorted(folder.glob("epoch_*.ckpt"))


def common_epochs(folders: Sequence[Path]) -> list[Path | None]:
    """Checkpoint from which each of several runs that train together goes on, None from the start.

    It is the last epoch that all have saved, at most one behind the newest. Runs further apart did not train
    together before: each has its newest.
    """
    saved = [saved_epochs(folder) for folder in folders]
    newest = [int(paths[-1].stem.removeprefix("epoch_")) if paths else -1 for paths in saved]
    if max(newest) - min(newest) > 1:
        return [paths[-1] if paths else None for paths in saved]
    name = f"epoch_{min(newest):05d}.ckpt"
    return [next((path for path in paths if path.name == name), None) for paths in saved]
