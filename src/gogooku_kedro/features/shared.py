"""Intermediate results that several formulas of one block have in common, computed once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import xarray as xr

Result = TypeVar("Result")

_RESULTS: ContextVar[dict[Any, Any] | None] = ContextVar("shared_results", default=None)


@contextmanager
def shared_results() -> Iterator[None]:
    """Inside, a function marked `shared` computes once per set of arguments, whatever the panel.

    Open one for each block: all panels inside must be views of the same data.
    """
    token = _RESULTS.set({})
    try:
        yield
    finally:
        _RESULTS.reset(token)


def shared(function: Callable[..., Result]) -> Callable[..., Result]:
    """Let the features of one block share the results of `function(panel, **arguments)`.

    Outside `shared_results` the function runs as it stands. Results must not be changed in place.
    """

    @wraps(function)
    def once(panel: xr.Dataset, *arguments: Any, **named: Any) -> Result:
        results = _RESULTS.get()
        if results is None:
            return function(panel, *arguments, **named)
        key = (function.__module__, function.__qualname__, arguments, tuple(sorted(named.items())))
        if key not in results:
            results[key] = function(panel, *arguments, **named)
        found: Result = results[key]
        return found

    return once
