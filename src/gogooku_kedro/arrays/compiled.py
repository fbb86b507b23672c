"""How this package's loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a loop over arrays when it is first called, to code that other threads can run beside.

    Arithmetic is IEEE's, in the order written, so that a result is the same in every bit on every
    thread and machine. What was compiled is kept beside the source, in a folder of the user where that
    cannot be written, or in NUMBA_CACHE_DIR; where no folder can be written, every process compiles
    for itself.
    """
    return _compiled(function)


def vectorised(function: Function) -> Function:
    """Compile as `compiled` does, to vector instructions.

    Sums are taken in an order that suits them, and a product and a sum are rounded once: a result is the same on
    every thread of a machine, and may differ in the last bits on another processor.
    """
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def _compiled(function: Function, **ways: Any) -> Function:
    try:
        return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy", **ways)(function))
    except RuntimeError:  # no folder to keep it in
        return cast(Function, numba.njit(nogil=True, error_model="numpy", **ways)(function))
