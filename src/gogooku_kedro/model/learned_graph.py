"""A graph learned from the states of the stocks, joined to the graph of the market."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.utils import scatter

from gogooku_kedro.model.convolution import EPSILON, with_padding_node

ATTRIBUTES = ("similarity", "is_learned")
"""Edge attributes that `LearnedGraph` appends, in this order."""

BLOCK_ELEMENTS = 2**24
"""Numbers of the states of edges that are in memory at once: 64 MiB of float32 for either end."""


class LearnedGraph(nn.Module):
    r"""Edges from the `k` present stocks of the same date whose state is most similar to a stock's own.

    The similarity of two states is their mean cosine from several learned perspectives,

    .. math:: s_{ij} = \frac1P \sum_p \cos(w_p \odot h_i,\; w_p \odot h_j),

    from Chen et al., "Iterative Deep Graph Learning for Graph Neural Networks" (IDGL, 2020). It depends on
    the states alone, so a stock listed yesterday has neighbours too. The `k` are chosen without a gradient;
    the similarity itself is an attribute of *every* edge, old and new, and that is how the task trains the
    perspectives. A pick that is an edge already is marked and not doubled; on a new edge the attributes
    of the market's graph are 0. Training and evaluation run the same code.

    The regulariser is IDGL's, in means instead of sums, so that its size depends neither on the number of
    stocks nor on their degree. Over the edges between different stocks, with :math:`a_{ij} = (1 + s_{ij})/2`,

    .. math::
        \underbrace{\tfrac{1}{2d}\, \mathrm{mean}_{ij}\, a_{ij} \lVert h_i - h_j \rVert^2}_{\text{smooth}}
        \; - \; \underbrace{\mathrm{mean}_i \ln \mathrm{mean}_j\, a_{ij}}_{\text{connected}}
        \; + \; \underbrace{\mathrm{mean}_{ij}\, a_{ij}^2}_{\text{sparse}}.

    It trains the perspectives alone and takes the states as they are: similarity is to follow the states,
    and a penalty on the states themselves would make the stocks alike.

    A pick that there is not (an absent stock's, or one that is an edge already) is a self loop of the padding node
    `D * N`: the number of edges depends on `k` and the number of edges given alone.

    To choose, the similarities of one date are a dense `(N, N)` product, made date by date and not kept: at
    no time is there more than one of them in memory.

    Args:
        hidden_size: Width of the states.
        k: Sources picked for each stock.
        perspectives: Number of perspectives `P`.

    Shapes:
        - **h**: `(D, N, hidden_size)`
        - **present**: `(D, N)` bool; an absent stock is nobody's neighbour and picks none
        - **edge_index**: `(2, E)` between nodes `day * N + stock`; `D * N` is the padding node
        - **edge_attr**: `(E, A)`
        - **output**: edges `(2, E + D * N * min(k, N - 1))` and their attributes, `A + 2` of each, the old edges
          first and in their order, and the regulariser, a scalar
    """

    def __init__(self, hidden_size: int, k: int, perspectives: int) -> None:
        super().__init__()
        self.k = k
        self.perspective = nn.Parameter(torch.empty(perspectives, hidden_size).uniform_(0.5, 1.5))

    def forward(
        self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the joined edges, their attributes and the regulariser."""
        views, padding = self._views(h), present.numel()
        picks = _nearest(views.detach(), present, self.k)
        old, picked = (target * (padding + 1) + source for source, target in (edge_index, picks))
        new = torch.where(_among(picked, old), padding, picks)
        joined = torch.cat([edge_index, new], dim=1)
        similarity = edge_products(views, joined)

        others = F.pad(edge_attr, (0, 0, 0, new.size(1)))
        is_learned = torch.cat([_among(old, picked), torch.ones_like(picked, dtype=torch.bool)])
        is_learned &= joined[1] < padding
        attributes = torch.stack([similarity, is_learned.to(similarity.dtype)], dim=-1)
        of_fixed_states = edge_products(self._views(h.detach()), joined)
        penalty = similarity_penalty(of_fixed_states, h.detach(), joined)
        return joined, torch.cat([others, attributes], dim=-1), penalty

    def _views(self, h: Tensor) -> Tensor:
        # (D, N, P * d); the product of two is the mean cosine of the states.
        views: Tensor = F.normalize(h.unsqueeze(-2) * self.perspective, dim=-1)
        return views.flatten(2) / math.sqrt(self.perspective.size(0))


def similarity_penalty(similarity: Tensor, h: Tensor, edge_index: Tensor) -> Tensor:
    """Regulariser of the learned graph, see `LearnedGraph`; 0 without an edge between two stocks.

    Args:
        similarity: `(E,)` in [-1, 1].
        h: `(D, N, d)` states.
        edge_index: `(2, E)`.
    """
    source, target = edge_index
    between = (source != target).to(h.dtype)
    edges, weight = between.sum().clamp_min(1), between * (1 + similarity) / 2
    norm = with_padding_node(h.square().mean(dim=-1).flatten().unsqueeze(-1)).squeeze(-1)
    distance = norm[source] + norm[target] - 2 * edge_products(h, edge_index) / h.size(-1)  # per channel
    smooth = (weight * distance.clamp_min(0)).sum() / edges / 2
    degree, strength = (scatter(w, target, dim=0, dim_size=norm.size(0)) for w in (between, weight))
    mean = torch.where(degree > 0, strength / degree.clamp_min(1) + EPSILON, 1.0)
    connected = -mean.log().sum() / (degree > 0).sum().clamp_min(1)
    penalty: Tensor = smooth + connected + weight.square().sum() / edges
    return penalty


class EdgeProducts(torch.autograd.Function):
    """Inner product of the states at both ends of every edge, without keeping copies of them.

    Written out, `(states[source] * states[target]).sum(-1)` keeps two states per edge until the backward
    pass: 10 GB for 8 dates of 4,000 stocks with 40 edges, in 4 perspectives of width 256. Here the edges are
    taken in blocks, and what is kept are the states themselves.

    Shapes:
        - **states**: `(M, C)`
        - **edge_index**: `(2, E)`
        - **output**: `(E,)`
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(states: Tensor, edge_index: Tensor) -> Tensor:
        """Return the products."""
        blocks = edge_index.split(_block(states), dim=1)
        return torch.cat([(states[source] * states[target]).sum(dim=-1) for source, target in blocks])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep the states and the edges."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Each end receives the state of the other."""
        states, edge_index = ctx.saved_tensors
        gradient, size = torch.zeros_like(states), _block(states)
        blocks = zip(edge_index.split(size, dim=1), gradients[0].split(size), strict=True)
        for (source, target), weight in blocks:
            gradient.index_add_(0, source, weight.unsqueeze(-1) * states[target])
            gradient.index_add_(0, target, weight.unsqueeze(-1) * states[source])
        return gradient, None


def edge_products(states: Tensor, edge_index: Tensor) -> Tensor:
    """Inner products `(E,)` of the states `(D, N, C)` at both ends of the edges; 0 at the padding node."""
    products: Tensor = EdgeProducts.apply(with_padding_node(states.flatten(0, 1)), edge_index)  # type: ignore[no-untyped-call]
    return products


def _block(states: Tensor) -> int:
    return max(1, BLOCK_ELEMENTS // states.size(-1))


def _nearest(views: Tensor, present: Tensor, k: int) -> Tensor:
    days, stocks, _ = views.shape
    stock = torch.arange(stocks, device=views.device).unsqueeze(1)
    picks = []
    for day in range(days):
        similarity = views[day] @ views[day].T
        possible = present[day] & (stock != stock.T)
        highest, source = similarity.masked_fill(~possible, -torch.inf).topk(min(k, stocks - 1), dim=1)  # (N, k)
        chosen = highest.isfinite() & present[day].unsqueeze(1)
        ends = torch.stack([source, stock.expand_as(source)]) + day * stocks
        picks.append(torch.where(chosen, ends, days * stocks).flatten(1))
    return torch.cat(picks, dim=1)


def _among(keys: Tensor, others: Tensor) -> Tensor:
    """Whether each key is one of the others; unlike `torch.isin` without a size that depends on the numbers."""
    ordered = others.sort().values
    place = torch.searchsorted(ordered, keys.contiguous())
    return F.pad(ordered, (0, 1), value=-1)[place] == keys
