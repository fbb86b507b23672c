"""The LightningModule: one step on a chunk of sessions, every loss term and every figure by name."""

import logging
import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from gogooku_kedro.model import ATFTGATFAN, AttentionEntropy, ModelOutput
from gogooku_kedro.params import ModelParams, PhaseParams, TrainingParams
from gogooku_kedro.training import losses, monitor
from gogooku_kedro.training.tensors import DayChunk, Place

MONITOR = "valid/rank_icir_smooth"
"""What chooses the epoch: smoothed validation rank ICIR; -inf in an epoch that must not be chosen."""

logger = logging.getLogger(__name__)


class CrossSectionModule(pl.LightningModule):
    """Train ATFT-GAT-FAN on chunks of sessions.

    The phase of an epoch (`training.phases`) says whether the graph is on, in training and validation
    alike, how the horizons weigh and what the learning rate is multiplied by.

    Args:
        model: The network.
        model_params: Its settings, for quantile levels and graph penalties.
        training: Optimisation settings.
        total_steps: Optimiser steps of the whole schedule.
        gat_verbose: Write one DEBUG line per step with the graph's figures and the GAT's task gradient.
    """

    levels: Tensor
    phase: PhaseParams
    optimizer_class: type[torch.optim.AdamW] = torch.optim.AdamW

    def __init__(
        self,
        model: ATFTGATFAN,
        model_params: ModelParams,
        training: TrainingParams,
        total_steps: int,
        gat_verbose: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.params, self.training_params = model, model_params, training
        self.total_steps, self.gat_verbose = total_steps, gat_verbose and model.gat is not None
        self.register_buffer("levels", torch.tensor(model_params.quantiles), persistent=False)
        self.enter(training.phase_of(0))
        self.smoothed_icir: float | None = None
        self._probes: frozenset[int] = frozenset()
        self._parts = monitor.parameters_by_part(model)
        self._means = monitor.EpochMeans()
        self._validated: list[tuple[Tensor, Tensor, Tensor]] = []

    def enter(self, phase: PhaseParams) -> None:
        """Begin a phase, with the graph on or off."""
        if phase is not getattr(self, "phase", None):
            # Once in a phase: a recorded step reads them where they lie.
            self.phase, self._horizon_weights = phase, torch.tensor(phase.horizon_weights)
        self.model.graph_enabled = phase.graph

    def idle_parts(self) -> frozenset[str]:
        """Parts of the model to which the task gives no gradient in this phase, and rightly so."""
        idle = {"gat", "neutralise"} if not self.phase.graph else set()
        return frozenset(idle | ({"quantile_head"} if not self.training_params.loss.quantile_weight else set()))

    def forward(self, chunk: DayChunk) -> ModelOutput:
        """Score a chunk of sessions."""
        torch.compiler.cudagraph_mark_step_begin()  # what the pass before returned is not used any more
        output: ModelOutput = self.model(
            chunk.x, chunk.present, chunk.levels, chunk.context, chunk.edge_index, chunk.edge_attr
        )
        return output

    def on_train_epoch_start(self) -> None:
        """Enter the phase of the epoch and choose the batches on which the task's gradient is measured."""
        self.enter(self.training_params.phase_of(self.current_epoch))
        self._probes = monitor.probe_batches(int(self.trainer.num_training_batches))
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, LambdaLR):  # the first step of a phase has the phase's factor already
            for group, base in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = base * self._schedule(scheduler.last_epoch)

    def on_fit_end(self) -> None:
        """Leave the graph switched on, as the model is used from here on."""
        self.model.graph_enabled = True

    def training_step(self, chunk: DayChunk, batch_idx: int) -> Tensor:
        """Return the total loss of a chunk and log its terms."""
        probe = batch_idx in self._probes
        norms = self._task_gradient_norms(chunk) if probe or self.gat_verbose else {}
        loss, figures = self.loss_and_figures(chunk)
        if self.gat_verbose:
            _log_step(self.global_step, figures | norms)
        if probe:
            self._means.add(norms, chunk.days)
        self._means.add(figures, chunk.days)
        return loss

    def loss_and_figures(self, chunk: DayChunk) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss of a chunk and the figures of the step by name."""
        output = self(chunk)
        entropy = self.entropy(output)
        terms = self.loss_terms(output, chunk, entropy)
        loss = torch.stack(list(terms.values())).sum()
        days = chunk.target.size(0)
        figures = {f"train/{name}": value for name, value in terms.items()} | {"train/loss": loss}
        figures["train/score_dispersion"] = monitor.score_dispersion(output.score, chunk.present[-days:])
        if self.model.gat is not None:
            figures |= monitor.graph_figures(output.graph, entropy, loss.device)
        return loss, figures

    def _task_gradient_norms(self, chunk: DayChunk) -> dict[str, Tensor]:
        # In a pass of its own, before that of the loss: a compiled model may not be asked twice for the
        # gradient of one pass (the second comes out wrong), and two graphs would need twice the memory.
        # The random numbers are put back, so that looking changes nothing.
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            norms = monitor.task_gradient_norms(self.model, self.task_loss(chunk))
        return {f"task_grad_norm/{name}": norm for name, norm in norms.items()}

    def task_loss(self, chunk: DayChunk) -> Tensor:
        """Return the part of a chunk's loss that scores and quantiles have."""
        return torch.stack(list(self.task_terms(self(chunk), chunk).values())).sum()

    def loss_terms(
        self, output: ModelOutput, chunk: DayChunk, entropy: AttentionEntropy | None = None
    ) -> dict[str, Tensor]:
        """Every term of the loss that has a weight, already weighted; their sum is the loss."""
        penalties = self.penalty_terms(output, entropy)
        return self.task_terms(output, chunk) | self.auxiliary_terms(output, chunk) | penalties

    def entropy(self, output: ModelOutput) -> AttentionEntropy | None:
        """Entropy of the attention, None without a graph."""
        days, stocks, _ = output.score.shape
        return None if output.graph is None else AttentionEntropy.of(output.graph, days * stocks)

    def task_terms(self, output: ModelOutput, chunk: DayChunk) -> dict[str, Tensor]:
        """Terms of scores and quantiles: `mse ic pairwise listnet soft_rank quantile`, those with a weight.

        Raises:
            ValueError: If no stock of the chunk has a label of a horizon that counts.
        """
        weights, score, target = self.training_params.loss, output.score, chunk.target
        horizon_weights = self._weights_on(target.device)
        self.check_labels(chunk)
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "mse": (weights.mse_weight, lambda: losses.rank_mse(score, target)),
            "ic": (weights.ic_weight, lambda: 1 - losses.information_coefficient(score, target)),
            "pairwise": (weights.pairwise_weight, lambda: losses.sampled_pairwise(score, target)),
            "listnet": (weights.listnet_weight, lambda: losses.listnet(score, target)),
            "soft_rank": (weights.soft_rank_weight, lambda: 1 - losses.soft_spearman(score, target)),
            "quantile": (
                weights.quantile_weight,
                lambda: losses.pinball(output.quantiles, target, self.levels),
            ),
        }
        used = {name: (weight, term()) for name, (weight, term) in terms.items() if weight > 0}
        if not used:
            return {}
        by_horizon = torch.stack([term.nanmean(dim=0) for _, term in used.values()])
        means = losses.over_horizons(by_horizon, horizon_weights)
        return {name: weight * mean for (name, (weight, _)), mean in zip(used.items(), means.unbind(), strict=True)}

    def check_labels(self, chunk: DayChunk | Place) -> None:
        """Raise ValueError if no stock of the chunk has a label of a horizon that counts."""
        weights = self.phase.horizon_weights
        if not any(known and weight > 0 for known, weight in zip(chunk.labelled, weights, strict=True)):
            raise ValueError(
                f"no label on the chunk of days that begins at {chunk.first_day}, of the horizons with a "
                f"weight in phase {self.phase.name!r} ({list(weights)})"
            )

    def _weights_on(self, device: torch.device) -> Tensor:
        if self._horizon_weights.device != device:  # once in a phase
            self._horizon_weights = self._horizon_weights.to(device)
        return self._horizon_weights

    def auxiliary_terms(self, output: ModelOutput, chunk: DayChunk) -> dict[str, Tensor]:
        """Terms of the forecasts of the raw price channels, `fan` and `san`."""
        if self.model.levels is None or output.forecast is None:
            return {}
        weights = self.training_params.loss
        weight = {"fan": weights.fan_weight, "san": weights.san_weight}
        terms = self.model.levels.losses(output.forecast, chunk.levels_ahead)
        return {name: weight[name] * term for name, term in terms.items() if weight[name] > 0}

    def penalty_terms(self, output: ModelOutput, entropy: AttentionEntropy | None = None) -> dict[str, Tensor]:
        """Penalties of the graph: `gat_entropy`, `gat_edge`, `gat_learned_graph`, of what is built."""
        gat, regularization = self.params.gat, self.params.gat.regularization
        if output.graph is None or not regularization.enabled:
            return {}
        entropy = entropy or self.entropy(output)
        assert entropy is not None
        terms = {"gat_entropy": regularization.attention_entropy_penalty * losses.entropy_penalty(entropy)}
        if self.model.gat is not None and self.model.gat.edge_gate is not None:
            gate = losses.edge_weight_penalty(output.graph)
            terms["gat_edge"] = regularization.edge_weight_penalty * gate
        if gat.learned_graph.enabled:
            terms["gat_learned_graph"] = gat.learned_graph.penalty * output.graph.similarity_penalty
        return terms

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the gradient norm of every part of the model."""
        norms = monitor.gradient_norms(self._parts).by_part
        self._means.add({f"grad_norm/{name}": norm for name, norm in norms.items()}, 1)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients; Lightning's own way refuses the fused optimiser under autocast."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def validation_step(self, chunk: DayChunk, batch_idx: int) -> None:
        """Keep the scores of a chunk for the metrics of the epoch."""
        self.keep_validated(self.validate(chunk), chunk.days)

    def validate(self, chunk: DayChunk) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, targets and presence of a chunk's sessions."""
        return self(chunk).score, chunk.target, chunk.present[-chunk.target.size(0) :]

    def keep_validated(self, found: tuple[Tensor, Tensor, Tensor], days: int) -> None:
        """Keep what `validate` returned of the first `days` sessions, until the end of the epoch."""
        score, target, present = (values[:days] for values in found)
        # Copies, because a CUDA graph writes the next chunk to the same places.
        score, target = (values.to(torch.float32, copy=True) for values in (score, target))
        self._validated.append((score, target, present.clone()))

    def on_validation_epoch_end(self) -> None:
        """Log the means of the epoch's steps, rank IC and ICIR, the dispersion of the scores, and the monitor."""
        self.log_dict(self._means.read(self._total))
        score, target, present = (torch.cat(parts).cpu() for parts in zip(*self._validated, strict=True))
        self._validated = []
        figures = monitor.validation_figures(score.numpy(), target.numpy())
        self.log_dict({f"valid/{name}": value for name, value in figures.items()})
        self.log("valid/score_dispersion", monitor.score_dispersion(score, present).float())
        self.log(MONITOR, self._smooth(figures["rank_icir"]))
        self.log_dict(monitor.neutralisation_figures(self.model))

    def _total(self, sums: Tensor) -> Tensor:
        total = self.trainer.strategy.reduce(sums, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def _smooth(self, icir: float) -> float:
        if self.model.gat is not None and not self.phase.graph:
            self.smoothed_icir = None  # a model whose GAT has not been trained must not be chosen
            return -math.inf
        share = self.training_params.monitor_smoothing if self.smoothed_icir is not None else 0.0
        self.smoothed_icir = share * (self.smoothed_icir or 0.0) + (1 - share) * icir
        return self.smoothed_icir

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the smoothed monitor."""
        checkpoint["smoothed_icir"] = self.smoothed_icir

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the smoothed monitor."""
        self.smoothed_icir = checkpoint["smoothed_icir"]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW (no decay on vectors) with a linear warm-up and a cosine decay to zero."""
        matrices = [p for p in self.parameters() if p.dim() > 1]
        vectors = [p for p in self.parameters() if p.dim() <= 1]
        training = self.training_params
        optimizer = self.optimizer_class(
            [
                {"params": matrices, "weight_decay": training.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=training.learning_rate,
            fused=True,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, self._schedule), "interval": "step"},
        }

    def _schedule(self, step: int) -> float:
        warmup = max(1, int(self.training_params.warmup_share * self.total_steps))
        factor = self.phase.learning_rate_factor
        if step < warmup:
            return factor * (step + 1) / warmup
        progress = (step - warmup) / max(1, self.total_steps - warmup)
        return factor * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _log_step(step: int, figures: dict[str, Tensor]) -> None:
    shown = [f"{n} {float(v):.4g}" for n, v in figures.items() if n.startswith(("gat/", "task_grad_norm/gat"))]
    logger.debug("step %d | %s", step, " | ".join(shown))
