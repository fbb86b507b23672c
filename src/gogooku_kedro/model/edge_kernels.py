# mypy: disable-error-code="import-not-found, untyped-decorator, no-untyped-def"
r"""Kernels of graph attention for CUDA: what stands at the ends of an edge meets in registers.

Written with PyTorch's operators, the attention of Brody et al. (2022) moves the states of both ends of every edge some
thirty times through memory, forward and backward. Here an edge reads them from the states of the stocks, which the
cache holds, and writes one number a head. They are written in Triton, which comes with PyTorch on Linux; elsewhere the
module imports and `available` says no.
"""

from typing import Any

import torch
from torch import Tensor

from gogooku_kedro.model.dropout import stacked
from gogooku_kedro.model.triton_trial import triton_works

try:
    import triton
    import triton.language as tl
except ImportError:  # no CUDA build of PyTorch
    triton = None

EDGES = 16
"""Edges worked on at a time."""

PROGRAMS = 1056
"""Programs that add up the gradients of weights, 8 for each multiprocessor of an H100."""

ATTRIBUTES = 16
"""Most attributes of an edge, the least side of a matrix product."""

SLOPE = 0.2
"""Of LeakyReLU for negative values, as it is written in the kernels."""


def available(states: Tensor, edge_index: Tensor, heads: int, attributes: int = 0) -> bool:
    """Whether the kernels can run for states `(N, heads * C)` and edges with so many attributes."""
    width = states.size(-1)
    fits = width & (width - 1) == 0 and width % heads == 0 and 16 <= width <= 1024 and attributes <= ATTRIBUTES
    usable = triton is not None and states.device.type == "cuda" and states.dtype == torch.float32
    plain = edge_index.size(1) > 0 and not stacked() and not torch.compiler.is_compiling()
    return usable and fits and plain and triton_works()


def edge_logits(
    left: Tensor, right: Tensor, edge_index: Tensor, edge_attr: Tensor, weight: Tensor, att: Tensor
) -> Tensor:
    r"""Logits :math:`a^\top \mathrm{LeakyReLU}_{0.2}(l_j + r_i + W_e e_{ij})` of every edge from `j` to `i`.

    Args:
        left: `(N, heads * C)` of the sources.
        right: `(N, heads * C)` of the destinations.
        edge_index: `(2, E)`, row 0 = source.
        edge_attr: `(E, A)`.
        weight: :math:`W_e`, `(heads * C, A)`.
        att: :math:`a`, `(heads, C)`.

    Returns:
        `(E, heads)`.
    """
    logits: Tensor = _Logits.apply(left, right, edge_index, edge_attr, weight, att)  # type: ignore[no-untyped-call]
    return logits


def edge_softmax(logits: Tensor, edge_index: Tensor, nodes: int) -> Tensor:
    """Softmax over the incoming edges of every node, head by head.

    As `torch_geometric.utils.softmax`, which gathers with an index for every number: PyTorch's kernel for that starts a
    block for four numbers of an edge, 1.2 ms of a training step with 384,000 edges on an H100.

    Args:
        logits: `(E, heads)`.
        edge_index: `(2, E)`, row 0 = source.
        nodes: Number of nodes.

    Returns:
        `(E, heads)`.
    """
    share: Tensor = _Softmax.apply(logits, edge_index[1], nodes)  # type: ignore[no-untyped-call]
    return share


