"""The graph network over stocks: what the neighbours say, how a stock differs from them, and the attention paid."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.utils import scatter

from gogooku_kedro.model.convolution import (
    EPSILON,
    AttentionDiffusion,
    NeighbourSum,
    graph_convolution,
    in_degree,
    with_padding_node,
)
from gogooku_kedro.model.dropout import random_like, uniform
from gogooku_kedro.model.learned_graph import ATTRIBUTES as LEARNED_ATTRIBUTES
from gogooku_kedro.model.learned_graph import LearnedGraph


class GraphAttention(NamedTuple):
    """Attention of one forward pass, before any dropout of its own.

    Edges that were dropped, and the filling of a list of constant length, are self loops of the padding node,
    which stands behind the stocks of the last session; what is said of attention is said of the other edges.

    Attributes:
        edge_index: `(2, E)`, row 0 the source (neighbour), row 1 the destination; those of the market, then
            those of a learned graph.
        alpha: `(E, layers * heads)`, layer by layer; in each column the weights of a destination's incoming
            edges sum to 1.
        gate: `(E,)` in (0, 1), the learned gate of each edge; 1 where the network has none.
        sign: `(E,)`, -1 where source and destination move against each other, else 1.
        is_self: `(E,)` bool, True for self loops, the padding node's among them.
        similarity_penalty: Scalar, regulariser of the learned graph; 0 without one.
    """

    edge_index: Tensor
    alpha: Tensor
    gate: Tensor
    sign: Tensor
    is_self: Tensor
    similarity_penalty: Tensor


class EdgeScale(nn.Module):
    r"""Standardise the measured edge attributes, :math:`(e - \mu)/\sigma`, by those of the training edges.

    The correlations of a graph's edges differ by less than a tenth, and weights are drawn for inputs that
    differ by one: as they come, attention needs many epochs until it tells a strong edge from a weak one.
    Mean and standard deviation are those of the edges between different stocks. Attributes that are only 0
    or 1 stay as they are, and so does everything before `fit`. A self loop is no measurement: its
    measured attributes are 0.

    Args:
        edge_dim: Number of edge attributes `A`.

    Shapes:
        - **edge_attr**: `(E, A + ...)`, further columns are passed on
        - **is_self**: `(E,)` bool
        - **output**: as `edge_attr`
    """

    mean: Tensor
    deviation: Tensor
    measured: Tensor

    def __init__(self, edge_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(edge_dim))
        self.register_buffer("deviation", torch.ones(edge_dim))
        self.register_buffer("measured", torch.zeros(edge_dim, dtype=torch.bool))

    def fit(self, edge_index: Tensor, edge_attr: Tensor) -> None:
        """Take the scales of the training sessions' edges; they travel with the weights.

        Args:
            edge_index: `(2, E)` stocks; edges of later sessions must not be among them.
            edge_attr: `(E, A)`.
        """
        between = edge_attr[edge_index[0] != edge_index[1]]
        if not len(between):
            return
        deviation = between.std(dim=0, correction=0)
        self.measured.copy_(((between != 0) & (between != 1)).any(dim=0) & (deviation > 0))
        self.mean.copy_(torch.where(self.measured, between.mean(dim=0), 0.0))
        self.deviation.copy_(torch.where(self.measured, deviation, 1.0))

    def forward(self, edge_attr: Tensor, is_self: Tensor) -> Tensor:
        """Return the scaled attributes."""
        own, further = edge_attr.split([len(self.mean), edge_attr.size(1) - len(self.mean)], dim=1)
        scaled = (own - self.mean) / self.deviation
        scaled = scaled.masked_fill(is_self.unsqueeze(-1) & self.measured, 0.0)
        return torch.cat([scaled, further], dim=1)


class GraphLayer(nn.Module):
    r"""A convolution with a difference channel and diffusion as asked for.

    .. math::
        m_i = \mathrm{diffuse}(\mathrm{conv}(h))_i + W_d \Big(h_i -
        \sum_j \bar\alpha_{ij}\, w_{ij}\, h_j\Big)

    with :math:`\bar\alpha` the layer's attention, averaged over heads, and :math:`w_{ij}` the signed gate of
    the edge: the sign reaches the message, and the difference from the neighbours is a channel of its own.

    Args:
        conv: `gat`, `gatv2`, `sage`, `gin` or `transformer`.
        hidden_size: Width of the states; `heads` must divide it.
        heads: Attention heads.
        edge_dim: Number of edge attributes.
        difference: Whether the difference channel is built.
        diffusion: How messages spread over several hops, None for one hop.

    Shapes:
        - **h**: `(D * N, hidden_size)`
        - **edge_index**, **edge_attr**, **weight**: `(2, E)`, `(E, edge_dim)`, `(E,)`
        - **output**: message `(D * N, hidden_size)` and attention `(E, heads)`
    """

    def __init__(
        self,
        conv: str,
        hidden_size: int,
        heads: int,
        edge_dim: int,
        difference: bool,
        diffusion: AttentionDiffusion | None,
    ) -> None:
        super().__init__()
        self.conv = graph_convolution(conv, hidden_size, heads, edge_dim)
        self.difference = nn.Linear(hidden_size, hidden_size, bias=False) if difference else None
        self.neighbours = NeighbourSum() if difference else None
        self.diffusion = diffusion

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the message each stock receives and the attention that weighed it."""
        message, alpha = self.conv(h, edge_index, edge_attr)
        if self.diffusion is not None:
            message = self.diffusion(message, edge_index, alpha)
        if self.difference is not None and self.neighbours is not None:
            neighbours = self.neighbours(h, edge_index, alpha.mean(dim=1) * weight)
            message = message + self.difference(h - neighbours)
        return message, alpha


