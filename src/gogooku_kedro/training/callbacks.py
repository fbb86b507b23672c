"""Callbacks of a training run: history, one line per epoch, early stopping, randomness that survives a restart."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor, nn

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
        """Seed the generators of the CPU and of the model's device.

        `torch.manual_seed` would seed those of absent kinds of devices too, and note the stack for each: a millisecond.
        """
        entropy = (self.seed, trainer.current_epoch, batch.first_day)
        (state,) = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        torch.default_generator.manual_seed(int(state))
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(int(state))


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, on the device of the model and without reading anything back.

    Lightning's own callback keeps the average where the model was built, on the CPU, and asks the number of
    updates of a tensor: on CUDA every weight would be copied to the host in every step.

    Args:
        decay: Share of the average that an update keeps; the first update takes the weights as they are.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin the average on the trainer's device."""
        self._device, self._pairs = trainer.strategy.root_device, []
        super().setup(trainer, pl_module, stage)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimiser step."""
        if trainer.global_step <= self._latest_update_step:
            return
        assert self._average_model is not None
        first = self._latest_update_step == 0
        for average, current in self._pairs or self._tensors(self._average_model.module, pl_module):
            if first or not average[0].is_floating_point():
                torch._foreach_copy_(average, current)
            else:
                torch._foreach_lerp_(average, current, 1 - self.decay)
        self._average_model.n_averaged += 1
        self._latest_update_step = trainer.global_step

    def _tensors(self, average: nn.Module, current: nn.Module) -> list[tuple[list[Tensor], list[Tensor]]]:
        # Parameters and buffers, grouped by type, looked up once: their memory stays what it is in a training.
        for kind in {tensor.dtype for tensor in _all(average)}:
            pair = [[t.detach() for t in _all(module) if t.dtype == kind] for module in (average, current)]
            self._pairs.append((pair[0], pair[1]))
        return self._pairs


def _all(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


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
        refit: Whether it has seen the validation part, which then measures nothing.
        name: Of the variant, empty for the network itself.
    """

    def __init__(self, seed: int, refit: bool = False, name: str = "") -> None:
        self.seed, self.refit, self.name = seed, refit, name

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log phase, loss, validation rank IC and ICIR, and what the graph does."""
        metrics = trainer.callback_metrics
        assert isinstance(pl_module, CrossSectionModule)
        if self.refit:
            place = (self._title(), trainer.current_epoch + 1, trainer.max_epochs)
            told = {"epoch_progress": self._facts(trainer)}
            logger.info("%s refit, epoch %d/%s | loss %.4f", *place, metrics["train/loss"], extra=told)
            return
        chosen_by = f"smoothed {metrics[MONITOR]:+.3f}"
        if math.isinf(metrics[MONITOR]):
            chosen_by = "without graph, not to be kept"
        graph = ""
        if "gat/attention_entropy" in metrics:
            graph = f" | gat entropy {metrics['gat/attention_entropy']:.3f} degree {metrics['gat/degree']:.1f}"
        logger.info(
            "%s epoch %d/%s %s | loss %.4f | valid rank IC %+.4f (1d %+.4f, 5d %+.4f, 20d %+.4f), ICIR %+.3f (%s)%s",
            self._title(),
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

    def _title(self) -> str:
        return f"seed {self.seed}{self.name and f' {self.name}'}"

    def _facts(self, trainer: pl.Trainer) -> dict[str, Any]:
        shown = ("train/loss",) if self.refit else ("train/loss", "valid/rank_ic", "valid/rank_icir")
        return {
            "seed": self.seed,
            "name": self.name,
            "refit": self.refit,
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
