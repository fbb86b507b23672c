"""Variable selection: which features matter for a stock on a day, as weights that can be reported."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gogooku_kedro.model.grn import GRN


class VariableSelectionNetwork(nn.Module):
    r"""Thin, batched variable selection network.

    Every feature :math:`x_j` is embedded on its own, passed through its own small gated residual
    network, and mixed with softmax weights that depend on all features:

    .. math::
        v = \mathrm{softmax}(\mathrm{GRN}_v(x)), \qquad
        h = \sum_j v_j U_j \, \mathrm{GRN}_j(e_j x_j + b_j)

    From Lim et al. (2019), section 4.2. Here the per-feature networks are ``feature_size`` wide instead
    of ``hidden_size``, all of them run in one batched product, and the sum is one product of the
    weighted parts, ``[v_1 g_1; ...; v_F g_F] U``: no loop over features and no
    ``(tokens, F, hidden_size)`` tensor.

    Args:
        n_features: Number of features ``F``.
        feature_size: Width of the network of one feature.
        hidden_size: Width of the output.
        dropout: Dropout of the weight network.

    Shapes:
        - **x**: ``(tokens, F)``
        - **output**: ``(tokens, hidden_size)`` and the weights ``(tokens, F)``, which sum to 1
    """

    def __init__(self, n_features: int, feature_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        n, c = n_features, feature_size
        self.embedding = nn.Parameter(torch.empty(n, 1, c))
        self.embedding_bias = nn.Parameter(torch.empty(n, 1, c))
        self.hidden_weight = nn.Parameter(torch.empty(n, c, c))
        self.hidden_bias = nn.Parameter(torch.zeros(n, 1, c))
        self.glu_weight = nn.Parameter(torch.empty(n, c, 2 * c))
        self.glu_bias = nn.Parameter(torch.zeros(n, 1, 2 * c))
        self.selection = GRN(n_features, hidden_size, n_features, dropout)
        self.projection = nn.Parameter(torch.empty(n * c, hidden_size))
        self.projection_bias = nn.Parameter(torch.zeros(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise every feature's network as a linear layer of its own fan-in."""
        bound = 1 / math.sqrt(self.hidden_weight.size(1))
        nn.init.uniform_(self.embedding, -1.0, 1.0)
        nn.init.uniform_(self.embedding_bias, -1.0, 1.0)
        for weight in (self.hidden_weight, self.glu_weight, self.projection):
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the selected representation of each token and the selection weights."""
        # A feature is one number, so embedding and first layer collapse:
        # W (e x + b) + c = (W e) x + (W b + c).
        column = x.t().unsqueeze(-1).contiguous()  # (F, tokens, 1)
        slope = self.embedding @ self.hidden_weight  # (F, 1, c)
        intercept = self.embedding_bias @ self.hidden_weight + self.hidden_bias
        hidden = F.elu(torch.addcmul(intercept, column, slope))  # (F, tokens, c)
        gated = F.glu(torch.baddbmm(self.glu_bias, hidden, self.glu_weight), dim=-1)
        embedded = torch.addcmul(self.embedding_bias, column, self.embedding)
        parts = F.layer_norm(embedded + gated, gated.shape[-1:])  # (F, tokens, c)

        weights = F.softmax(self.selection(x), dim=-1)  # (tokens, F)
        weighted = parts.permute(1, 0, 2) * weights.unsqueeze(-1)  # (tokens, F, c)
        return torch.addmm(self.projection_bias, weighted.flatten(1), self.projection), weights