class GraphBlock(nn.Module):
    r"""One to three graph layers over the stocks of each session.

    Between two layers the message joins the states, :math:`h' = \mathrm{LayerNorm}(h + \mathrm{ELU}(m))`;
    the message of the last layer is handed on. All layers share one learned gate of the edges,
    :math:`g_{ij} = \mathrm{sigmoid}(\mathrm{MLP}(e_{ij}))`. Self loops belong to the graph, no layer adds
    any. Edges are dropped once, *before* attention is computed, so the weights of a destination always sum
    to 1. A dropped edge becomes a self loop of the padding node `D * N`, as do the edges that fill a list up to
    a constant length: shapes do not depend on the numbers. Everything is computed in float32, under autocast too,
    because bfloat16 is too coarse for a softmax over edges.

    Args:
        conv: Convolution of the layers, see `graph_convolution`.
        hidden_size: Width of the stock states; `heads` must divide it.
        layers: Number of layers.
        heads: Attention heads of each.
        edge_attributes: Names of the columns of `edge_attr`; for the sign of an edge see `edge_sign`.
        edge_dropout: Share of edges (self loops excepted) dropped in training.
        gated: Whether the gate is built; one that nothing reads would have no gradient.
        difference: Whether the layers have a difference channel.
        diffusion: How messages spread over several hops, None for one hop.
        learned: Finds edges by the similarity of states, None for the edges of the graph alone.

    Shapes:
        - **h**: `(D, N, hidden_size)`
        - **present**: `(D, N)` bool
        - **edge_index**: `(2, E)` between nodes `day * N + stock`, row 0 = source; `D * N` is the padding node
        - **edge_attr**: `(E, len(edge_attributes))`
        - **output**: message `(D, N, hidden_size)` and `GraphAttention`
    """

    def __init__(
        self,
        conv: str,
        hidden_size: int,
        layers: int,
        heads: int,
        edge_attributes: Sequence[str],
        edge_dropout: float,
        gated: bool,
        difference: bool,
        diffusion: AttentionDiffusion | None,
        learned: LearnedGraph | None,
    ) -> None:
        super().__init__()
        self.edge_attributes, self.edge_dropout = tuple(edge_attributes), edge_dropout
        self.learned, self.scale = learned, EdgeScale(len(edge_attributes))
        edge_dim = len(edge_attributes) + (len(LEARNED_ATTRIBUTES) if learned is not None else 0)
        self.layers = nn.ModuleList(
            GraphLayer(conv, hidden_size, heads, edge_dim, difference, diffusion) for _ in range(layers)
        )
        self.between = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(layers - 1))
        width = hidden_size // heads
        self.edge_gate = nn.Sequential(nn.Linear(edge_dim, width), nn.ELU(), nn.Linear(width, 1)) if gated else None

    def forward(
        self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, GraphAttention]:
        """Return the message each stock receives and the attention that weighed it."""
        with torch.autocast(h.device.type, enabled=False):
            return self._messages(h.to(torch.promote_types(h.dtype, torch.float32)), present, edge_index, edge_attr)

    def _messages(
        self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, GraphAttention]:
        penalty = h.new_zeros(())
        if self.learned is not None:
            edge_index, edge_attr, penalty = self.learned(h, present, edge_index, edge_attr)
        edge_index, edge_attr = self._drop(edge_index, edge_attr, padding=present.numel())
        sign = edge_sign(edge_attr, self.edge_attributes)
        is_self = edge_index[0] == edge_index[1]
        edge_attr = self.scale(edge_attr, is_self)
        gate = torch.ones_like(sign)
        if self.edge_gate is not None:
            gate = torch.sigmoid(self.edge_gate(edge_attr)).squeeze(-1)  # (E,)

        state, alphas = with_padding_node(h.flatten(0, 1)), []
        for depth, layer in enumerate(self.layers):
            message, alpha = layer(state, edge_index, edge_attr, gate * sign)
            alphas.append(alpha)
            if depth < len(self.between):
                state = self.between[depth](state + F.elu(message))
        attention = GraphAttention(edge_index, torch.cat(alphas, dim=1), gate, sign, is_self, penalty)
        return message[:-1].unflatten(0, present.shape), attention

    def _drop(self, edge_index: Tensor, edge_attr: Tensor, padding: int) -> tuple[Tensor, Tensor]:
        if not self.training or self.edge_dropout == 0:
            return edge_index, edge_attr
        is_self = edge_index[0] == edge_index[1]
        kept = is_self | (random_like(is_self, uniform) >= self.edge_dropout)
        return torch.where(kept, edge_index, padding), torch.where(kept.unsqueeze(-1), edge_attr, 0.0)


