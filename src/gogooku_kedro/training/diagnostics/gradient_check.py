"""Show, check by check, that the task reaches every parameter and that every input reaches the scores.

Four stages: the autograd graph is whole, the optimiser holds the model's parameters, the parameters stay
the same objects, and the *task's* gradient (all penalties left out) arrives. `requires_grad` and the
gradient of the total loss prove none of that: a penalty pulls on weights whose output nobody reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from gogooku_kedro.model import ATFTGATFAN, ModelOutput
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training.diagnostics.gradient_report import (
    CONTINUITY,
    IDENTITY,
    REGISTRATION,
    TASK,
    Check,
    GradientReport,
    check,
    some,
)
from gogooku_kedro.training.diagnostics.information_flow import SMALLEST_GRADIENT, optimizer_problems
from gogooku_kedro.training.diagnostics.sensitivity import gradients_of, sensitivity_checks
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.monitor import norm
from gogooku_kedro.training.tensors import DayChunk


def check_gradients(
    model: ATFTGATFAN, chunk: DayChunk, model_params: ModelParams, training: TrainingParams
) -> GradientReport:
    """Run the four stages on one chunk of days; weights, mode and gradients are put back afterwards.

    Args:
        model: The network, on the device of the chunk.
        chunk: Days with labels and, if the GAT is enabled, with edges between stocks.
        model_params: Settings of the model.
        training: Settings of the optimisation; the last phase, which has the graph, is the one checked.
    """
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
        checks += gradients + sensitivity_checks(module, chunk)  # after the step: gates may start at 0
    return GradientReport(tuple(checks))


def _continuity(module: CrossSectionModule, output: ModelOutput, task: Tensor, chunk: DayChunk) -> list[Check]:
    named = _parameters_in_use(module)
    cut = [n for (n, _), g in zip(named, gradients_of(task, [p for _, p in named]), strict=True) if g is None]
    checks = [
        check(
            CONTINUITY,
            "graph_reaches_every_parameter",
            not cut,
            f"{len(named) - len(cut)} of {len(named)} parameters",
            f"no path from the scores to {some(cut)}: look for .detach(), no_grad, or an output nobody uses",
        )
    ]
    if module.model.gat is None:
        return checks
    given = _between(chunk.edge_index)
    used = 0 if output.graph is None else _between(output.graph.edge_index)
    return [
        *checks,
        check(
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
    return check(REGISTRATION, name, not problems, figure, "; ".join(problems))


def _identity(
    before: dict[str, tuple[int, torch.Size]], after: dict[str, tuple[int, torch.Size]], built: list[str]
) -> list[Check]:
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return [
        check(
            IDENTITY,
            "same_parameters_after_a_step",
            not changed,
            f"{len(changed)} of {len(before)} changed",
            f"new, gone, replaced or of another shape after the first step: {some(changed)}",
        ),
        check(
            IDENTITY,
            "nothing_is_built_in_forward",
            not built,
            f"{len(built)} parameters built",
            f"forward built {some(built)}: build layers in __init__, with fixed widths",
        ),
    ]


def _task_gradients(module: CrossSectionModule, task: Tensor) -> list[Check]:
    named = _parameters_in_use(module)
    gradients = gradients_of(task, [p for _, p in named])
    dead = [n for (n, _), g in zip(named, gradients, strict=True) if g is None or not g.abs().max() > 0]
    parts: dict[str, list[Tensor | None]] = {}
    for (name, _), gradient in zip(named, gradients, strict=True):
        parts.setdefault(name.partition(".")[0], []).append(gradient)
    return [
        *(
            check(
                TASK,
                f"task_gradient_of_{part}",
                float(norm(received)) > SMALLEST_GRADIENT,
                f"{float(norm(received)):.3g}",
                f"the task teaches {part!r} nothing: its output is erased or detached before the scores",
            )
            for part, received in parts.items()
        ),
        check(
            TASK,
            "task_gradient_of_every_parameter",
            not dead,
            f"{len(named) - len(dead)} of {len(named)} parameters",
            f"no gradient of the task for {some(dead)}",
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
