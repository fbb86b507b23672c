"""Callbacks of a training run: history, one line per epoch, and randomness that survives a restart."""

import logging
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch

from gogooku_kedro.training.module import MONITOR

logger = logging.getLogger(__name__)


class SeedEveryStep(pl.Callback):
    """Seed PyTorch's generators by ``(seed, step)`` before every training step.

    Dropout then draws the same numbers in a step whether or not the run was interrupted before it, and
    whatever else drew random numbers in between (a data loader does when it starts).
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators of all devices."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step)


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
    """Write one INFO line per epoch."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log loss, validation rank IC and what the graph does."""
        metrics = trainer.callback_metrics
        graph = ""
        if "gat/attention_entropy" in metrics:
            graph = (
                f" | gat entropy {metrics['gat/attention_entropy']:.3f} degree {metrics['gat/degree']:.1f}"
            )
        logger.info(
            "epoch %d/%s | loss %.4f | valid rank IC %+.4f (1d %+.4f, 5d %+.4f, 20d %+.4f)%s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            metrics["train/loss"],
            metrics[MONITOR],
            metrics["valid/rank_ic_1d"],
            metrics["valid/rank_ic_5d"],
            metrics["valid/rank_ic_20d"],
            graph,
        )
