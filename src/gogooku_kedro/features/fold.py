"""Any associative statistic of a trailing window, from blocks of 1, 2, 4, 8, … sessions.

A running sum that adds the new value and subtracts the old one keeps the rounding error of every
value it has ever seen: one price of 1e9 spoils a variance for the rest of the history. Here a
window is assembled from blocks instead, log2(window) vectorised passes over the panel, so that a
value depends on its window bit for bit: neither later nor older rows can move it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

Array = npt.NDArray[Any]
Parts = Sequence[Array]
Combine = Callable[[Parts, Parts, Parts, int], None]
"""combine(recent, older, out, lag): write the statistic of `older`, which ends `lag` sessions
before the end of `recent`, followed by `recent` into `out`, part by part."""


def fold_window(parts: Parts, window: int, combine: Combine, identity: Sequence[float]) -> Parts:
    """Fold the last `window` entries of the last axis.

    Args:
        parts: One or more arrays of one shape `(…, date)`: the statistic of a single session.
        window: Sessions; entries before the first session count as `identity`.
        combine: Associative; `combine(identity, x)` and `combine(x, identity)` are x.
        identity: One value per part, the statistic of no session.

    Returns:
        Arrays of the same shape.
    """
    block, width = parts, 1  # block[t] covers the `width` sessions up to t
    result: Parts = [np.full_like(part, value) for part, value in zip(parts, identity, strict=True)]
    covered = 0
    while covered < window:
        if window & width:
            result = _extend(result, block, covered, combine)
            covered += width
        if covered < window:
            block = _extend(block, block, width, combine)
            width *= 2
    return result


def fold_panel(
    arrays: Sequence[xr.DataArray], window: int, combine: Combine, identity: Sequence[float]
) -> list[xr.DataArray]:
    """`fold_window` along `date` of DataArrays of one shape, in float64."""
    first = arrays[0]
    axis = first.get_axis_num("date")
    parts = [np.moveaxis(a.transpose(*first.dims).values.astype(float, copy=False), axis, -1) for a in arrays]
    folded = fold_window(parts, window, combine, identity)
    return [first.copy(data=np.moveaxis(part, -1, axis)) for part in folded]


def _extend(recent: Parts, older: Parts, lag: int, combine: Combine) -> Parts:
    merged = [part.copy(order="K") for part in recent]
    length = recent[0].shape[-1]
    if lag < length:
        combine(
            [part[..., lag:] for part in recent],
            [part[..., : length - lag] for part in older],
            [part[..., lag:] for part in merged],
            lag,
        )
    return merged
