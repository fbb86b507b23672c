"""Prediction heads: one score per horizon and quantiles that cannot cross."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ScoreHead(nn.Module):
    """Linear score per horizon; a high score expects the stock to do better than the others.

    Args:
        hidden_size: Width of the stock state.
        horizons: Number of horizons.

    Shapes:
        - **h**: ``(*, hidden_size)``
        - **output**: ``(*, horizons)``
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
        quantiles: Number of quantile levels ``Q``.

    Shapes:
        - **h**: ``(*, hidden_size)``
        - **output**: ``(*, horizons, Q)``, non-decreasing along the last axis
    """

    def __init__(self, hidden_size: int, horizons: int, quantiles: int) -> None:
        super().__init__()
        self.horizons = horizons
        self.linear = nn.Linear(hidden_size, horizons * quantiles)

    def forward(self, h: Tensor) -> Tensor:
        """Return the quantiles of every stock for every horizon."""
        raw = self.linear(h).unflatten(-1, (self.horizons, -1))
        steps = torch.cat([raw[..., :1], F.softplus(raw[..., 1:])], dim=-1)
        return steps.cumsum(dim=-1)
