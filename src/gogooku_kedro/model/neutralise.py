"""Take out of a stock's score what its peers have in common with it."""

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from gogooku_kedro.model.attention import EPSILON, GraphAttention
from gogooku_kedro.model.peer_sum import PeerSum


class PeerNeutralisation(nn.Module):
    r"""Take a learned share of the peers' score out of a stock's score.

    :math:`s_i - \mathrm{sigmoid}(\lambda_q) \sum_{j \ne i} p_{ij}\,\mathrm{sign}_{ij}\, s_j` with :math:`p`
    the gated attention over the neighbours (mean over layers and heads), normalised to sum to 1, and one
    :math:`\lambda` per horizon that starts at 0 (half of the peers' score). A peer that moves against
    the stock counts with the other sign. A stock without neighbours keeps its score.

    Args:
        horizons: Number of horizons.

    Shapes:
        - **score**: ``(N, horizons)``
        - **output**: ``(N, horizons)``
    """

    def __init__(self, horizons: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(horizons))
        self.peers = PeerSum()

    def forward(self, score: Tensor, attention: GraphAttention) -> Tensor:
        """Return the scores, less a share of their neighbours' scores."""
        target = attention.edge_index[1]
        weight = attention.alpha.mean(dim=1) * attention.gate * ~attention.is_self
        total = scatter(weight, target, dim=0, dim_size=score.size(0))
        share = weight / (total[target] + EPSILON) * attention.sign
        peers: Tensor = self.peers(score, attention.edge_index, share)
        return score - torch.sigmoid(self.strength) * peers