def edge_sign(edge_attr: Tensor, attributes: Sequence[str]) -> Tensor:
    """Whether the two stocks of an edge move together (1) or against each other (-1).

    The sign is that of `correlation`, 1 without it. An edge that is there for its lead alone has the
    sign of `lead_correlation`, if the attributes `is_lead_lag`, `is_correlation` and
    `lead_correlation` are there to tell.

    Args:
        edge_attr: `(E, A)`, further columns are not read.
        attributes: Names of the first columns.

    Returns:
        `(E,)`.
    """
    column = {name: edge_attr[:, position] for position, name in enumerate(attributes)}
    correlation = column.get("correlation", torch.ones_like(edge_attr[:, 0]))
    if {"is_lead_lag", "is_correlation", "lead_correlation"} <= column.keys():
        lead_only = (column["is_lead_lag"] > 0) & (column["is_correlation"] == 0)
        if "is_sector_nearest" in column:
            lead_only &= column["is_sector_nearest"] == 0
        correlation = torch.where(lead_only, column["lead_correlation"], correlation)
    return torch.where(correlation < 0, -1.0, 1.0)


class AttentionEntropy(NamedTuple):
    r"""Entropy of each destination's attention over its incoming edges, the self loop among them.

    Attributes:
        entropy: `(N, layers * heads)` in float32, :math:`-\sum_j \alpha_{ij}\ln\alpha_{ij}`.
        degree: `(N,)` incoming edges.
    """

    entropy: Tensor
    degree: Tensor

    @classmethod
    def of(cls, attention: GraphAttention, n_nodes: int) -> "AttentionEntropy":
        """Entropy of attention before dropout over `n_nodes` nodes, without the padding node."""
        alpha = attention.alpha.float()
        surprise = -alpha * (alpha + EPSILON).log()
        entropy = scatter(surprise, attention.edge_index[1], dim=0, dim_size=n_nodes + 1)
        return cls(entropy[:-1], in_degree(attention.edge_index, n_nodes + 1)[:-1])

    def detach(self) -> "AttentionEntropy":
        """Return the same without gradient."""
        return self._replace(entropy=self.entropy.detach())

    def normalised(self) -> Tensor:
        r"""Divide by `ln(degree)`.

        :math:`E_{ih} = -\sum_j \alpha_{ij}\ln\alpha_{ij} / \ln d_i` lies in [0, 1]: 1 = uniform. Only
        destinations with at least two incoming edges have one; the others have NaN.
        """
        return self._of_several(self.entropy / self.degree.clamp_min(2).log().unsqueeze(-1))

    def effective_neighbours(self) -> Tensor:
        r"""Number of equally weighed neighbours with the same entropy.

        :math:`\exp(-\sum_j \alpha_{ij}\ln\alpha_{ij})` lies between 1 (all on one edge) and the degree (uniform); NaN
        for destinations with fewer than two incoming edges.
        """
        return self._of_several(self.entropy.exp())

    def _of_several(self, values: Tensor) -> Tensor:
        return torch.where((self.degree >= 2).unsqueeze(-1), values, torch.nan)
