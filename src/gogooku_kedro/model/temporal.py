"""Banded interpretable attention: each session looks back over its own window, every token encoded once."""

import math

import torch
from torch import Tensor, nn

from gogooku_kedro.model.grn import GatedResidual


class BandedAttention(nn.Module):
    r"""Interpretable multi-head attention of every session over its own last `window` sessions.

    Head `h` weighs the sessions of the window by :math:`A_h = \mathrm{softmax}(q_h k_h^\top/\sqrt{C} +
    b_{h,\,t-s})`; all heads share one value map, so the mean of the `A_h` *is* the explanation
    (Lim et al. 2019, eq. 13-16). The query is the last session of the window. Positions are relative, so a
    token does not know which window it stands in: a chunk of `D` consecutive sessions needs
    `D + window - 1` token encodings instead of `D * window`, and the result equals the windowed one.

    Args:
        hidden_size: Width of tokens and output.
        heads: Number of heads; must divide `hidden_size`.
        window: Sessions a session looks back over, itself included.
        dropout: Dropout of the gated residual.

    Shapes:
        - **tokens**: `(D + window - 1, N, hidden_size)`
        - **present**: `(D + window - 1, N)` bool, False where the stock has no token that session
        - **output**: `(D, N, hidden_size)` and the mean attention `(N, D, D + window - 1)`,
          which is 0 outside the band and, where the stock is present at all, sums to 1
    """

    def __init__(self, hidden_size: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)  # a key bias cancels in the softmax
        self.value = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.recency = nn.Parameter(torch.zeros(heads, window))  # bias by age in sessions
        self.gate = GatedResidual(hidden_size, hidden_size, dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the heads at different memories, from about one session to the whole window."""
        age = torch.arange(self.window)
        memory = torch.logspace(0, math.log10(self.window), self.heads + 1)[:-1]
        with torch.no_grad():
            self.recency.copy_(-age / memory.unsqueeze(1))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return each of the last `D` sessions' summary of its window, and the attention."""
        steps = len(tokens)
        days = steps - self.window + 1
        last = tokens[self.window - 1 :]  # (D, N, d)
        q = self.query(last).unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)  # (N, H, D, C)
        k = self.key(tokens).unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)  # (N, H, T, C)

        age, inside = self._band(days, steps, tokens.device)
        # Keys first: their gradient comes with the channels side by side, as their map reads it.
        product = (k @ q.transpose(-1, -2)).transpose(-1, -2)
        logits = product / math.sqrt(q.size(-1)) + self.recency[:, age]  # (N, H, D, T)
        visible = inside & present.t().unsqueeze(1)  # (N, D, T)
        attention = _masked_softmax(logits, visible.unsqueeze(1)).mean(dim=1) * visible
        # Weights that sum to 1 before a linear map: it is that of D sessions and not of D + window - 1.
        value = self.value(attention.to(tokens.dtype) @ tokens.transpose(0, 1)) * visible.any(dim=-1, keepdim=True)
        return self.gate(last, self.out(value).transpose(0, 1)), attention  # (D, N, d)

    def _band(self, days: int, steps: int, device: torch.device) -> tuple[Tensor, Tensor]:
        query_day = torch.arange(days, device=device).unsqueeze(1) + self.window - 1
        age = query_day - torch.arange(steps, device=device)  # (D, T) sessions between key and query
        inside = (age >= 0) & (age < self.window)
        return age.clamp(0, self.window - 1), inside


def _masked_softmax(logits: Tensor, visible: Tensor) -> Tensor:
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Not minus infinity: a stock that is never present would give 0/0. Its weights are alike, the caller makes them 0.
    return logits.masked_fill(~visible, torch.finfo(logits.dtype).min).softmax(dim=-1)
