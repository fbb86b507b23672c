"""What a feature is: a named causal formula on the panel with a declared look-back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import xarray as xr

Kind = Literal["stock", "cross_section", "market"]
Function = Callable[[xr.Dataset], xr.DataArray]

TEXTBOOK = "textbook"


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
        self,
        name: str,
        needs: tuple[str, ...],
        lookback: int,
        formula: str,
        function: Function,
        source: str = TEXTBOOK,
    ) -> tuple[Feature, ...]:
        """Return one feature, as a tuple of one so that it joins `each` by `+` or `*`."""
        return (Feature(name, self.name, needs, lookback, formula, function, source, self.kind),)

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
            Feature(
                name.format(n=n),
                self.name,
                needs,
                n if lookback is None else lookback,
                formula.format(n=n),
                partial(function, window=n),
                source,
                self.kind,
            )
            for n in windows
        )
