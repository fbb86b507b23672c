"""Attention over several hops: messages spread along the attention they were made with."""

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from gogooku_kedro.model.attention import in_degree


class AttentionDiffusion(nn.Module):
    r"""Personalised PageRank over the attention of a layer, head by head.

    :math:`Z_{k+1} = (1 - r) A Z_k + r Z_0` for ``hops`` steps, with ``A`` the attention over incoming edges,
    :math:`Z_0` the message of the layer and ``r`` the restart. From Wang et al., "Multi-hop Attention Graph
    Neural Networks" (MAGNA, 2021), section 3.2, whose :math:`Z_0` are the states before the first
    product. The weights of the hops, :math:`r (1 - r)^k` for all but the last and :math:`(1 - r)^K` for
    that, sum to 1, as the rows of ``A`` do: what all stocks say alike passes unchanged. A stock that
    nobody speaks to keeps its message. It has no parameters.

    Args:
        heads: Attention heads; ``C`` is the width of one.
        hops: Further products ``K``, so that the message reaches ``K + 1`` edges far.
        restart: Share ``r`` of the first message in every step, in (0, 1).

    Shapes:
        - **message**: ``(N, heads * C)``
        - **edge_index**: ``(2, E)``
        - **alpha**: ``(E, heads)``
        - **output**: ``(N, heads * C)``
    """

    def __init__(self, heads: int, hops: int, restart: float) -> None:
        super().__init__()
        self.heads, self.hops, self.restart = heads, hops, restart

    def forward(self, message: Tensor, edge_index: Tensor, alpha: Tensor) -> Tensor:
        """Return the messages, spread along the attention."""
        source, target = edge_index
        nodes = message.size(0)
        first = z = message.unflatten(-1, (self.heads, -1))  # (N, heads, C)
        hears = (in_degree(edge_index, nodes) > 0)[:, None, None]
        for _ in range(self.hops):
            spread = scatter(alpha.unsqueeze(-1) * z[source], target, dim=0, dim_size=nodes)
            z = torch.where(hears, (1 - self.restart) * spread + self.restart * first, first)
        out: Tensor = z.flatten(1)
        return out
