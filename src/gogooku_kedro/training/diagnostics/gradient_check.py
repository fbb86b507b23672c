"""Show, check by check, that the task reaches every parameter and that every input reaches the scores.

Four stages: the autograd graph is whole, the optimiser holds the model's parameters, the parameters stay
the same objects, and the *task's* gradient (all penalties left out) arrives. `requires_grad` and the
gradient of the total loss prove none of that: a penalty pulls on weights whose output nobody reads.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from gogooku_kedro.model import ATFTGATFAN, ModelOutput
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training.diagnostics.information_flow import (
    SMALLEST_DISPERSION,
    SMALLEST_GRADIENT,
    optimizer_problems,
)
from gogooku_kedro.training.diagnostics.trial import InputNames
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.monitor import norms, score_dispersion
from gogooku_kedro.training.tensors import DayChunk

CONTINUITY, REGISTRATION, IDENTITY, TASK = (
    "1 graph continuity",
    "2 optimizer registration",
    "3 parameter identity",
    "4 task gradient",
)


@dataclass(frozen=True)
class Check:
    """One check: what was measured, whether it is as it must be, and where to look if not."""

    stage: str
    name: str
    passed: bool
    figure: str
    hint: str


@dataclass(frozen=True)
class GradientReport:
    """All checks of a model; printed, it is a table."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if not check.passed]

    def __str__(self) -> str:
        widths = [max(len(getattr(c, column)) for c in self.checks) for column in ("stage", "name", "figure")]
        lines = []
        for check in self.checks:
            cells = zip((check.stage, check.name, check.figure), widths, strict=True)
            row = "  ".join(cell.ljust(width) for cell, width in cells)
            lines.append(f"{row}  ok" if check.passed else f"{row}  FAILED: {check.hint}")
        return "\n".join(lines)


def check_gradients(
    model: ATFTGATFAN,
    chunk: DayChunk,
    model_params: ModelParams,
    training: TrainingParams,
    names: InputNames | None = None,
) -> GradientReport:
    """Run the four stages on one chunk of sessions; weights, mode and gradients are put back afterwards.

    Args:
        model: The network, on the device of the chunk.
        chunk: Sessions with labels and, if the GAT is enabled, with edges between stocks.
        model_params: Settings of the model.
        training: Settings of the optimisation; the last phase, which has the graph, is the one checked.
        names: What the inputs are called; None counts them.
    """
    names = names or InputNames.numbered(chunk)
    with _put_back(model):
        module = CrossSectionModule(model, model_params, training, total_steps=1).to(chunk.x.device)
        module.enter(training.phases[-1])
        optimizer = module.configure_optimizers()["optimizer"]
        before = _identities(model)
        model.train()
        with _built_parameters() as built:
            output = module(chunk)
        task = torch.stack(list(module.task_terms(output, chunk).values())).sum()
        checks = _continuity(module, output, task, chunk)
        gradients = _task_gradients(module, task)
        if task.requires_grad:
            task.backward()
        optimizer.step()
        checks += [_registration(model, optimizer), *_identity(before, _identities(model), built)]
        checks += gradients + _sensitivity_checks(module, chunk, names)  # after the step: gates may start at 0
    return GradientReport(tuple(checks))


def _continuity(module: CrossSectionModule, output: ModelOutput, task: Tensor, chunk: DayChunk) -> list[Check]:
    named = _parameters_in_use(module)
    cut = [n for (n, _), g in zip(named, _gradients_of(task, [p for _, p in named]), strict=True) if g is None]
    checks = [
        _check(
            CONTINUITY,
            "graph_reaches_every_parameter",
            not cut,
            f"{len(named) - len(cut)} of {len(named)} parameters",
            f"no path from the scores to {_some(cut)}: look for .detach(), no_grad, or an output nobody uses",
        )
    ]
    if module.model.gat is None:
        return checks
    given = _between(chunk.edge_index)
    used = 0 if output.graph is None else _between(output.graph.edge_index)
    return [
        *checks,
        _check(
            CONTINUITY,
            "edges_reach_the_gat",
            given > 0 and used > 0,
            f"{given} edges given, {used} used",
            "no edge between two stocks arrives: look at graph_edges on these days, and at whether they are "
            "handed on to the GAT",
        ),
    ]


def _registration(model: ATFTGATFAN, optimizer: torch.optim.Optimizer) -> Check:
    problems, own = optimizer_problems(model, optimizer), len(list(model.parameters()))
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    name, figure = "optimizer_holds_every_parameter", f"{held} held, {own} in the model"
    return _check(REGISTRATION, name, not problems, figure, "; ".join(problems))


def _identity(
    before: dict[str, tuple[int, torch.Size]], after: dict[str, tuple[int, torch.Size]], built: list[str]
) -> list[Check]:
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return [
        _check(
            IDENTITY,
            "same_parameters_after_a_step",
            not changed,
            f"{len(changed)} of {len(before)} changed",
            f"new, gone, replaced or of another shape after the first step: {_some(changed)}",
        ),
        _check(
            IDENTITY,
            "nothing_is_built_in_forward",
            not built,
            f"{len(built)} parameters built",
            f"forward built {_some(built)}: build layers in __init__, with fixed widths",
        ),
    ]


