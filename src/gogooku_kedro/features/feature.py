"""What a feature is: a named causal formula with a declared look-back, and results that formulas share."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal, TypeVar

import xarray as xr

Kind = Literal["stock", "cross_section", "market"]
Function = Callable[[xr.Dataset], xr.DataArray]

Result = TypeVar("Result")

TEXTBOOK = "textbook"

_RESULTS: ContextVar[dict[Any, Any] | None] = ContextVar("shared_results", default=None)


@dataclass(frozen=True)
class Feature:
    """One causal formula on the panel.

    Attributes:
        name: Unique name of the raw variable.
        family: Name of the family (module) it belongs to.
        needs: Panel variables it reads; the coordinate `sector` is named like a variable.
        lookback: Sessions before today that it may read: the value at session t depends on the
            rows t - lookback … t only, the session a one-day return starts from included.
        formula: The formula in words or symbols, one line, for the manifest and docs/features.md.
        function: Maps a float64 panel `(date, code)` that holds `needs` to a `(date, code)` array,
            for the kind `market` to a `(date,)` array.
        source: Paper or book the formula is from.
        kind: `stock` reads the stock's own history and per-date series, so that it can run on a
            block of stocks; `cross_section` reads the other stocks of the date, so that it runs on
            a block of dates with `lookback` sessions before it; `market` is one value per date.
    """

    name: str
    family: str
    needs: tuple[str, ...]
    lookback: int
    formula: str
    function: Function
    source: str = TEXTBOOK
    kind: Kind = "stock"


@dataclass(frozen=True)
class Family:
    """Writes the features of one family.

    Attributes:
        name: Name of the family.
        kind: Kind of its features.
    """

    name: str
    kind: Kind = "stock"

    def feature(
        self, name: str, needs: tuple[str, ...], lookback: int, formula: str, function: Function, source: str = TEXTBOOK
    ) -> tuple[Feature, ...]:
        """Return one feature, as a tuple of one so that it joins `each` by `+` or `*`."""
        return (Feature(name, self.name, needs, lookback, formula, function, source, self.kind),)

    def variable(self, name: str, variable: str, formula: str, source: str = TEXTBOOK) -> tuple[Feature, ...]:
        """Return the feature that is a variable of the panel as it stands."""
        return self.feature(name, (variable,), 0, formula, partial(_variable, name=variable), source)

    def each(
        self,
        name: str,
        windows: Iterable[int],
        needs: tuple[str, ...],
        formula: str,
        function: Callable[..., xr.DataArray],
        source: str = TEXTBOOK,
        lookback: int | None = None,
    ) -> tuple[Feature, ...]:
        """Return one feature per window.

        Args:
            name: With `{n}` for the window, as in `volatility_{n}d`.
            windows: Sessions; passed to `function` as `window`.
            needs: Panel variables it reads.
            formula: With `{n}` for the window.
            function: Called as `function(panel, window=n)`.
            source: Paper or book.
            lookback: Look-back of all of them; None: each one's window.
        """
        return tuple(
            feature
            for n in windows
            for feature in self.feature(
                name.format(n=n),
                needs,
                n if lookback is None else lookback,
                formula.format(n=n),
                partial(function, window=n),
                source,
            )
        )

    def each_pair(
        self,
        name: str,
        pairs: Iterable[tuple[int, int]],
        needs: tuple[str, ...],
        formula: str,
        function: Callable[..., xr.DataArray],
        source: str = TEXTBOOK,
    ) -> tuple[Feature, ...]:
        """Return one feature per pair of a short and a long window; the long one is its look-back.

        As in `each`, with `{short}` and `{long}` in name and formula, and `function(panel, short=…, long=…)`.
        """
        return tuple(
            feature
            for short, long in pairs
            for feature in self.feature(
                name.format(short=short, long=long),
                needs,
                long,
                formula.format(short=short, long=long),
                partial(function, short=short, long=long),
                source,
            )
        )


def _variable(panel: xr.Dataset, name: str) -> xr.DataArray:
    return panel[name]


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
