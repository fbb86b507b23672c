"""What a feature is: a named causal formula on the panel with a declared look-back."""

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class Feature:
    """One causal formula on the panel.

    Attributes:
        name: Unique name; becomes the entry of the `feature` coordinate.
        family: Name of the family (module) it belongs to.
        needs: Panel variables it reads; the coordinate `sector` is named like a variable.
        lookback: Sessions before today that it may read: the value at session t depends on the
            rows t - lookback … t only, the session a one-day return starts from included.
        formula: The formula in words or symbols, for the manifest and the report.
        function: Maps a float64 panel `(date, code)` that holds `needs` to a `(date, code)` array.
    """

    name: str
    family: str
    needs: tuple[str, ...]
    lookback: int
    formula: str
    function: Callable[[xr.Dataset], xr.DataArray]