def edge_sum(states: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
    r"""Sum :math:`\sum_j w_{ij}\, x_j` over the incoming edges, head by head.

    Args:
        states: `(N, heads * C)`.
        edge_index: `(2, E)`, row 0 = source.
        weight: `(E, heads)`.

    Returns:
        `(N, heads * C)`.
    """
    out: Tensor = _Sum.apply(states, edge_index, weight)  # type: ignore[no-untyped-call]
    return out


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, nodes: int) -> Tensor:
        highest = logits.new_full((nodes, logits.size(1)), -torch.inf)
        highest.scatter_reduce_(0, target.unsqueeze(-1).expand_as(logits), logits, "amax")
        weight = (logits - highest[target]).exp_()
        total = torch.zeros_like(highest).index_add_(0, target, weight)
        share = weight.div_(total[target])
        ctx.save_for_backward(share, target)
        ctx.nodes = nodes
        return share

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        share, target = ctx.saved_tensors
        weighted = share * gradients[0]
        total = weighted.new_zeros(ctx.nodes, weighted.size(1)).index_add_(0, target, weighted)
        return torch.addcmul(weighted, share, total[target], value=-1), None, None


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        left, right, edge_index, edge_attr, weight, att = (each.detach().contiguous() for each in inputs)
        ctx.save_for_backward(left, right, edge_index, edge_attr, weight, att)
        edges, width, heads = edge_index.size(1), left.size(1), att.numel() // att.size(-1)
        logits = left.new_empty(edges, heads)
        _logits[(triton.cdiv(edges, EDGES),)](
            *(left, right, edge_index, edge_attr, weight, att, logits, edges),
            A=edge_attr.size(1), W=width, H=heads, BLOCK=EDGES,
        )  # fmt: skip
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        left, right, edge_index, edge_attr, weight, att = ctx.saved_tensors
        (edges, attributes), width, heads = edge_attr.shape, left.size(1), gradients[0].size(1)
        programs = min(PROGRAMS, triton.cdiv(edges, EDGES))
        of_left, of_right, of_attr = torch.zeros_like(left), torch.zeros_like(right), torch.empty_like(edge_attr)
        of_att, of_map = left.new_empty(programs, width), left.new_empty(programs, ATTRIBUTES, width)
        _logits_back[(programs,)](
            *(left, right, edge_index, edge_attr, weight, att, gradients[0].contiguous()),
            *(of_left, of_right, of_attr, of_att, of_map, edges),
            A=attributes, A16=ATTRIBUTES, W=width, H=heads, BLOCK=EDGES,
            NEEDED=ctx.needs_input_grad[3], TURNS=triton.cdiv(edges, programs * EDGES),
        )  # fmt: skip
        of_weight = of_map.sum(dim=0)[:attributes].t()
        return (
            of_left,
            of_right,
            None,
            of_attr if ctx.needs_input_grad[3] else None,
            of_weight,
            of_att.sum(dim=0).view_as(att),
        )


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        states, edge_index, weight = (each.detach().contiguous() for each in inputs)
        ctx.save_for_backward(states, edge_index, weight)
        out, edges = torch.zeros_like(states), edge_index.size(1)
        _sum[(triton.cdiv(edges, EDGES),)](
            states, edge_index, weight, out, edges, W=states.size(1), H=weight.size(1), BLOCK=EDGES
        )
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states, edge_index, weight = ctx.saved_tensors
        of_states, of_weight, edges = torch.zeros_like(states), torch.empty_like(weight), edge_index.size(1)
        _sum_back[(triton.cdiv(edges, EDGES),)](
            *(states, edge_index, weight, gradients[0].contiguous(), of_states, of_weight, edges),
            W=states.size(1), H=weight.size(1), BLOCK=EDGES,
        )  # fmt: skip
        return of_states, None, of_weight