def _task_gradients(module: CrossSectionModule, task: Tensor) -> list[Check]:
    named = _parameters_in_use(module)
    gradients = _gradients_of(task, [p for _, p in named])
    dead = [n for (n, _), g in zip(named, gradients, strict=True) if g is None or not g.abs().max() > 0]
    parts: dict[str, list[Tensor | None]] = {}
    for (name, _), gradient in zip(named, gradients, strict=True):
        parts.setdefault(name.partition(".")[0], []).append(gradient)
    by_part = {name: float(norm) for name, norm in norms(parts, module.levels).by_part.items()}
    return [
        *(
            _check(
                TASK,
                f"task_gradient_of_{part}",
                by_part[part] > SMALLEST_GRADIENT,
                f"{by_part[part]:.3g}",
                f"the task teaches {part!r} nothing: its output is erased or detached before the scores",
            )
            for part, received in parts.items()
        ),
        _check(
            TASK,
            "task_gradient_of_every_parameter",
            not dead,
            f"{len(named) - len(dead)} of {len(named)} parameters",
            f"no gradient of the task for {_some(dead)}",
        ),
    ]


def _parameters_in_use(module: CrossSectionModule) -> list[tuple[str, nn.Parameter]]:
    idle = module.idle_parts()
    return [(n, p) for n, p in module.model.named_parameters() if n.partition(".")[0] not in idle]


def _between(edge_index: Tensor) -> int:
    return int((edge_index[0] != edge_index[1]).sum())


def _identities(model: nn.Module) -> dict[str, tuple[int, torch.Size]]:
    return {name: (id(p), p.shape) for name, p in model.named_parameters()}


@contextmanager
def _built_parameters() -> Iterator[list[str]]:
    built: list[str] = []

    def note(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        built.append(f"{type(module).__name__}.{name}")

    handle = register_module_parameter_registration_hook(note)
    try:
        yield built
    finally:
        handle.remove()


@contextmanager
def _put_back(model: ATFTGATFAN) -> Iterator[None]:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    training, graph = model.training, model.graph_enabled
    try:
        yield
    finally:
        model.load_state_dict(state, strict=False)
        model.train(training)
        model.graph_enabled = graph
        model.zero_grad(set_to_none=True)


def _sensitivity_checks(module: CrossSectionModule, chunk: DayChunk, names: InputNames) -> list[Check]:
    """Hold the scores of the chunk's last session against its inputs, in evaluation mode.

    Every session of the window, feature, raw price channel, market feature and neighbour has to move some score.
    """
    model = module.model.eval()
    x, levels, context = (t.clone().requires_grad_() for t in (chunk.x, chunk.levels, chunk.context))
    score = module(chunk._replace(x=x, levels=levels, context=context)).score
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(score.shape[1:], generator=generator).to(score.device)
    by_x, by_level, by_context = _gradients_of((score[-1] * weights).sum(), [x, levels, context])
    by_x = torch.zeros_like(x) if by_x is None else by_x.abs()[-model.window :]
    dispersion = float(score_dispersion(score, chunk.present[-score.size(0) :]))
    checks = [
        _check(
            TASK,
            "scores_differ_between_stocks",
            dispersion > SMALLEST_DISPERSION,
            f"{dispersion:.3g}",
            "every stock has the same score: what the heads read does not depend on the inputs",
        ),
        _reaches("last_day_reaches_the_scores", by_x[-1:].sum(dim=(1, 2)), "day"),
        _reaches("every_day_reaches_the_scores", by_x.sum(dim=(1, 2)), "day"),
        _reaches("every_feature_reaches_the_scores", by_x.sum(dim=(0, 1)), "feature", names.features),
    ]
    if model.levels is not None:
        seen = torch.zeros_like(levels) if by_level is None else by_level.abs()[-model.window :]
        seen = seen.nan_to_num(nan=0.0)  # the mean of a window without any session has no gradient
        checks.append(_reaches("every_day_of_the_levels_reaches_the_scores", seen.sum(dim=(1, 2)), "day"))
        by_channel = seen.sum(dim=(0, 1))
        checks.append(_reaches("every_channel_reaches_the_scores", by_channel, "channel", names.channels))
    if context.size(-1):
        seen = torch.zeros_like(context) if by_context is None else by_context.abs()
        by_feature = seen.sum(dim=0)
        checks.append(_reaches("every_market_feature_reaches_the_scores", by_feature, "feature", names.context))
    if model.gat is not None:
        checks.append(_neighbours(score, x, chunk))
    return checks


def _neighbours(score: Tensor, x: Tensor, chunk: DayChunk) -> Check:
    days, stocks, _ = score.shape
    source, target = chunk.edge_index - (days - 1) * stocks  # nodes of the last session are 0 ... N - 1
    between = (source >= 0) & (source != target)
    name = "neighbours_reach_the_scores"
    if not between.any():
        hint = "no edge between two stocks on the last day of the chunk"
        return _check(TASK, name, False, "no neighbours", hint)
    stock = target[between].bincount(minlength=stocks).argmax()
    (gradient,) = _gradients_of(score[-1, stock].sum(), [x])
    gradient = torch.zeros_like(x) if gradient is None else gradient.abs()
    of_neighbours = gradient[-1, source[between & (target == stock)]].sum(dim=-1)
    return _reaches(name, of_neighbours, "neighbour")


def _reaches(name: str, sensitivity: Tensor, what: str, called: Sequence[str] = ()) -> Check:
    silent = (~(sensitivity > 0)).nonzero().flatten().tolist()
    named = [called[i] if called else f"{i} (counted from 0)" for i in silent]
    figure = f"least {float(sensitivity.min()):.3g}"
    return _check(TASK, name, not silent, figure, f"the scores do not react to {what} {_some(named)}")


def _gradients_of(value: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Gradients of a number, None where nothing leads to an input; the autograd graph is kept."""
    if not value.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)


def _check(stage: str, name: str, passed: bool, figure: str, hint: str) -> Check:
    """A check, with its hint if it failed."""
    return Check(stage, name, passed, figure, "" if passed else hint)


def _some(names: Sequence[str]) -> str:
    """The first five names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
