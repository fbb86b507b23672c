"""Any associative statistic of a trailing window, from blocks of 1, 2, 4, 8, … sessions.

A running sum that adds the new value and subtracts the old one keeps the rounding error of every
value it has ever seen: one price of 1e9 spoils a variance for the rest of the history. Here a
window is assembled from blocks instead, log2(window) vectorised passes over the panel, so that a
value depends on its window bit for bit: neither later nor older rows can move it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from gogooku_kedro.typing import Array

Parts = Sequence[Array]
Combine = Callable[[Parts, Parts, Parts, int], None]
"""combine(recent, older, out, lag): write the statistic of `older`, which ends `lag` sessions
before the end of `recent`, followed by `recent` into `out`, part by part."""


def fold_window(parts: Parts, window: int, combine: Combine) -> Parts:
    """Fold the last `window` entries of the last axis.

    Args:
        parts: One or more arrays of one shape `(…, date)`: the statistic of a single session.
        window: Sessions; at the start, the ones there are.
        combine: Associative.

    Returns:
        Arrays of the same shape.
    """
    block, width = parts, 1  # block[t] covers the `width` sessions up to t
    result, covered = parts, 0
    while covered < window:
        if window & width:
            result = _extend(result, block, covered, combine) if covered else block
            covered += width
        if covered < window:
            block = _extend(block, block, width, combine)
            width *= 2
    return result


def fold_panel(arrays: Sequence[xr.DataArray], window: int, combine: Combine) -> list[xr.DataArray]:
    """Apply `fold_window` along `date` to DataArrays of one shape, in float64; integers stay integers."""
    first = arrays[0]
    axis = first.get_axis_num("date")
    parts = [np.moveaxis(_number(a.transpose(*first.dims).values), axis, -1) for a in arrays]
    folded = fold_window(parts, window, combine)
    return [first.copy(data=np.moveaxis(part, -1, axis)) for part in folded]


def _number(values: Array) -> Array:
    return values if values.dtype.kind == "i" else values.astype(np.float64, copy=False)


def _extend(recent: Parts, older: Parts, lag: int, combine: Combine) -> Parts:
    length = recent[0].shape[-1]
    merged = [np.empty_like(part) for part in recent]
    for part, out in zip(recent, merged, strict=True):
        out[..., :lag] = part[..., :lag]
    if lag < length:
        combine(
            [part[..., lag:] for part in recent],
            [part[..., : length - lag] for part in older],
            [part[..., lag:] for part in merged],
            lag,
        )
    return merged
