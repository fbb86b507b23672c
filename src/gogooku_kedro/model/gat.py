"""The graph network over stocks: what the neighbours say, and how a stock differs from them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gogooku_kedro.model.attention import GraphAttention
from gogooku_kedro.model.convolution import graph_convolution
from gogooku_kedro.model.date_norm import DateNorm
from gogooku_kedro.model.diffusion import AttentionDiffusion
from gogooku_kedro.model.edge_scale import EdgeScale
from gogooku_kedro.model.learned_graph import ATTRIBUTES as LEARNED_ATTRIBUTES
from gogooku_kedro.model.learned_graph import LearnedGraph
from gogooku_kedro.model.peer_sum import PeerSum


class GraphLayer(nn.Module):
    r"""A convolution with a difference channel, diffusion and normalisation as asked for.

    .. math::
        m_i = \mathrm{norm}\Big(\mathrm{diffuse}(\mathrm{conv}(h))_i + W_d \big(h_i -
        \sum_j \bar\alpha_{ij}\, w_{ij}\, h_j\big)\Big)

    with :math:`\bar\alpha` the layer's attention, averaged over heads, and :math:`w_{ij}` the signed gate of
    the edge: the sign reaches the message, and "different from my peers" is a channel of its own.

    Args:
        conv: ``gat``, ``gatv2``, ``sage``, ``gin`` or ``transformer``.
        hidden_size: Width of the states; ``heads`` must divide it.
        heads: Attention heads.
        edge_dim: Number of edge attributes.
        difference: Whether the difference channel is built.
        date_norm: Whether the message is normalised over the stocks of each date.
        diffusion: How messages spread over several hops, None for one hop.

    Shapes:
        - **h**: ``(D * N, hidden_size)``
        - **present**: ``(D, N)`` bool
        - **edge_index**, **edge_attr**, **weight**: ``(2, E)``, ``(E, edge_dim)``, ``(E,)``
        - **output**: message ``(D * N, hidden_size)`` and attention ``(E, heads)``
    """

    def __init__(
        self,
        conv: str,
        hidden_size: int,
        heads: int,
        edge_dim: int,
        difference: bool,
        date_norm: bool,
        diffusion: AttentionDiffusion | None,
    ) -> None:
        super().__init__()
        # A norm over the stocks would take a bias out again and leave it without a gradient.
        self.conv = graph_convolution(conv, hidden_size, heads, edge_dim, bias=not date_norm)
        self.difference = nn.Linear(hidden_size, hidden_size, bias=False) if difference else None
        self.peers = PeerSum() if difference else None
        self.norm = DateNorm(hidden_size) if date_norm else None
        self.diffusion = diffusion

    def forward(
        self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the message each stock receives and the attention that weighed it."""
        message, alpha = self.conv(h, edge_index, edge_attr)
        if self.diffusion is not None:
            message = self.diffusion(message, edge_index, alpha)
        if self.difference is not None and self.peers is not None:
            peers = self.peers(h, edge_index, alpha.mean(dim=1) * weight)
            message = message + self.difference(h - peers)
        if self.norm is not None:
            message = self.norm(message.unflatten(0, present.shape), present).flatten(0, 1)
        return message, alpha


