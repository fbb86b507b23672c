"""Graph attention over stocks: what the neighbours say, how a stock differs from them, how to neutralise."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv
from torch_geometric.utils import scatter

EPSILON = 1e-12


class GraphAttention(NamedTuple):
    """Attention of one forward pass, before any dropout.

    Attributes:
        edge_index: ``(2, E)``, row 0 the source (neighbour), row 1 the destination.
        alpha: ``(E, H)``; per head the weights of a destination's incoming edges sum to 1.
        gate: ``(E,)`` in (0, 1), the learned gate of each edge.
        is_self: ``(E,)`` bool, True for self loops.
    """

    edge_index: Tensor
    alpha: Tensor
    gate: Tensor
    is_self: Tensor


class GraphBlock(nn.Module):
    r"""GATv2 with a difference channel and gated edges.

    .. math::
        z_i = \mathrm{GATv2}(h)_i + W_d \Big(h_i - \sum_j \bar\alpha_{ij}\, g_{ij}\,
        \mathrm{sign}(\rho_{ij})\, h_j\Big)

    with :math:`\bar\alpha` the mean attention over heads,
    :math:`g_{ij} = \mathrm{sigmoid}(\mathrm{MLP}(e_{ij}))` a learned gate and
    :math:`\rho_{ij}` the correlation: the sign reaches the message, and "different from my peers" is a
    channel of its own. GATv2 is Brody et al., "How Attentive are Graph Attention Networks?"
    (2022), as implemented in PyG. Self loops belong to the graph, the layer adds none. Edges are dropped
    *before* attention is computed, so the weights of a destination always sum to 1.

    Args:
        hidden_size: Width of the stock states; ``heads`` must divide it.
        heads: Attention heads.
        edge_dim: Number of edge attributes.
        sign_channel: Position of the signed correlation among them, None for an unsigned graph.
        edge_dropout: Share of edges (self loops excepted) dropped in training.

    Shapes:
        - **h**: ``(N, hidden_size)``
        - **edge_index**: ``(2, E)``
        - **edge_attr**: ``(E, edge_dim)``
        - **output**: ``(N, hidden_size)`` and :class:`GraphAttention`
    """

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        edge_dim: int,
        sign_channel: int | None,
        edge_dropout: float,
    ) -> None:
        super().__init__()
        self.sign_channel, self.edge_dropout = sign_channel, edge_dropout
        self.conv = GATv2Conv(
            hidden_size,
            hidden_size // heads,
            heads=heads,
            edge_dim=edge_dim,
            add_self_loops=False,
        )
        self.edge_gate = nn.Sequential(
            nn.Linear(edge_dim, hidden_size // heads),
            nn.ELU(),
            nn.Linear(hidden_size // heads, 1),
        )
        self.difference = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, GraphAttention]:
        """Return the message each stock receives and the attention that weighed it."""
        is_self = edge_index[0] == edge_index[1]
        if self.training and self.edge_dropout > 0:
            dropped = torch.rand(is_self.shape, device=h.device) < self.edge_dropout
            kept = is_self | ~dropped
            edge_index, edge_attr, is_self = edge_index[:, kept], edge_attr[kept], is_self[kept]

        message, (_, alpha) = self.conv(h, edge_index, edge_attr, return_attention_weights=True)
        gate = torch.sigmoid(self.edge_gate(edge_attr)).squeeze(-1)  # (E,)
        weight = alpha.mean(dim=1) * gate * self._sign(edge_attr)
        source, target = edge_index
        peers = scatter(weight.unsqueeze(-1) * h[source], target, dim=0, dim_size=h.size(0))
        attention = GraphAttention(edge_index, alpha, gate, is_self)
        return message + self.difference(h - peers), attention

    def _sign(self, edge_attr: Tensor) -> Tensor:
        if self.sign_channel is None:
            return torch.ones_like(edge_attr[:, 0])
        return torch.where(edge_attr[:, self.sign_channel] < 0, -1.0, 1.0).to(edge_attr.dtype)


class PeerNeutralisation(nn.Module):
    r"""Take a learned share of the peers' score out of a stock's score.

    :math:`s_i - \mathrm{sigmoid}(\lambda_q) \sum_{j \ne i} p_{ij} s_j` with :math:`p` the gated mean
    attention over the neighbours, normalised to sum to 1, and one :math:`\lambda` per horizon that starts
    at 0 (half of the peers' score). A stock without neighbours keeps its score.

    Args:
        horizons: Number of horizons.

    Shapes:
        - **score**: ``(N, horizons)``
        - **output**: ``(N, horizons)``
    """

    def __init__(self, horizons: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(horizons))

    def forward(self, score: Tensor, attention: GraphAttention) -> Tensor:
        """Return the scores, less a share of their neighbours' scores."""
        source, target = attention.edge_index
        weight = attention.alpha.mean(dim=1) * attention.gate * ~attention.is_self
        total = scatter(weight, target, dim=0, dim_size=score.size(0))
        share = (weight / (total[target] + EPSILON)).unsqueeze(-1)  # (E, 1)
        peers: Tensor = scatter(share * score[source], target, dim=0, dim_size=score.size(0))
        return score - torch.sigmoid(self.strength) * peers


def normalised_entropy(attention: GraphAttention, n_nodes: int) -> Tensor:
    r"""Entropy of a destination's attention over its incoming edges, divided by ``ln(degree)``.

    :math:`E_{ih} = -\sum_j \alpha_{ij}\ln\alpha_{ij} / \ln d_i` lies in [0, 1]: 1 = uniform. Only
    destinations with at least two incoming edges (the self loop counts) have one.

    Args:
        attention: Attention before dropout.
        n_nodes: Number of nodes ``N``.

    Returns:
        ``(M, H)`` in float32, for the ``M`` destinations with two or more incoming edges.
    """
    target = attention.edge_index[1]
    alpha = attention.alpha.float()
    entropy: Tensor = scatter(-alpha * (alpha + EPSILON).log(), target, dim=0, dim_size=n_nodes)
    degree: Tensor = scatter(torch.ones_like(alpha[:, 0]), target, dim=0, dim_size=n_nodes)
    several = degree >= 2
    return entropy[several] / degree[several].log().unsqueeze(-1)
