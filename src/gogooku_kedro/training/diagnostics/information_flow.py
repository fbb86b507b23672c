"""Stop a training in which the task teaches a part of the model nothing, or the scores say nothing."""

import math
from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
from torch import nn
from torch.optim import Optimizer

from gogooku_kedro.training.module import CrossSectionModule

SMALLEST_GRADIENT = 1e-9
"""Norm of a part's task gradient up to which it counts as zero."""

SMALLEST_DISPERSION = 1e-6
"""Spread of the scores up to which it counts as zero: the rounding of equal scores in float32 lies below."""


class InformationFlowError(RuntimeError):
    """A part of the model learns nothing of the task, or all stocks have the same score."""


class InformationFlow(pl.Callback):
    """Stop when a whole epoch passes without information from the task.

    A penalty on a layer's weights gives it a gradient whether or not its output is used, so the total
    gradient proves nothing. What stops a run at the end of an epoch is

    - `task_grad_norm/<part>`: the gradient of the task terms alone, zero on every probe of the epoch;
    - `train/score_dispersion` and `valid/score_dispersion`: the same score for all stocks (with dropout
      only the second can be exactly 0);
    - `gat/edge_count`: no edge between stocks in a phase with graph;

    each of them also when it is NaN; and before the first step of an epoch, an optimiser that does not hold the model's
    parameters, as after a layer was built in `forward`.

    Args:
        isolated: The graph has self loops alone, on purpose: no edge is missed, and the neutralisation of
            scores by neighbours has nothing to learn from.
    """

    def __init__(self, isolated: bool = False) -> None:
        self.isolated = isolated
        self._held_in: int | None = None

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Hold the parameters of the optimiser against the model's, before they are changed.

        Raises:
            InformationFlowError: Naming the parameters that are not held.
        """
        assert isinstance(pl_module, CrossSectionModule)
        if self._held_in != trainer.current_epoch:
            _raise(trainer, optimizer_problems(pl_module.model, optimizer))
            self._held_in = trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hold the figures of the epoch, before any checkpoint of it is written.

        Raises:
            InformationFlowError: Naming each part and what to look at.
        """
        assert isinstance(pl_module, CrossSectionModule)
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        _raise(trainer, information_problems(figures, pl_module.idle_parts(), self.isolated))


def information_problems(figures: Mapping[str, float], idle: frozenset[str], isolated: bool = False) -> list[str]:
    """What is wrong with the figures of an epoch, one sentence each.

    Args:
        figures: Means over the epoch by name; a mean of norms is 0 only when each of them is.
        idle: Parts that have nothing to learn in this phase.
        isolated: Whether the stocks are meant to have no neighbours.
    """
    problems, no_neighbours = [], isolated or "gat" in idle
    idle = idle | ({"neutralise"} if isolated else set())
    for name, value in sorted(figures.items()):
        kind, _, part = name.partition("/")
        if kind == "task_grad_norm" and part not in idle and not value > SMALLEST_GRADIENT:
            problems.append(_gradient_problem(part, value))
        if part == "score_dispersion" and not value > SMALLEST_DISPERSION:
            problems.append(_dispersion_problem(name, value))
        if name == "gat/edge_count" and not no_neighbours and not value > 0:
            problems.append(
                "gat/edge_count is 0: no edge between two stocks reached the GAT in the whole epoch; look at "
                "graph_edges on the training dates and at how edges are handed to the model, or set "
                "model.gat.enabled: false"
            )
    return problems


def optimizer_problems(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Say which parameters of the model an optimiser does not hold, and how many it holds in vain."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p): name for name, p in model.named_parameters()}
    missing, foreign = [name for key, name in own.items() if key not in held], held - own.keys()
    if not missing and not foreign:
        return []
    return [
        f"the optimizer does not hold {', '.join(missing[:5])} ({len(missing)} of {len(own)} parameters) and "
        f"holds {len(foreign)} that are not the model's; build every layer in __init__, none in forward"
    ]


def _raise(trainer: pl.Trainer, problems: Sequence[str]) -> None:
    if problems:
        raise InformationFlowError(f"epoch {trainer.current_epoch + 1}: " + "\n".join(problems))


def _gradient_problem(part: str, value: float) -> str:
    if math.isnan(value):
        return (
            f"task_grad_norm/{part} is not a number: look for infinite inputs or a diverging loss "
            f"(training.learning_rate, training.gradient_clip)"
        )
    return (
        f"task_grad_norm/{part} is {value:.3g}: the task has taught {part!r} nothing in the whole epoch; its "
        f"output is erased, detached or not used between it and the scores. A gradient of the penalties "
        f"(grad_norm/{part}) is no evidence against that; `kedro check-gradients` shows where it ends"
    )


def _dispersion_problem(name: str, value: float) -> str:
    if math.isnan(value):
        return f"{name} is not a number: scores are; look for infinite inputs or a diverging loss"
    return (
        f"{name} is {value:.3g}: all stocks of a date have the same score of some horizon, so its inputs do "
        f"not reach it; look at what the score head reads, `kedro check-gradients` shows where it ends"
    )
