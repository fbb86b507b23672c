"""Gate the features by the state of the market: what counts in a calm market may not count in a fall."""

import torch
from torch import Tensor, nn


class MarketGate(nn.Module):
    r"""Weigh the features of each date by what the market as a whole does.

    .. math:: \tilde x_t = F \cdot \mathrm{softmax}\big((W m_t + b) / \beta\big) \odot x_t

    with :math:`m_t` the market's returns, volatility and breadth, from Li et al., "MASTER: Market-Guided
    Stock Transformer" (AAAI 2024), eq. 1-2. The weights of a date average 1. :math:`W` and :math:`b` start
    at zero, so that the gate starts at 1 and has to be learned. The gate of a date comes from that date
    alone: a token is still encoded once.

    Args:
        n_context: Number of features of the market ``M``.
        n_features: Number of features of a stock ``F``.
        temperature: :math:`\beta`; the higher, the nearer to 1 the gate stays.

    Shapes:
        - **x**: ``(T, N, F)``
        - **context**: ``(T, M)``
        - **output**: ``(T, N, F)``
    """

    def __init__(self, n_context: int, n_features: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.weight = nn.Parameter(torch.zeros(n_features, n_context))
        self.bias = nn.Parameter(torch.zeros(n_features))

    def gate(self, context: Tensor) -> Tensor:
        """Weight of each feature on each date, ``(T, 1, F)``, 1 on average over the features."""
        logits = nn.functional.linear(context, self.weight, self.bias) / self.temperature
        return logits.size(-1) * logits.softmax(dim=-1).unsqueeze(1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the features times the gate of their date."""
        return x * self.gate(context)
