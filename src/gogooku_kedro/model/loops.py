"""How compiled loops over tensors run inside PyTorch's functions: in several threads, and for several models in one."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


def shared_out(loop: Callable[..., None], tensors: Sequence[Tensor], *more: int, workers: Executor | None) -> None:
    """Run a loop in PyTorch's number of threads, each with its part of the first axis: their number changes no result.

    Args:
        loop: Takes the tensors as arrays, `more`, the first row of its part and the one after its last.
        tensors: On the CPU; rows of the first are shared out.
        more: Further arguments of the loop.
        workers: Threads; None: this one.
    """
    arrays = [each.detach().numpy() for each in tensors]
    rows, threads = len(arrays[0]), torch.get_num_threads() if workers else 1
    bounds = [rows * each // threads for each in range(threads + 1)]
    parts = [(*arrays, *more, first, last) for first, last in pairwise(bounds) if first < last]
    list((workers.map if workers else map)(lambda part: loop(*part), parts))


def in_turn(
    function: Callable[..., Tensor], models: int, places: tuple[int | None, ...], inputs: tuple[Any, ...]
) -> tuple[Tensor, int]:
    """Answer `torch.vmap` over several models, each in its turn; the arguments are those of a function's `vmap`."""
    each = [
        [given if place is None else given.select(place, model) for place, given in zip(places, inputs, strict=True)]
        for model in range(models)
    ]
    return torch.stack([function(*of_model) for of_model in each]), 0
