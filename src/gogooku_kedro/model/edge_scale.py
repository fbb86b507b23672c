"""Edge attributes in units that a network can tell apart."""

import torch
from torch import Tensor, nn


class EdgeScale(nn.Module):
    r"""Standardise the measured edge attributes, :math:`(e - \mu)/\sigma`, by those of the training edges.

    The correlations of a graph's edges differ by less than a tenth, and weights are drawn for inputs that
    differ by one: as they come, attention needs many epochs until it tells a strong edge from a weak one.
    Mean and standard deviation are those of the edges between different stocks. Attributes that are only 0
    or 1 stay as they are, and so does everything before :meth:`fit`. A self loop is no measurement: its
    measured attributes are 0.

    Args:
        edge_dim: Number of edge attributes ``A``.

    Shapes:
        - **edge_attr**: ``(E, A + ...)``, further columns are passed on
        - **is_self**: ``(E,)`` bool
        - **output**: as ``edge_attr``
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
            edge_index: ``(2, E)`` stocks; edges of later sessions must not be among them.
            edge_attr: ``(E, A)``.
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
