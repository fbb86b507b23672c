"""Random masks in training: of PyTorch's generator, or of each model's own where several run as one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

Draw = Callable[[Tensor, Generator | None], Tensor]
"""Numbers in the shape, type and memory of a tensor; None is PyTorch's generator."""

_generators: list[Generator] = []
_generator: list[Generator] = []


@contextmanager
def own_generators(generators: Sequence[Generator]) -> Iterator[None]:
    """While open, `random_like` under `torch.vmap` draws from one generator for each model of the batch."""
    _generators[:] = generators
    try:
        yield
    finally:
        _generators.clear()


@contextmanager
def drawing_from(generator: Generator) -> Iterator[None]:
    """While open, `random_like` draws from a generator in place of PyTorch's own."""
    _generator[:] = [generator]
    try:
        yield
    finally:
        _generator.clear()


def stacked() -> bool:
    """Whether several models run as one."""
    return bool(_generators)


def random_like(x: Tensor, draw: Draw) -> Tensor:
    """Return `draw(x, generator)`: what a model draws is the same whether it runs alone or with others."""
    if not stacked():
        return draw(x, _generator[0] if _generator else None)
    numbers: Tensor = _PerModel.apply(x.detach(), draw)  # type: ignore[no-untyped-call]
    return numbers


def uniform(x: Tensor, generator: Generator | None) -> Tensor:
    """Draw numbers in [0, 1), float32 whatever the type of `x`."""
    return torch.rand(x.shape, device=x.device, generator=generator)


class Dropout(nn.Module):
    r"""Set a share of the values to 0 in training and divide the others by :math:`1 - p`, as `torch.nn.Dropout`.

    Args:
        share: :math:`p`.

    Shapes:
        - **x**: any
        - **output**: as `x`
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training, pass on in evaluation."""
        if not self.training or self.share == 0:
            return x
        return x * random_like(x, self._scales)

    def _scales(self, x: Tensor, generator: Generator | None) -> Tensor:
        kept = torch.empty(x.shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.share, generator=generator)
        return kept.div_(1 - self.share)

    def extra_repr(self) -> str:
        """Show the share."""
        return f"share={self.share}"


class FeatureDropout(Dropout):
    """Set a share of the features to 0 for all stocks and sessions of a training step, and scale up the others.

    Args:
        share: Of the features.

    Shapes:
        - **x**: `(T, N, F)`
        - **output**: as `x`
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training, pass on in evaluation."""
        if not self.training or self.share == 0:
            return x
        return x * random_like(x[:1, :1], self._scales)


class _PerModel(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, draw: Draw) -> Tensor:
        raise RuntimeError("numbers of each model are drawn under torch.vmap, over all models")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: there is no gradient."""

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[None, None]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], x: Tensor, draw: Draw) -> tuple[Tensor, int]:
        each = x.unbind(in_dims[0])
        return torch.stack([draw(one, generator) for one, generator in zip(each, _generators, strict=True)]), 0
