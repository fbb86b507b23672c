"""Gated fusion of what a stock knows of itself with what its neighbours tell it."""

import torch
from torch import Tensor, nn

from gogooku_kedro.model.grn import GatedResidual


class GatedFusion(nn.Module):
    """Residual fusion ``LayerNorm(h + GLU([h; z]))`` of the own state and the graph's message.

    Without a graph the message is zeros and takes the same way through the same parameters, so switching
    the graph off removes the graph and nothing else.

    Args:
        hidden_size: Width of both inputs and of the output.
        dropout: Dropout of the fused branch.

    Shapes:
        - **own**: ``(N, hidden_size)``
        - **message**: ``(N, hidden_size)``
        - **output**: ``(N, hidden_size)``
    """

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.gate = GatedResidual(2 * hidden_size, hidden_size, dropout)

    def forward(self, own: Tensor, message: Tensor) -> Tensor:
        """Return the own state, moved by as much of the message as the gate lets through."""
        out: Tensor = self.gate(own, torch.cat([own, message], dim=-1))
        return out
