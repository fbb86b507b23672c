"""The weighted sum of the variable selection on a CPU, with compiled loops, forward and backward.

What `vsn._mix` does in two dozen passes over `(F, feature_size, tokens)` values is one pass of `vsn_numba` over a block
of tokens that stays in the processor's cache, and a product; the backward pass computes the block again, so that
nothing wide is kept.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from gogooku_kedro.model import vsn_numba
from gogooku_kedro.model.loops import in_turn, shared_out

BLOCK = 512
"""Tokens of a block: their weighted parts and a gradient of the same size are in the cache together."""


def available(device: str, kind: torch.dtype) -> bool:
    """Whether the loops can run: in float32, where PyTorch's compiler does not make its own.

    Args:
        device: Type of the device.
        kind: Type of the products, that of autocast where it is on.
    """
    return device == "cpu" and kind == torch.float32 and not torch.compiler.is_compiling()


def mix(x: Tensor, weights: Tensor, projection: Tensor, vectors: Tensor, glu_weight: Tensor) -> Tensor:
    """Return the sum of each feature's network times the feature's weight, through its part of the projection.

    As many threads work as PyTorch has; each has features of its own, so that their number changes no result. There
    are gradients of all tensors, once; they have none of their own.

    Args:
        x: Features `(tokens, F)`.
        weights: Their weights `(tokens, F)`.
        projection: `(F * c, hidden_size)`.
        vectors: `(F, 6, c)`, see `vsn_kernels.weighted_parts`.
        glu_weight: `(F, c, 2c)`.

    Returns:
        `(tokens, hidden_size)`.
    """
    mixed: Tensor = _Mix.apply(x, weights, projection, vectors, glu_weight)  # type: ignore[no-untyped-call]
    return mixed


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weights: Tensor, projection: Tensor, vectors: Tensor, glu_weight: Tensor) -> Tensor:
        networks = vectors.contiguous(), glu_weight.contiguous()
        mixed = x.new_empty(len(x), projection.size(1))
        with _workers() as workers:
            for rows in _blocks(len(x)):
                columns = _columns(x[rows]), _columns(weights[rows])
                parts = _wide(columns[0], glu_weight)
                shared_out(vsn_numba.forward, (*columns, *networks, parts), workers=workers)
                mixed[rows] = (projection.t() @ parts.flatten(0, 1)).t()
        return mixed

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        return in_turn(mix, info.batch_size, places, inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, projection, vectors, glu_weight = ctx.saved_tensors
        of_x = ctx.needs_input_grad[0]
        networks = vectors.contiguous(), glu_weight.contiguous()
        sums = torch.zeros_like(networks[0]), torch.zeros_like(networks[1])
        dx, dweights, dprojection = torch.empty_like(x), torch.empty_like(weights), torch.zeros_like(projection)
        with _workers() as workers:
            for rows in _blocks(len(x)):
                columns = _columns(x[rows]), _columns(weights[rows])
                parts, dparts = _wide(columns[0], glu_weight), _wide(columns[0], glu_weight)
                torch.mm(projection, gradient[rows].t(), out=dparts.flatten(0, 1))
                of_columns = torch.empty_like(columns[0]), torch.empty_like(columns[1])
                given = (*columns, *networks, parts, dparts, *of_columns, *sums)
                shared_out(vsn_numba.backward, given, of_x, workers=workers)
                dprojection.addmm_(parts.flatten(0, 1), gradient[rows])
                dx[rows], dweights[rows] = (each.t() for each in of_columns)
        return dx if of_x else None, dweights, dprojection, *sums


def _blocks(tokens: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, tokens, BLOCK)]


def _columns(rows: Tensor) -> Tensor:
    return rows.t().contiguous()


def _wide(columns: Tensor, glu_weight: Tensor) -> Tensor:
    features, tokens = columns.shape
    return columns.new_empty(features, glu_weight.size(1), tokens)


def _workers() -> AbstractContextManager[Executor | None]:
    return ThreadPoolExecutor(torch.get_num_threads()) if torch.get_num_threads() > 1 else nullcontext()
