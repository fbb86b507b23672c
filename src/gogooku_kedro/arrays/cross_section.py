"""Normalisation of every date's cross-section on its own: nothing to fit, nothing to leak."""

from functools import lru_cache
from typing import Literal

import bottleneck as bn
import numpy as np
import xarray as xr
from scipy.special import ndtri

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.typing import Array, IntArray

Method = Literal["gaussian_rank", "robust_z"]

MIN_CROSS_SECTION = 5  # stocks; fewer say nothing about ranks
VALUES_AT_A_TIME = 2**18  # ranked at a time, with a table of scores for every number of stocks among them
MIN_PAST = 60  # sessions before a per-date series has a mean and a deviation of its own


def universe_mask(panel: xr.Dataset, *, min_history: int) -> xr.DataArray:
    """Return which stocks form the cross-section of each date, bool `(date, code)`.

    A stock is in the universe on t when it traded on t, t is not a thin date, and it has traded on at
    least `min_history` sessions up to and including t.

    Raises:
        ValueError: `min_history` is below 1, or above the number of sessions.
    """
    if min_history < 1:
        raise ValueError(f"features.min_history = {min_history}: give 1 session or more")
    if min_history > panel.sizes["date"]:
        raise ValueError(
            f"features.min_history = {min_history}: the data have {panel.sizes['date']} sessions, so no stock would "
            f"ever be in the universe; lower it, or provide a longer history"
        )
    traded = panel["traded"].transpose("date", "code")
    history = traded.cumsum("date")
    in_universe = traded & (history >= min_history) & ~panel["thin_date"]
    return in_universe.reset_coords(drop=True).rename("in_universe")


def gaussian_rank(values: Array) -> Array:
    """Return Φ⁻¹((rank - 1/2) / n) along the last axis, float32; ties share their mean rank.

    NaN stays NaN and does not count; a cross-section with fewer than 5 values is NaN throughout.
    Values that are equal in float32 are tied.
    """
    rows = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, values.shape[-1])
    scores = np.empty(rows.shape, dtype=np.float32)
    step = max(1, VALUES_AT_A_TIME // max(rows.shape[-1], 1))
    keys, count = np.empty((min(step, len(rows)), rows.shape[-1]), np.uint64), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        some = keys[: len(rows[part])]
        _write_keys(rows[part], some, count[part])
        some.sort(axis=-1)
        sizes, table = np.unique(count[part], return_inverse=True)
        tables = [_normal_scores(int(n)) for n in sizes]
        offset = np.cumsum([0, *(len(t) for t in tables[:-1])])
        _write_scores(some, count[part], np.concatenate(tables), offset[table], scores[part])
    return scores.reshape(values.shape)


@lru_cache(maxsize=1024)
def _normal_scores(n: int) -> Array:
    """Φ⁻¹(s / 2n) for s = 0 … 2n, NaN at both ends, and throughout for fewer than 5; s = 2 rank - 1."""
    if n < MIN_CROSS_SECTION:
        return np.full(2 * n + 1, np.nan, np.float32)
    scores: Array = ndtri(np.arange(2 * n + 1) / (2 * n)).astype(np.float32)
    scores[[0, -1]] = np.nan
    return scores


@compiled
def _write_keys(rows: Array, keys: Array, count: Array) -> None:
    """Write an integer per value whose order is that of the finite values; the stock's position is its lower half.

    The bits of a float are in the order of its value once those of a negative one are turned round. What is
    not finite gets the largest integers.
    """
    sign, absent, half = np.uint32(1 << 31), np.uint64(2**32 - 1), np.uint64(32)
    bits = rows.view(np.uint32)
    for row in range(rows.shape[0]):
        n = 0
        for code in range(rows.shape[1]):
            known, own = np.isfinite(rows[row, code]), bits[row, code]
            ordered = np.uint32(~own) if own > sign else np.uint32(own | sign)  # -0 becomes what 0 is
            keys[row, code] = ((np.uint64(ordered) if known else absent) << half) | np.uint64(code)
            n += known
        count[row] = n


@compiled
def _write_scores(keys: Array, count: Array, tables: Array, offset: Array, scores: Array) -> None:
    """Write the score of each rank to the stock's position, that of the mean rank for ties, NaN where absent.

    Args:
        keys: Sorted, from `_write_keys`.
        count: Finite values of each row.
        tables: The score of rank r stands at 2r - 1 from the row's offset.
        offset: Where the row's table begins.
        scores: Result.
    """
    half, position = np.uint64(32), np.uint64(2**32 - 1)
    for row in range(keys.shape[0]):
        first = 0
        while first < count[row]:
            last = first + 1
            while last < count[row] and keys[row, last] >> half == keys[row, first] >> half:
                last += 1
            score = tables[offset[row] + first + last]
            for i in range(first, last):
                scores[row, np.int64(keys[row, i] & position)] = score
            first = last
        for i in range(first, keys.shape[1]):
            scores[row, np.int64(keys[row, i] & position)] = np.nan


def robust_z(values: Array) -> Array:
    """Return (value - median) / (1.4826 · MAD) along the last axis.

    NaN stays NaN; 0 where the MAD is 0; a cross-section with fewer than 5 values is NaN throughout.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    deviation = values - bn.nanmedian(values, axis=-1)[..., None]
    spread = 1.4826 * bn.nanmedian(np.abs(deviation), axis=-1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, deviation / spread, deviation * 0.0)
    return np.where(count >= MIN_CROSS_SECTION, z, np.nan)


def sector_deviation(values: Array, ids: IntArray) -> Array:
    """Return the value minus the median of the present codes of its sector, `(date, code)`.

    Codes of unknown sector (-1) count as a sector of their own. NaN stays NaN.
    """
    deviation = np.full(values.shape, np.nan)
    for group in np.unique(ids):
        members = np.flatnonzero(ids == group)
        inside = np.ascontiguousarray(values[:, members], dtype=np.float64)
        deviation[:, members] = inside - bn.nanmedian(inside, axis=1)[:, None]
    return deviation


def past_z(series: Array) -> Array:
    """Return (value - mean) / deviation of a per-date series over all its values up to each date.

    NaN stays NaN, and before the 60th value; 0 while the values are all equal.

    Args:
        series: `(date,)`.
    """
    present = np.isfinite(series)
    count = np.cumsum(present)
    # Around the first value, so that a level far from 0 costs no digits.
    first = series[present][0] if present.any() else 0.0
    centred = np.where(present, series - first, 0.0).astype(np.float64)
    n = np.maximum(count, 1)
    mean = np.cumsum(centred) / n
    variance = np.cumsum(centred**2) / n - mean**2
    spread = np.sqrt(np.where(variance > 1e-13 * np.maximum(mean**2, 1e-300), variance, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, (centred - mean) / spread, 0.0)
    return np.where(present & (count >= MIN_PAST), z, np.nan)
