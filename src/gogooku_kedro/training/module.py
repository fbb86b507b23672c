"""The LightningModule: one step on a chunk of days, every loss term and every graph figure by name."""

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from gogooku_kedro.evaluation import rank_ic
from gogooku_kedro.model import ATFTGATFAN, GraphAttention, ModelOutput, normalised_entropy
from gogooku_kedro.params import HORIZONS, ModelParams, TrainingParams
from gogooku_kedro.training.losses import (
    edge_weight_penalty,
    entropy_penalty,
    information_coefficient,
    pinball,
    rank_mse,
)
from gogooku_kedro.training.market import DayChunk

MONITOR = "valid/rank_ic"
WARMUP_SHARE = 0.1


class CrossSectionModule(pl.LightningModule):
    """Train ATFT-GAT-FAN on chunks of days.

    Args:
        model: The network.
        model_params: Its settings, for quantile levels and graph penalties.
        training: Optimisation settings.
        total_steps: Optimiser steps of the whole schedule.
    """

    levels: Tensor

    def __init__(
        self,
        model: ATFTGATFAN,
        model_params: ModelParams,
        training: TrainingParams,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.model, self.params, self.training_params = model, model_params, training
        self.total_steps = total_steps
        self.register_buffer("levels", torch.tensor(model_params.quantiles), persistent=False)
        self._scores: list[Tensor] = []
        self._targets: list[Tensor] = []

    def forward(self, chunk: DayChunk) -> ModelOutput:
        """Score a chunk of days."""
        output: ModelOutput = self.model(
            chunk.x, chunk.present, chunk.levels, chunk.edge_index, chunk.edge_attr
        )
        return output

    def training_step(self, chunk: DayChunk, batch_idx: int) -> Tensor:
        """Return the total loss of a chunk and log its terms."""
        output = self(chunk)
        terms = self.loss_terms(output, chunk)
        loss = torch.stack(list(terms.values())).sum()
        days = chunk.target.size(0)
        logged = {f"train/{name}": value for name, value in terms.items()} | {"train/loss": loss}
        if output.graph is not None:
            logged |= graph_figures(output.graph, chunk.target.size(0) * chunk.target.size(1))
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=days)
        return loss

    def loss_terms(self, output: ModelOutput, chunk: DayChunk) -> dict[str, Tensor]:
        """Every term of the loss, already weighted; their sum is the loss.

        Returns:
            ``mse``, ``ic``, ``quantile`` and, with the GAT's regularisation, ``gat_entropy``, ``gat_edge``.

        Raises:
            ValueError: If no stock of the chunk has a label.
        """
        weights, target = self.training_params.loss, chunk.target
        if target.isnan().all():
            raise ValueError(f"no label on the chunk of days that begins at {chunk.first_day}")
        terms = {
            "mse": rank_mse(output.score, target).nanmean(),
            "ic": weights.ic_weight * (1 - information_coefficient(output.score, target)).nanmean(),
            "quantile": weights.quantile_weight * pinball(output.quantiles, target, self.levels).nanmean(),
        }
        regularization = self.params.gat.regularization
        if output.graph is not None and regularization.enabled:
            nodes = target.size(0) * target.size(1)
            terms["gat_entropy"] = regularization.attention_entropy_penalty * entropy_penalty(
                output.graph, nodes
            )
            terms["gat_edge"] = regularization.edge_weight_penalty * edge_weight_penalty(output.graph)
        return terms

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient norm of every part of the model."""
        norms = {f"grad_norm/{name}": _gradient_norm(part) for name, part in self.model.named_children()}
        self.log_dict(norms, on_step=False, on_epoch=True, batch_size=1)

    def validation_step(self, chunk: DayChunk, batch_idx: int) -> None:
        """Keep the scores of a chunk for the metrics of the epoch."""
        output = self(chunk)
        self._scores.append(output.score.float().cpu())
        self._targets.append(chunk.target.float().cpu())

    def on_validation_epoch_end(self) -> None:
        """Log rank IC per horizon, its mean over horizons and the dispersion of the scores."""
        score, target = (torch.cat(parts).numpy() for parts in (self._scores, self._targets))
        self._scores, self._targets = [], []
        daily = [rank_ic(score[..., h], target[..., h]) for h in range(len(HORIZONS))]
        means = [_nan_mean(series) for series in daily]
        for horizon, mean, series in zip(HORIZONS, means, daily, strict=True):
            self.log(f"valid/rank_ic_{horizon}d", mean)
            self.log(f"valid/rank_icir_{horizon}d", mean / (float(np.nanstd(series)) + 1e-12))
        self.log(MONITOR, float(np.mean(means)))
        labelled = ~np.isnan(target[:, :, 0])
        spread = [np.std(s[k]) for s, k in zip(score[:, :, 0], labelled, strict=True) if k.any()]
        self.log("valid/score_dispersion", _nan_mean(spread))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW (no decay on vectors) with a linear warm-up and a cosine decay to zero."""
        matrices = [p for p in self.parameters() if p.dim() > 1]
        vectors = [p for p in self.parameters() if p.dim() <= 1]
        training = self.training_params
        optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": training.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=training.learning_rate,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._schedule)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _schedule(self, step: int) -> float:
        warmup = max(1, int(WARMUP_SHARE * self.total_steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, self.total_steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def graph_figures(attention: GraphAttention, n_nodes: int) -> dict[str, Tensor]:
    """Figures of the graph for the log, under the names that dashboards rely on.

    Args:
        attention: Attention before dropout.
        n_nodes: Number of nodes, ``days * stocks``.
    """
    entropy = normalised_entropy(attention.__class__(*(t.detach() for t in attention)), n_nodes)
    between = ~attention.is_self
    edges = between.sum().float()
    nodes = torch.unique(attention.edge_index[1]).numel()
    nothing = attention.alpha.new_zeros(())
    return {
        "gat/attention_entropy": entropy.mean() if entropy.numel() else nothing,
        "gat/edge_regularization": edge_weight_penalty(attention).detach(),
        "gat/edge_count": edges,
        "gat/avg_attention": attention.alpha.detach()[between].mean() if edges > 0 else nothing,
        "gat/degree": edges / max(1, nodes),
    }


def _gradient_norm(part: nn.Module) -> Tensor:
    squares = [p.grad.float().square().sum() for p in part.parameters() if p.grad is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())


def _nan_mean(series: Any) -> float:
    known = np.asarray(series)[~np.isnan(series)]
    return float(known.mean()) if known.size else 0.0
