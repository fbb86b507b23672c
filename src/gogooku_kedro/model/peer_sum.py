"""The weighted sum over a stock's incoming edges, in a form that PyG's explainers can look into."""

from torch import Tensor
from torch_geometric.nn import MessagePassing


class PeerSum(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""Add up what the sources of a stock's edges hold, :math:`\sum_j w_{ij}\, x_j`.

    It has no parameters. It is a message passing layer, and not a plain scatter, because the explainers of
    PyG mask the edges of such layers: an edge that is masked is masked on every way to the score.

    Shapes:
        - **x**: ``(N, C)``
        - **edge_index**: ``(2, E)``, row 0 = source
        - **weight**: ``(E,)``
        - **output**: ``(N, C)``, zeros for a stock without incoming edges
    """

    def __init__(self) -> None:
        super().__init__(aggr="sum")

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
        """Return the sums."""
        out: Tensor = self.propagate(edge_index, x=x, weight=weight)
        return out

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """Weigh what an edge's source holds."""
        return weight.unsqueeze(-1) * x_j
