"""Graph attention on a CPU in compiled loops: what stands at the ends of an edge is never copied to the edge.

The functions are those of `edge_kernels`, which writes them for CUDA; the loops are in `edge_numba`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from gogooku_kedro.model import edge_numba
from gogooku_kedro.model.loops import in_turn, shared_out


def available(states: Tensor, edge_index: Tensor) -> bool:
    """Whether the loops can run: in float32, where PyTorch's compiler does not make its own."""
    plain = edge_index.size(1) > 0 and not torch.compiler.is_compiling()
    return states.device.type == "cpu" and states.dtype == torch.float32 and plain


def edge_logits(
    left: Tensor, right: Tensor, edge_index: Tensor, edge_attr: Tensor, weight: Tensor, att: Tensor
) -> Tensor:
    """Return the logits `(E, heads)` of every edge, see `edge_kernels.edge_logits`."""
    logits: Tensor = _Logits.apply(left, right, edge_index, edge_attr, weight, att)  # type: ignore[no-untyped-call]
    return logits


def edge_softmax(logits: Tensor, edge_index: Tensor, nodes: int) -> Tensor:
    """Return the softmax `(E, heads)` over the incoming edges of every node, see `edge_kernels.edge_softmax`."""
    share: Tensor = _Softmax.apply(logits, edge_index, nodes)  # type: ignore[no-untyped-call]
    return share


def edge_sum(states: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
    """Return the sum `(N, heads * C)` over the incoming edges of every node, see `edge_kernels.edge_sum`."""
    out: Tensor = _Sum.apply(states, edge_index, weight)  # type: ignore[no-untyped-call]
    return out


class _Logits(torch.autograd.Function):
    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        return in_turn(_Logits.apply, info.batch_size, places, inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def forward(*inputs: Tensor) -> Tensor:
        left, right, edge_index, edge_attr, weight, att = inputs
        out = left.new_empty(att.size(-2), edge_index.size(1))
        _by_heads(edge_numba.logits, (*_turned(left, right, edge_index, edge_attr, weight, att), out))
        return out.t()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        left, right, edge_index, edge_attr, weight, att = ctx.saved_tensors
        needed, inputs = ctx.needs_input_grad[3], _turned(left, right, edge_index, edge_attr, weight, att)
        dleft, dright, dweight, datt = (torch.zeros_like(inputs[k]) for k in (0, 1, 5, 6))
        dattr = left.new_zeros(len(datt), *(inputs[4].shape if needed else (1, 1)))
        gradient = gradients[0].t().contiguous()
        _by_heads(edge_numba.logits_back, (*inputs, gradient, dleft, dright, dattr, dweight, datt), needed)
        of_attr = dattr.sum(dim=0).t() if needed else None
        return _nodes(dleft), _nodes(dright), None, of_attr, dweight.view_as(weight), datt.view_as(att)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        return in_turn(_Softmax.apply, info.batch_size, places, inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output, inputs[1])
        ctx.nodes = inputs[2]

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        logits, edge_index, nodes = inputs
        turned = logits.t().contiguous()
        share = torch.empty_like(turned)
        _by_heads(edge_numba.softmax, (turned, edge_index[1], share), nodes)
        return share.t()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        output, edge_index = ctx.saved_tensors
        share = output.t().contiguous()
        dlogits = torch.empty_like(share)
        gradient = gradients[0].t().contiguous()
        _by_heads(edge_numba.softmax_back, (share, edge_index[1], gradient, dlogits), ctx.nodes)
        return dlogits.t(), None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        return in_turn(_Sum.apply, info.batch_size, places, inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def forward(*inputs: Tensor) -> Tensor:
        states, edge_index, weight = inputs
        turned = _channels(states, weight.size(1))
        out = torch.zeros_like(turned)
        _by_heads(edge_numba.edge_sum, (turned, *edge_index, weight.t().contiguous(), out))
        return _nodes(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states, edge_index, weight = ctx.saved_tensors
        heads = weight.size(1)
        turned, weights, gradient = _channels(states, heads), weight.t().contiguous(), _channels(gradients[0], heads)
        dstates, dweights = torch.zeros_like(turned), torch.zeros_like(weights)
        _by_heads(edge_numba.edge_sum_back, (turned, *edge_index, weights, gradient, dstates, dweights))
        return _nodes(dstates), None, dweights.t()


def _turned(
    left: Tensor, right: Tensor, edge_index: Tensor, edge_attr: Tensor, weight: Tensor, att: Tensor
) -> tuple[Tensor, ...]:
    heads = att.size(-2)
    ends = _channels(left, heads), _channels(right, heads), *edge_index
    return *ends, edge_attr.t().contiguous(), weight.unflatten(0, (heads, -1)).contiguous(), att.view(heads, -1)


def _channels(states: Tensor, heads: int) -> Tensor:
    """`(N, heads * C)` as `(heads, C, N)`."""
    turned: Tensor = states.t().unflatten(0, (heads, -1)).contiguous()
    return turned


def _nodes(turned: Tensor) -> Tensor:
    states: Tensor = turned.flatten(0, 1).t().contiguous()
    return states


def _by_heads(loop: Callable[..., None], given: Sequence[Tensor], *more: int) -> None:
    """Run a loop in PyTorch's number of threads, each with heads of its own."""
    if min(torch.get_num_threads(), len(given[0])) == 1:
        shared_out(loop, given, *more, workers=None)
        return
    with ThreadPoolExecutor(torch.get_num_threads()) as workers:
        shared_out(loop, given, *more, workers=workers)
