"""Callbacks of a training run: history, one line per epoch, early stopping, randomness that survives a restart."""

import logging
import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping

from gogooku_kedro.training.module import MONITOR, CrossSectionModule

logger = logging.getLogger(__name__)


class SeedEveryStep(pl.Callback):
    """Seed PyTorch's generators by `(seed, epoch, first day of the chunk)` before every training step.

    Dropout then draws the same numbers for a chunk whether or not the run was interrupted before it,
    whatever else drew random numbers in between (a data loader does when it starts), and whichever of
    several processes the chunk is dealt to.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators of all devices."""
        entropy = (self.seed, trainer.current_epoch, int(batch.first_day))
        (state,) = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        torch.manual_seed(int(state))


class History(pl.Callback):
    """Keep every metric of every epoch, through checkpoints too."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's metrics."""
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"epoch": trainer.current_epoch} | metrics)

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the epochs before an interruption."""
        self.rows = list(state_dict["rows"])

    def frame(self) -> pd.DataFrame:
        """One row per epoch, one column per metric."""
        return pd.DataFrame(self.rows)


class EpochLog(pl.Callback):
    """Write one INFO line per epoch, whose record also carries the figures as `epoch_progress`.

    Args:
        seed: Of the model that is trained.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log phase, loss, validation rank IC and ICIR, and what the graph does."""
        metrics = trainer.callback_metrics
        assert isinstance(pl_module, CrossSectionModule)
        chosen_by = f"smoothed {metrics[MONITOR]:+.3f}"
        if math.isinf(metrics[MONITOR]):
            chosen_by = "without graph, not to be kept"
        graph = ""
        if "gat/attention_entropy" in metrics:
            graph = f" | gat entropy {metrics['gat/attention_entropy']:.3f} degree {metrics['gat/degree']:.1f}"
        logger.info(
            "seed %d epoch %d/%s %s | loss %.4f | "
            "valid rank IC %+.4f (1d %+.4f, 5d %+.4f, 20d %+.4f), ICIR %+.3f (%s)%s",
            self.seed,
            trainer.current_epoch + 1,
            trainer.max_epochs,
            pl_module.phase.name,
            metrics["train/loss"],
            metrics["valid/rank_ic"],
            metrics["valid/rank_ic_1d"],
            metrics["valid/rank_ic_5d"],
            metrics["valid/rank_ic_20d"],
            metrics["valid/rank_icir"],
            chosen_by,
            graph,
            extra={"epoch_progress": self._facts(trainer)},
        )

    def _facts(self, trainer: pl.Trainer) -> dict[str, Any]:
        shown = ("train/loss", "valid/rank_ic", "valid/rank_icir")
        return {
            "seed": self.seed,
            "epoch": trainer.current_epoch + 1,
            "epochs": trainer.max_epochs,
            "metrics": {name: float(trainer.callback_metrics[name]) for name in shown},
        }


class Patience(EarlyStopping):
    """Stop after `patience` epochs without a better metric; epochs that have none (-inf) do not count."""

    def __init__(self, patience: int) -> None:
        super().__init__(MONITOR, mode="max", patience=patience, check_on_train_epoch_end=True)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no epoch more when the run was cut off after its last."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch's metric."""
        if float(trainer.callback_metrics[MONITOR]) != -torch.inf:
            super().on_train_epoch_end(trainer, pl_module)
