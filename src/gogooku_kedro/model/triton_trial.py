# mypy: disable-error-code="import-not-found, untyped-decorator, no-untyped-def"
"""Whether Triton works on this machine: it builds its kernels when they are first called, with a C compiler."""

import logging
from functools import cache

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # Triton comes with PyTorch for CUDA on Linux
    triton = None

logger = logging.getLogger(__name__)


@torch.compiler.assume_constant_result
def triton_works() -> bool:
    """Return whether a small kernel can be built and gives the right number, tried once in a process.

    Where it cannot, as without a C compiler or the headers of Python, the log says so and PyTorch computes instead.
    """
    return triton is not None and _tried()


@cache
def _tried() -> bool:
    try:
        found = _seven()
    except Exception as error:  # what Triton raises depends on what is missing
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        logger.warning("no kernels in Triton, PyTorch computes what they would: %s", reason)
        return False
    return found == 7


def _seven() -> float:
    place = torch.zeros(1, device="cuda")
    _store_seven[(1,)](place)
    return float(place)


if triton is not None:

    @triton.jit
    def _store_seven(place):
        tl.store(place, 7.0)
