"""Gated linear unit, gated residual network and gated fusion, the bricks of the temporal fusion transformer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gogooku_kedro.model.dropout import Dropout

VECTOR = 4
"""Numbers that CUDA's layer norm reads at a time."""


class GLU(nn.Module):
    r"""Gated linear unit, `sigmoid(W_1 x + b_1) * (W_2 x + b_2)`.

    From Lim et al., "Temporal Fusion Transformers" (2019), eq. 5. The gate lets a block close itself.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.

    Shapes:
        - **x**: `(*, in_features)`
        - **output**: `(*, out_features)`
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 2 * out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Gate the linear map of `x`."""
        return F.glu(self.linear(x), dim=-1)


class LayerNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm`, fast on CUDA whatever the width.

    Where the width is no multiple of `VECTOR`, PyTorch's kernel takes a block of 512 threads for the statistics of one
    token, most of them idle: 2.6 ms of a training step for 268,000 tokens of 182 features on an H100.

    Args:
        features: Width of a token.

    Shapes:
        - **x**: `(*, features)`
        - **output**: `(*, features)`, in float32 under autocast
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every token, then scale and shift its channels."""
        if x.device.type != "cuda" or x.size(-1) % VECTOR == 0 or torch.compiler.is_compiling():
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, self.weight.dtype))
        out: Tensor = Normalise.apply(values, self.weight, self.bias, self.eps)[0]  # type: ignore[no-untyped-call]
        return out


class Normalise(torch.autograd.Function):
    """Layer norm with statistics by `torch.var_mean`; its gradient is PyTorch's own.

    Shapes:
        - **x**: `(*, features)`
        - **weight**, **bias**: `(features,)`
        - **output**: `(*, features)`, and mean and reciprocal deviation of every token `(*, 1)`
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return the norm and the statistics."""
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        scale = torch.rsqrt(variance + eps)
        return torch.addcmul(bias, torch.addcmul(-mean * scale, x, scale), weight), mean, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, ...]) -> None:
        """Keep what is normalised and its statistics."""
        x, weight, bias, _ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(x, weight, bias, *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of tokens, scale and shift."""
        x, weight, bias, mean, scale = ctx.saved_tensors
        found = torch.ops.aten.native_layer_norm_backward(
            gradients[0].contiguous(), x, weight.shape, mean, scale, weight, bias, [True, True, True]
        )
        return *found, None


class GatedResidual(nn.Module):
    """Add a gated branch to a trunk and normalise: `LayerNorm(trunk + GLU(branch))`.

    The "gate + add + norm" of Lim et al. (2019). Statistics are taken over the width of one token,
    never over stocks or sessions, so a token's value cannot depend on what shares its batch.

    Args:
        branch_features: Width of the branch.
        features: Width of the trunk and of the output.
        dropout: Share of the branch's channels dropped in training.

    Shapes:
        - **trunk**: `(*, features)`
        - **branch**: `(*, branch_features)`
        - **output**: `(*, features)`
    """

    def __init__(self, branch_features: int, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.glu = GLU(branch_features, features)
        self.norm = LayerNorm(features)

    def forward(self, trunk: Tensor, branch: Tensor) -> Tensor:
        """Return the normalised sum of the trunk and the gated branch."""
        out: Tensor = self.norm(trunk + self.glu(self.dropout(branch)))
        return out


class GRN(nn.Module):
    r"""Gated residual network, `LayerNorm(skip(a) + GLU(dropout(W_1 ELU(W_2 a))))`.

    From Lim et al. (2019), eq. 2-4, without context. The skip is the identity, or a linear map where
    the widths differ.

    Args:
        in_features: Width of the input.
        hidden_features: Width between the two linear maps.
        out_features: Width of the output.
        dropout: Share of hidden channels dropped in training.

    Shapes:
        - **a**: `(*, in_features)`
        - **output**: `(*, out_features)`
    """

    def __init__(self, in_features: int, hidden_features: int, out_features: int, dropout: float) -> None:
        super().__init__()
        self.skip = nn.Identity() if in_features == out_features else nn.Linear(in_features, out_features)
        self.hidden = nn.Sequential(
            nn.Linear(in_features, hidden_features),
            nn.ELU(),
            nn.Linear(hidden_features, hidden_features),
        )
        self.gate = GatedResidual(hidden_features, out_features, dropout)

    def forward(self, a: Tensor) -> Tensor:
        """Transform `a` by as much as the gate lets through."""
        out: Tensor = self.gate(self.skip(a), self.hidden(a))
        return out


class GatedFusion(nn.Module):
    """Residual fusion `LayerNorm(h + GLU([h; z]))` of the own state and the graph's message.

    Without a graph the message is zeros and takes the same way through the same parameters, so switching
    the graph off removes the graph and nothing else.

    Args:
        hidden_size: Width of both inputs and of the output.
        dropout: Dropout of the fused branch.

    Shapes:
        - **own**: `(N, hidden_size)`
        - **message**: `(N, hidden_size)`
        - **output**: `(N, hidden_size)`
    """

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.gate = GatedResidual(2 * hidden_size, hidden_size, dropout)

    def forward(self, own: Tensor, message: Tensor) -> Tensor:
        """Return the own state, moved by as much of the message as the gate lets through."""
        out: Tensor = self.gate(own, torch.cat([own, message], dim=-1))
        return out
