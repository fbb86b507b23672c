"""An LSTM over every window, for the order of days inside it; a window at a time, therefore slower."""

import torch
from torch import Tensor, nn

from gogooku_kedro.model.grn import GatedResidual


class LocalEncoder(nn.Module):
    """Locality enhancement of Lim et al. (2019), section 4.5.1: LSTM, then gate, add and norm.

    The state of an LSTM depends on where its window begins, so a token is encoded once per window it
    stands in: ``D * L`` steps instead of ``D + L - 1``. Tokens of absent days enter as zeros.

    Args:
        hidden_size: Width of tokens and output.
        window: Sessions of a window ``L``.
        dropout: Dropout of the gated residual.

    Shapes:
        - **tokens**: ``(D + L - 1, N, hidden_size)``
        - **present**: ``(D + L - 1, N)`` bool
        - **output**: ``(L, D * N, hidden_size)``, a sequence for every window, and its ``present``
          ``(L, D * N)``
    """

    def __init__(self, hidden_size: int, window: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.lstm = nn.LSTM(hidden_size, hidden_size)
        self.gate = GatedResidual(hidden_size, hidden_size, dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows, every one encoded from its own first day on."""
        tokens = tokens.masked_fill(~present.unsqueeze(-1), 0.0)
        # Copied first: compiled, the gradient of overlapping views that are flattened is wrong (torch 2.13).
        windows = tokens.unfold(0, self.window, 1).permute(3, 0, 1, 2).contiguous().flatten(1, 2)
        seen = present.unfold(0, self.window, 1).permute(2, 0, 1).flatten(1)
        encoded, _ = self.lstm(windows)
        return self.gate(windows, encoded), seen


def into_band(attention: Tensor, days: int) -> Tensor:
    """Lay the attention of single windows onto the sessions of the chunk they were cut from.

    Args:
        attention: ``(D * N, L)``, the windows of the first day first.
        days: Number of days ``D``.

    Returns:
        ``(N, D, D + L - 1)``, 0 outside each day's window.
    """
    by_day = attention.unflatten(0, (days, -1)).transpose(0, 1)  # (N, D, L)
    stocks, _, window = by_day.shape
    session = torch.arange(days, device=attention.device).unsqueeze(1) + torch.arange(window, device=attention.device)
    band = attention.new_zeros(stocks, days, days + window - 1)
    return band.scatter(2, session.expand(stocks, -1, -1), by_day)
