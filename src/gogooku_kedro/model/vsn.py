"""Which features count: variable selection by stock and session, and a gate by the state of the market."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gogooku_kedro.model import vsn_cpu, vsn_kernels
from gogooku_kedro.model.dropout import stacked
from gogooku_kedro.model.grn import GRN

BLOCK = {"cpu": 512, "cuda": 32_768}
"""Tokens worked on at a time: on a CPU as many as its cache holds, on a GPU enough to fill it."""

KEPT = 30
"""Bytes kept for every feature, channel and token, about 8 values of 4 bytes; 29 were measured in bfloat16 autocast."""


class VariableSelectionNetwork(nn.Module):
    r"""Thin, batched variable selection network.

    Every feature :math:`x_j` is embedded on its own, passed through its own small gated residual
    network, and mixed with softmax weights that depend on all features:

    .. math::
        v = \mathrm{softmax}(\mathrm{GRN}_v(x)), \qquad
        h = \sum_j v_j U_j \, \mathrm{GRN}_j(e_j x_j + b_j)

    From Lim et al. (2019), section 4.2. Here the per-feature networks are `feature_size` wide instead
    of `hidden_size`, all of them run in one batched product, and the sum is one product of the
    weighted parts, `[v_1 g_1; ...; v_F g_F] U`: no loop over features and no
    `(tokens, F, hidden_size)` tensor. The scale of each network's norm is part of :math:`U_j`.

    The time goes into moving the `(F, feature_size, tokens)` intermediate values, not into products. On a CPU the
    compiled loops of `vsn_cpu` go through them once in each direction, in float32; on CUDA the kernels of `vsn_kernels`
    do, and keep what enters the sum, the only wide tensor. Elsewhere PyTorch does: tokens lie along the last axis, are
    worked on in blocks, and only what enters a block is kept for the backward pass, which computes the rest again; with
    `recompute` off all that the backward pass needs is kept, and there are no blocks: faster on a GPU that has the
    memory, see `kept_bytes`. Under autocast the intermediate values are in its type and the sums of the norm in
    float32.

    Args:
        n_features: Number of features `F`.
        feature_size: Width of the network of one feature.
        hidden_size: Width of the output.
        dropout: Dropout of the weight network.

    Shapes:
        - **x**: `(tokens, F)`
        - **output**: `(tokens, hidden_size)` and the weights `(tokens, F)`, which sum to 1
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
        self.norm_bias = nn.Parameter(torch.zeros(n, 1, c))
        self.recompute = True
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
        weights = F.softmax(self.selection(x), dim=-1)  # (tokens, F)
        # A feature is one number, so embedding and first layer collapse:
        # W (e x + b) + c = (W e) x + (W b + c).
        slope = self.embedding @ self.hidden_weight  # (F, 1, c)
        intercept = self.embedding_bias @ self.hidden_weight + self.hidden_bias
        by_feature = (self.embedding, self.embedding_bias, slope, intercept, self.glu_weight, self.glu_bias)
        if self.in_kernels(x.device.type, _kind(x)):
            mixed = vsn_kernels.weighted_parts(x, weights, *self._together(*by_feature), _kind(x)) @ self.projection
        elif vsn_cpu.available(x.device.type, _kind(x)):
            mixed = vsn_cpu.mix(x, weights, self.projection, *self._together(*by_feature))
        else:
            mixed = self._mix_by_blocks(x, weights, *by_feature)
        # sum_j v_j U_j (g_j + beta_j): the shift of each network's norm needs no wide tensor.
        shift = (self.norm_bias @ self.projection.unflatten(0, (len(self.norm_bias), -1))).squeeze(1)
        return mixed + torch.addmm(self.projection_bias, weights, shift), weights

    def in_kernels(self, device: str, kind: torch.dtype) -> bool:
        """Whether the kernels compute it, on a type of device and with products of a type, that of autocast if on."""
        return not stacked() and vsn_kernels.available(device, kind, self.embedding.size(-1))

    def kept_bytes(self, tokens: int, kind: torch.dtype | None = None) -> int:
        """Return the memory that values of all features and channels need until the backward pass.

        Args:
            tokens: Tokens of a step.
            kind: Type of what the kernels keep; None is without them and with `recompute` off.
        """
        return (KEPT if kind is None else kind.itemsize) * tokens * self.embedding.numel()

    def _together(self, *by_feature: Tensor) -> tuple[Tensor, Tensor]:
        *vectors, glu_weight, glu_bias = by_feature
        return torch.cat([each.float() for each in (*vectors, *glu_bias.chunk(2, dim=-1))], dim=1), glu_weight

    def _mix_by_blocks(self, x: Tensor, weights: Tensor, *by_feature: Tensor) -> Tensor:
        networks = [parameter.transpose(1, 2) for parameter in by_feature]  # channels before tokens
        whole = torch.is_grad_enabled() and (stacked() or not self.recompute)  # under vmap nothing is computed again
        if whole or torch.compiler.is_compiling():  # the compiler does its own blocking
            return _mix(x, weights, self.projection, *networks)
        size = BLOCK.get(x.device.type, len(x))
        blocks = zip(x.split(size), weights.split(size), strict=True)
        return torch.cat([self._mix_block(*block, self.projection, *networks) for block in blocks])

    def _mix_block(self, *inputs: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return _mix(*inputs)
        mixed: Tensor = checkpoint(_mix, *inputs, use_reentrant=False, preserve_rng_state=False)
        return mixed


def _kind(x: Tensor) -> torch.dtype:
    """Type of the products."""
    autocast = torch.is_autocast_enabled(x.device.type)
    return torch.get_autocast_dtype(x.device.type) if autocast else x.dtype


def _mix(
    x: Tensor,
    weights: Tensor,
    projection: Tensor,
    slope: Tensor,
    intercept: Tensor,
    hidden_slope: Tensor,
    hidden_intercept: Tensor,
    glu_weight: Tensor,
    glu_bias: Tensor,
) -> Tensor:
    kind, sums = _kind(x), torch.promote_types(x.dtype, torch.float32)
    networks = (slope, intercept, hidden_slope, hidden_intercept, glu_weight, glu_bias)
    slope, intercept, hidden_slope, hidden_intercept, glu_weight, glu_bias = (each.to(kind) for each in networks)
    column = x.to(kind).t().contiguous().unsqueeze(1)  # (F, 1, tokens)
    hidden = F.elu(torch.addcmul(hidden_intercept, hidden_slope, column))  # (F, c, tokens)
    gated = F.glu(torch.baddbmm(glu_bias, glu_weight, hidden), dim=1)
    parts = torch.addcmul(intercept, slope, column) + gated
    parts = parts - parts.mean(dim=1, keepdim=True, dtype=sums).to(kind)
    scale = torch.rsqrt(parts.square().mean(dim=1, keepdim=True, dtype=sums) + vsn_kernels.EPSILON)
    weighted = parts * (scale * weights.t().unsqueeze(1)).to(kind)  # (F, c, tokens)
    return weighted.flatten(0, 1).t() @ projection


class MarketGate(nn.Module):
    r"""Weigh the features of each date by what the market as a whole does.

    .. math:: \tilde x_t = F \cdot \mathrm{softmax}\big((W m_t + b) / \beta\big) \odot x_t

    with :math:`m_t` the market's returns, volatility and breadth, from Li et al., "MASTER: Market-Guided
    Stock Transformer" (AAAI 2024), eq. 1-2. The weights of a date average 1. :math:`W` and :math:`b` start
    at zero, so that the gate starts at 1 and has to be learned. The gate of a date comes from that date
    alone: a token is still encoded once.

    Args:
        n_context: Number of features of the market `M`.
        n_features: Number of features of a stock `F`.
        temperature: :math:`\beta`; the higher, the nearer to 1 the gate stays.

    Shapes:
        - **x**: `(T, N, F)`
        - **context**: `(T, M)`
        - **output**: `(T, N, F)`
    """

    def __init__(self, n_context: int, n_features: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.weight = nn.Parameter(torch.zeros(n_features, n_context))
        self.bias = nn.Parameter(torch.zeros(n_features))

    def gate(self, context: Tensor) -> Tensor:
        """Weight of each feature on each date, `(T, 1, F)`, 1 on average over the features."""
        logits = nn.functional.linear(context, self.weight, self.bias) / self.temperature
        return logits.size(-1) * logits.softmax(dim=-1).unsqueeze(1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the features times the gate of their date."""
        return x * self.gate(context)