class GraphBlock(nn.Module):
    r"""One to three graph layers over the stocks of each day.

    Between two layers the message joins the states, :math:`h' = \mathrm{LayerNorm}(h + \mathrm{ELU}(m))`;
    the message of the last layer is handed on. All layers share one learned gate of the edges,
    :math:`g_{ij} = \mathrm{sigmoid}(\mathrm{MLP}(e_{ij}))`. Self loops belong to the graph, no layer adds
    any. Edges are dropped once, *before* attention is computed, so the weights of a destination always sum
    to 1. Everything is computed in float32, under autocast too: a softmax over edges is no place to save.

    Args:
        conv: Convolution of the layers, see :func:`~gogooku_kedro.model.convolution.graph_convolution`.
        hidden_size: Width of the stock states; ``heads`` must divide it.
        layers: Number of layers.
        heads: Attention heads of each.
        edge_attributes: Names of the columns of ``edge_attr``; for the sign of an edge see :func:`edge_sign`.
        edge_dropout: Share of edges (self loops excepted) dropped in training.
        gated: Whether the gate is built; one that nothing reads would have no gradient.
        difference: Whether the layers have a difference channel.
        date_norm: Whether messages are normalised over the stocks of each date.
        diffusion: How messages spread over several hops, None for one hop.
        learned: Finds edges by the similarity of states, None for the edges of the graph alone.

    Shapes:
        - **h**: ``(D, N, hidden_size)``
        - **present**: ``(D, N)`` bool
        - **edge_index**: ``(2, E)`` between nodes ``day * N + stock``, row 0 = source
        - **edge_attr**: ``(E, len(edge_attributes))``
        - **output**: message ``(D, N, hidden_size)`` and :class:`GraphAttention`
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
        date_norm: bool,
        diffusion: AttentionDiffusion | None,
        learned: LearnedGraph | None,
    ) -> None:
        super().__init__()
        self.edge_attributes, self.edge_dropout = tuple(edge_attributes), edge_dropout
        self.learned, self.scale = learned, EdgeScale(len(edge_attributes))
        edge_dim = len(edge_attributes) + (len(LEARNED_ATTRIBUTES) if learned is not None else 0)
        self.layers = nn.ModuleList(
            GraphLayer(conv, hidden_size, heads, edge_dim, difference, date_norm, diffusion) for _ in range(layers)
        )
        self.between = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(layers - 1))
        width = hidden_size // heads
        self.edge_gate = nn.Sequential(nn.Linear(edge_dim, width), nn.ELU(), nn.Linear(width, 1)) if gated else None

    def forward(
        self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, GraphAttention]:
        """Return the message each stock receives and the attention that weighed it."""
        with torch.autocast(h.device.type, enabled=False):
            return self._hear(h.float(), present, edge_index, edge_attr)

    def _hear(self, h: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, GraphAttention]:
        penalty = h.new_zeros(())
        if self.learned is not None:
            edge_index, edge_attr, penalty = self.learned(h, present, edge_index, edge_attr)
        edge_index, edge_attr = self._drop(edge_index, edge_attr)
        sign = edge_sign(edge_attr, self.edge_attributes)
        is_self = edge_index[0] == edge_index[1]
        edge_attr = self.scale(edge_attr, is_self)
        gate = torch.ones_like(sign)
        if self.edge_gate is not None:
            gate = torch.sigmoid(self.edge_gate(edge_attr)).squeeze(-1)  # (E,)

        state, alphas = h.flatten(0, 1), []
        for depth, layer in enumerate(self.layers):
            message, alpha = layer(state, present, edge_index, edge_attr, gate * sign)
            alphas.append(alpha)
            if depth < len(self.between):
                state = self.between[depth](state + F.elu(message))
        attention = GraphAttention(edge_index, torch.cat(alphas, dim=1), gate, sign, is_self, penalty)
        return message.unflatten(0, present.shape), attention

    def _drop(self, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training or self.edge_dropout == 0:
            return edge_index, edge_attr
        is_self = edge_index[0] == edge_index[1]
        kept = is_self | (torch.rand(is_self.shape, device=is_self.device) >= self.edge_dropout)
        return edge_index[:, kept], edge_attr[kept]


def edge_sign(edge_attr: Tensor, attributes: Sequence[str]) -> Tensor:
    """Whether the two stocks of an edge move together (1) or against each other (-1).

    The sign is that of ``correlation``, 1 without it. An edge that is there for its lead alone has the
    sign of ``lead_correlation``, if the attributes ``is_lead_lag``, ``is_correlation`` and
    ``lead_correlation`` are there to tell.

    Args:
        edge_attr: ``(E, A)``, further columns are not read.
        attributes: Names of the first columns.

    Returns:
        ``(E,)``.
    """
    column = {name: edge_attr[:, position] for position, name in enumerate(attributes)}
    correlation = column.get("correlation", torch.ones_like(edge_attr[:, 0]))
    if {"is_lead_lag", "is_correlation", "lead_correlation"} <= column.keys():
        lead_only = (column["is_lead_lag"] > 0) & (column["is_correlation"] == 0)
        if "is_sector_nearest" in column:
            lead_only &= column["is_sector_nearest"] == 0
        correlation = torch.where(lead_only, column["lead_correlation"], correlation)
    return torch.where(correlation < 0, -1.0, 1.0)
