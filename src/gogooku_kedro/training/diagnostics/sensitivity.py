"""Which days, features, channels and neighbours the scores react to, as checks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gogooku_kedro.training.diagnostics.gradient_report import TASK, Check, check, some
from gogooku_kedro.training.diagnostics.information_flow import SMALLEST_DISPERSION
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.monitor import score_dispersion
from gogooku_kedro.training.tensors import DayChunk


def sensitivity_checks(module: CrossSectionModule, chunk: DayChunk) -> list[Check]:
    """Hold the scores of the chunk's last day against its inputs, in evaluation mode.

    Every day of the window, feature, level-like channel, market feature and neighbour has to move some score.
    """
    model = module.model.eval()
    x, levels, context = (t.clone().requires_grad_() for t in (chunk.x, chunk.levels, chunk.context))
    score = module(chunk._replace(x=x, levels=levels, context=context)).score
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(score.shape[1:], generator=generator).to(score.device)
    by_x, by_level, by_context = gradients_of((score[-1] * weights).sum(), [x, levels, context])
    by_x = torch.zeros_like(x) if by_x is None else by_x.abs()[-model.window :]
    dispersion = float(score_dispersion(score, chunk.present[-score.size(0) :]))
    checks = [
        check(
            TASK,
            "scores_differ_between_stocks",
            dispersion > SMALLEST_DISPERSION,
            f"{dispersion:.3g}",
            "every stock has the same score: what the heads read does not depend on the inputs",
        ),
        _reaches("last_day_reaches_the_scores", by_x[-1:].sum(dim=(1, 2)), "day"),
        _reaches("every_day_reaches_the_scores", by_x.sum(dim=(1, 2)), "day"),
        _reaches("every_feature_reaches_the_scores", by_x.sum(dim=(0, 1)), "feature"),
    ]
    if model.levels is not None:
        seen = torch.zeros_like(levels) if by_level is None else by_level.abs()[-model.window :]
        seen = seen.nan_to_num(nan=0.0)  # the mean of a window without any day has no gradient
        checks.append(_reaches("every_day_of_the_levels_reaches_the_scores", seen.sum(dim=(1, 2)), "day"))
        checks.append(_reaches("every_channel_reaches_the_scores", seen.sum(dim=(0, 1)), "channel"))
    if context.size(-1):
        seen = torch.zeros_like(context) if by_context is None else by_context.abs()
        checks.append(_reaches("every_market_feature_reaches_the_scores", seen.sum(dim=0), "feature"))
    if model.gat is not None:
        checks.append(_neighbours(score, x, chunk))
    return checks


def _neighbours(score: Tensor, x: Tensor, chunk: DayChunk) -> Check:
    days, stocks, _ = score.shape
    source, target = chunk.edge_index - (days - 1) * stocks  # nodes of the last day are 0 ... N - 1
    between = (source >= 0) & (source != target)
    name = "neighbours_reach_the_scores"
    if not between.any():
        hint = "no edge between two stocks on the last day of the chunk"
        return check(TASK, name, False, "no neighbours", hint)
    stock = target[between].bincount(minlength=stocks).argmax()
    (gradient,) = gradients_of(score[-1, stock].sum(), [x])
    gradient = torch.zeros_like(x) if gradient is None else gradient.abs()
    heard = gradient[-1, source[between & (target == stock)]].sum(dim=-1)
    return _reaches(name, heard, "neighbour")


def _reaches(name: str, sensitivity: Tensor, what: str) -> Check:
    silent = (~(sensitivity > 0)).nonzero().flatten().tolist()
    return check(
        TASK,
        name,
        not silent,
        f"least {float(sensitivity.min()):.3g}",
        f"the scores do not react to {what} {some([str(i) for i in silent])} (counted from 0)",
    )


def gradients_of(value: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Gradients of a number, None where nothing leads to an input; the autograd graph is kept."""
    if not value.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
