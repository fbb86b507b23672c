"""Normalisation over the stocks of each date, for a message that should differ between them."""

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class DateNorm(nn.Module):
    r"""GraphNorm with the cross-section of a date as the graph.

    :math:`\gamma\, (x_i - a \bar x) / \sqrt{\mathrm{mean}_j (x_j - a \bar x)^2 + \epsilon} + \beta`, channel
    by channel, with the means over the stocks present on the date and a learned share ``a`` of the mean. From
    Cai et al., "GraphNorm: A Principled Approach to Accelerating Graph Neural Network Training" (2021).
    Nothing is kept from one date to another, in training as in evaluation; absent stocks are not counted.

    Args:
        features: Width of the states.

    Shapes:
        - **x**: ``(D, N, features)``
        - **present**: ``(D, N)`` bool
        - **output**: ``(D, N, features)``
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.mean_share = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Return the states, normalised over the present stocks of their date."""
        counted = present.unsqueeze(-1)  # (D, N, 1)
        count = counted.sum(dim=1, keepdim=True).clamp_min(1)
        mean = torch.where(counted, x, 0.0).sum(dim=1, keepdim=True) / count
        centred = x - self.mean_share * mean
        variance = torch.where(counted, centred.square(), 0.0).sum(dim=1, keepdim=True) / count
        return self.weight * centred / (variance + EPSILON).sqrt() + self.bias