if triton is not None:

    @triton.jit
    def _before(left, right, map, attr, source, target, edge, inside, column, A: tl.constexpr, W: tl.constexpr):
        both = inside[:, None]
        s = tl.load(left + source[:, None] * W + column[None, :], mask=both, other=0.0)
        s += tl.load(right + target[:, None] * W + column[None, :], mask=both, other=0.0)
        for a in tl.static_range(A):
            s += tl.load(attr + edge * A + a, mask=inside, other=0.0)[:, None] * tl.load(map + column * A + a)[None, :]
        return s

    @triton.jit
    def _logits(
        left, right, index, attr, map, att, logits, edges,
        A: tl.constexpr, W: tl.constexpr, H: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        edge, column, head = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, W), tl.arange(0, H)
        inside = edge < edges
        source, target = tl.load(index + edge, inside, 0), tl.load(index + edges + edge, inside, 0)
        s = _before(left, right, map, attr, source, target, edge, inside, column, A, W)
        product = tl.where(s > 0, s, 0.2 * s) * tl.load(att + column)[None, :]
        found = tl.sum(tl.reshape(product, (BLOCK, H, W // H)), axis=2)
        tl.store(logits + edge[:, None] * H + head[None, :], found, mask=inside[:, None])

    @triton.jit
    def _logits_back(
        left, right, index, attr, map, att, gradient, of_left, of_right, of_attr, of_att, of_map, edges,
        A: tl.constexpr, A16: tl.constexpr, W: tl.constexpr, H: tl.constexpr, BLOCK: tl.constexpr,
        NEEDED: tl.constexpr, TURNS: tl.constexpr,
    ):  # fmt: skip
        program, column, attribute = tl.program_id(0), tl.arange(0, W), tl.arange(0, A16)
        weight = tl.load(att + column)
        sum_att, sum_map = tl.zeros((W,), tl.float32), tl.zeros((A16, W), tl.float32)
        for turn in range(TURNS):
            edge = (turn * tl.num_programs(0) + program) * BLOCK + tl.arange(0, BLOCK)
            inside = edge < edges
            both = inside[:, None]
            source, target = tl.load(index + edge, inside, 0), tl.load(index + edges + edge, inside, 0)
            s = _before(left, right, map, attr, source, target, edge, inside, column, A, W)
            g = tl.load(gradient + edge[:, None] * H + (column // (W // H))[None, :], mask=both, other=0.0)
            sum_att += tl.sum(g * tl.where(s > 0, s, 0.2 * s), axis=0)
            ds = g * weight[None, :] * tl.where(s > 0, 1.0, 0.2)
            tl.atomic_add(of_left + source[:, None] * W + column[None, :], ds, mask=both, sem="relaxed")
            tl.atomic_add(of_right + target[:, None] * W + column[None, :], ds, mask=both, sem="relaxed")
            e = tl.load(
                attr + edge[None, :] * A + attribute[:, None],
                mask=inside[None, :] & (attribute < A)[:, None],
                other=0.0,
            )
            sum_map += tl.dot(e, ds, input_precision="ieee")
            if NEEDED:
                for a in tl.static_range(A):
                    part = tl.sum(ds * tl.load(map + column * A + a)[None, :], axis=1)
                    tl.store(of_attr + edge * A + a, part, mask=inside)
        tl.store(of_att + program * W + column, sum_att)
        tl.store(of_map + (program * A16 + attribute[:, None]) * W + column[None, :], sum_map)

    @triton.jit
    def _sum(states, index, weight, out, edges, W: tl.constexpr, H: tl.constexpr, BLOCK: tl.constexpr):
        edge, column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, W)
        inside = edge < edges
        both = inside[:, None]
        source, target = tl.load(index + edge, inside, 0), tl.load(index + edges + edge, inside, 0)
        w = tl.load(weight + edge[:, None] * H + (column // (W // H))[None, :], mask=both, other=0.0)
        x = tl.load(states + source[:, None] * W + column[None, :], mask=both, other=0.0)
        tl.atomic_add(out + target[:, None] * W + column[None, :], w * x, mask=both, sem="relaxed")

    @triton.jit
    def _sum_back(
        states, index, weight, gradient, of_states, of_weight, edges,
        W: tl.constexpr, H: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        edge, column, head = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, W), tl.arange(0, H)
        inside = edge < edges
        both = inside[:, None]
        source, target = tl.load(index + edge, inside, 0), tl.load(index + edges + edge, inside, 0)
        w = tl.load(weight + edge[:, None] * H + (column // (W // H))[None, :], mask=both, other=0.0)
        x = tl.load(states + source[:, None] * W + column[None, :], mask=both, other=0.0)
        g = tl.load(gradient + target[:, None] * W + column[None, :], mask=both, other=0.0)
        tl.atomic_add(of_states + source[:, None] * W + column[None, :], w * g, mask=both, sem="relaxed")
        found = tl.sum(tl.reshape(g * x, (BLOCK, H, W // H)), axis=2)
        tl.store(of_weight + edge[:, None] * H + head[None, :], found, mask=both)
