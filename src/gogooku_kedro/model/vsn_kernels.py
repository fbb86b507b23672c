r"""Kernels of the variable selection for CUDA: each feature's network in registers, forward and backward.

What `vsn._mix` does in a dozen passes over `(F, feature_size, tokens)` values is one pass here, which writes only the
weighted parts, and one in the backward pass, which computes the rest again from the features and their weights. They
are written in Triton, which comes with PyTorch for CUDA on Linux; elsewhere `available` says no.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gogooku_kedro.model.triton_trial import triton_works

try:
    from gogooku_kedro.model import vsn_triton
except ImportError:  # Triton comes with PyTorch for CUDA
    vsn_triton = None  # type: ignore[assignment]

WIDEST = 32
"""Channels of a feature's network that the registers hold; more are left to PyTorch."""

EPSILON = 1e-5
"""Added to the variance by the norm, as in `torch.nn.LayerNorm`."""

VECTORS = 6
"""Vectors of a feature's network, see `weighted_parts`."""


class Launch(NamedTuple):
    """How a kernel runs: tokens worked on at a time, warps of 32 threads for 16 channels, stages of loads under way."""

    block: int
    warps: int
    stages: int


FORWARD = {torch.bfloat16: Launch(block=32, warps=1, stages=2), torch.float32: Launch(block=32, warps=1, stages=2)}
BACKWARD = {torch.bfloat16: Launch(block=32, warps=1, stages=2), torch.float32: Launch(block=32, warps=2, stages=2)}

PROGRAMS, LONGEST = 16_384, 4_096
"""Programs a kernel is spread over, about: several for every place that a GPU has for one; tokens of one at most."""


def available(device: str, kind: torch.dtype, feature_size: int) -> bool:
    """Whether the kernels can run: on NVIDIA cards of compute capability 8.0 and later, which multiply bfloat16.

    Args:
        device: Type of the device.
        kind: Type of the products, that of autocast where it is on.
        feature_size: Channels `c` of a feature's network.
    """
    supported = kind in (torch.float32, torch.bfloat16)
    return vsn_triton is not None and device == "cuda" and supported and feature_size <= WIDEST and _recent()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _recent() -> bool:
    return torch.version.hip is None and torch.cuda.get_device_capability() >= (8, 0) and triton_works()


def weighted_parts(x: Tensor, weights: Tensor, vectors: Tensor, glu_weight: Tensor, kind: torch.dtype) -> Tensor:
    r"""Return the output of each feature's network times the feature's weight, before the scale and shift of its norm.

    The gradients are those of all tensors; they have none of their own. The sums over tokens are taken in one order:
    equal inputs have equal gradients. Nothing waits for the device, and launches depend on shapes and types only.

    Args:
        x: Features `(tokens, F)`.
        weights: Their weights `(tokens, F)`.
        vectors: `(F, 6, c)` in float32: embedding, its bias, slope and intercept of the hidden layer, and the two
            halves of the bias of the GLU.
        glu_weight: `(F, c, 2c)`.
        kind: Type of the output and of what enters products; the rest is computed in float32.

    Returns:
        `(tokens, F * c)` of type `kind`.
    """
    parts: Tensor = _forward_op(x, weights, vectors, glu_weight, kind)
    return parts


def _spread(tokens: int, features: int, block: int) -> tuple[int, int]:
    """Programs that share the tokens of a feature, and tokens of each: a power of two, since each is compiled once."""
    programs = max(1, min(math.ceil(tokens / (4 * block)), PROGRAMS // features))
    span = min(LONGEST, max(block, _power_of_two(math.ceil(tokens / programs))))
    return math.ceil(tokens / span), span


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


@torch.library.custom_op("gogooku_kedro::vsn_parts", mutates_args=())
def _forward_op(x: Tensor, weights: Tensor, vectors: Tensor, glu_weight: Tensor, kind: torch.dtype) -> Tensor:
    (tokens, features), channels = x.shape, glu_weight.size(1)
    parts = torch.empty(tokens, features * channels, dtype=kind, device=x.device)
    vectors, glu_weight = vectors.contiguous(), glu_weight.contiguous()
    programs, span = _spread(tokens, features, FORWARD[kind].block)
    with torch.cuda.device_of(x):
        vsn_triton.forward[(features, programs)](
            *(x, weights, vectors, glu_weight, parts, tokens, features),
            *(*x.stride(), *weights.stride()),
            SPAN=span,
            **_constants(channels, FORWARD[kind]),
        )
    return parts


@_forward_op.register_fake
def _(x: Tensor, weights: Tensor, vectors: Tensor, glu_weight: Tensor, kind: torch.dtype) -> Tensor:
    return torch.empty(len(x), x.size(1) * glu_weight.size(1), dtype=kind, device=x.device)


@torch.library.custom_op("gogooku_kedro::vsn_parts_backward", mutates_args=())
def _backward_op(
    gradient: Tensor, x: Tensor, weights: Tensor, vectors: Tensor, glu_weight: Tensor, of_x: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (tokens, features), channels = x.shape, glu_weight.size(1)
    gradient = gradient.contiguous()
    vectors, glu_weight = vectors.contiguous(), glu_weight.contiguous()
    programs, span = _spread(tokens, features, BACKWARD[gradient.dtype].block)
    dx, dweights = _like_features(x, of_x), _like_features(weights, True)
    dvectors = torch.empty(programs, features, VECTORS, channels, device=x.device)
    dglu = torch.empty(programs, features, channels, 2 * channels, device=x.device)
    with torch.cuda.device_of(x):
        vsn_triton.backward[(features, programs)](
            *(gradient, x, weights, vectors, glu_weight, dx, dweights, dvectors, dglu, tokens, features),
            *(*x.stride(), *weights.stride(), *dweights.stride()),
            SPAN=span,
            OF_X=of_x,
            **_constants(channels, BACKWARD[gradient.dtype]),
        )
    return dx, dweights, dvectors.sum(0), dglu.sum(0).to(glu_weight.dtype)


@_backward_op.register_fake
def _(
    gradient: Tensor, x: Tensor, weights: Tensor, vectors: Tensor, glu_weight: Tensor, of_x: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sums = torch.empty(vectors.shape, device=x.device), torch.empty(glu_weight.shape, device=x.device)
    return _like_features(x, of_x), _like_features(weights, True), sums[0], sums[1].to(glu_weight.dtype)


def _like_features(x: Tensor, needed: bool) -> Tensor:
    tokens, features = x.shape if needed else (0, 0)
    return x.new_empty(tokens, features)


def _constants(channels: int, launch: Launch) -> dict[str, int | float]:
    width = max(16, _power_of_two(channels))  # the narrowest product of tensor cores
    sizes = {"C": channels, "WIDTH": width, "BLOCK": launch.block, "EPS": EPSILON}
    return sizes | {"num_warps": launch.warps * (width // 16), "num_stages": launch.stages}


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    found = _backward_op(gradient, *ctx.saved_tensors, ctx.needs_input_grad[0])
    return found[0] if ctx.needs_input_grad[0] else None, *found[1:], None


_forward_op.register_autograd(_gradients, setup_context=_keep)
