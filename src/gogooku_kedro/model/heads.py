"""Prediction heads: one score per horizon, neutralised by that of the neighbours, and quantiles that cannot cross."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.utils import scatter

from gogooku_kedro.model.convolution import EPSILON, NeighbourSum, neighbour_share, with_padding_node
from gogooku_kedro.model.gat import GraphAttention


class ScoreHead(nn.Module):
    """Linear score per horizon; a high score expects the stock to do better than the others.

    Args:
        hidden_size: Width of the stock state.
        horizons: Number of horizons.

    Shapes:
        - **h**: `(*, hidden_size)`
        - **output**: `(*, horizons)`
    """

    def __init__(self, hidden_size: int, horizons: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, horizons)

    def forward(self, h: Tensor) -> Tensor:
        """Score every stock for every horizon."""
        out: Tensor = self.linear(h)
        return out


class QuantileHead(nn.Module):
    """Quantiles of the label per horizon, increasing by construction.

    The lowest quantile is linear; every further one adds a positive step (softplus).

    Args:
        hidden_size: Width of the stock state.
        horizons: Number of horizons.
        quantiles: Number of quantile levels `Q`.

    Shapes:
        - **h**: `(*, hidden_size)`
        - **output**: `(*, horizons, Q)`, non-decreasing along the last axis
    """

    def __init__(self, hidden_size: int, horizons: int, quantiles: int) -> None:
        super().__init__()
        self.horizons = horizons
        self.linear = nn.Linear(hidden_size, horizons * quantiles)

    def forward(self, h: Tensor) -> Tensor:
        """Return the quantiles of every stock for every horizon."""
        raw = self.linear(h).unflatten(-1, (self.horizons, -1))
        steps = torch.cat([raw[..., :1], F.softplus(raw[..., 1:])], dim=-1)
        # Along the first axis: a GPU takes a thread block for every few sums along the last one.
        return steps.movedim(-1, 0).cumsum(dim=0).movedim(0, -1)


class LinearPath(nn.Module):
    r"""Score a stock straight from the features of the day, its own and those of its neighbours.

    .. math:: s_i' = \gamma s_i + A x_i + B \sum_{j \ne i} \bar w_{ij} x_j

    with :math:`s` the network's score and :math:`\bar w` the weights of the incoming edges without self loops, of
    absolute sum 1. Nothing here is trained by gradients: :math:`A` and :math:`B` are those of a regression on the
    training part, and :math:`\gamma` mixes it with the trained network (`training.linear`). Until they are set the
    scores are the network's. Because the path is linear a stock's features are first multiplied by :math:`B` and
    then averaged: 4 numbers a stock travel over the edges and not `F`.

    After the direct scoring path of RankGLU (arXiv 2606.08930).

    Args:
        n_features: Number of features `F`.
        horizons: Number of horizons.
        neighbours: Whether the neighbours' features are read.

    Shapes:
        - **x**: `(*, F)`
        - **said**: `(N, width)`, from `read`
        - **score**: `(N, horizons)`, of the network
        - **edge_index**, **weight**: `(2, E)` and `(E,)`, or None for a graph that is switched off
        - **output**: `(N, horizons)`
    """

    weight: Tensor
    network_scale: Tensor

    def __init__(self, n_features: int, horizons: int, neighbours: bool) -> None:
        super().__init__()
        self.horizons, self.width = horizons, horizons * (2 if neighbours else 1)
        self.register_buffer("weight", torch.zeros(self.width, n_features))
        self.register_buffer("network_scale", torch.ones(horizons))
        self.neighbours = NeighbourSum() if neighbours else None

    def mix(self, weight: Tensor, network_scale: Tensor) -> None:
        """Set the weights `(width, F)` and what the network's scores are multiplied by, `(horizons,)`."""
        self.weight.copy_(weight)
        self.network_scale.copy_(network_scale)

    def read(self, x: Tensor) -> Tensor:
        """Return what the features of a stock say of it and, behind that, of its neighbours: `(*, width)`."""
        return F.linear(x, self.weight)

    def forward(self, said: Tensor, score: Tensor, edge_index: Tensor | None, weight: Tensor | None) -> Tensor:
        """Mix the network's scores with what is said of every stock and of its neighbours."""
        score = self.network_scale * score + said[:, : self.horizons]
        if self.neighbours is None or edge_index is None or weight is None:
            return score
        share = neighbour_share(edge_index, weight, len(score) + 1)
        heard: Tensor = self.neighbours(with_padding_node(said[:, self.horizons :]), edge_index, share)
        return score + heard[:-1]


class ScoreNeutralisation(nn.Module):
    r"""Take a learned share of the neighbours' score out of a stock's score.

    :math:`s_i - \mathrm{sigmoid}(\lambda_q) \sum_{j \ne i} p_{ij}\,\mathrm{sign}_{ij}\, s_j` with :math:`p`
    the gated attention over the neighbours (mean over layers and heads), normalised to sum to 1, and one
    :math:`\lambda` per horizon that starts at 0 (half of the neighbours' score). A neighbour that moves against
    the stock counts with the other sign. A stock without neighbours keeps its score.

    Args:
        horizons: Number of horizons.

    Shapes:
        - **score**: `(N, horizons)`
        - **output**: `(N, horizons)`
    """

    def __init__(self, horizons: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(horizons))
        self.neighbours = NeighbourSum()

    def forward(self, score: Tensor, attention: GraphAttention) -> Tensor:
        """Return the scores, less a share of their neighbours' scores."""
        target = attention.edge_index[1]
        weight = attention.alpha.mean(dim=1) * attention.gate * ~attention.is_self
        total = scatter(weight, target, dim=0, dim_size=score.size(0) + 1)
        share = weight / (total.index_select(0, target) + EPSILON) * attention.sign
        neighbours: Tensor = self.neighbours(with_padding_node(score), attention.edge_index, share)
        return score - torch.sigmoid(self.strength) * neighbours[:-1]
