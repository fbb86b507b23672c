"""Leave-one-out means and ranks inside groups of codes (sectors)."""

import bottleneck as bn
import numpy as np
import numpy.typing as npt

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.typing import Array, IntArray

UNKNOWN = "n/a"


def group_ids(labels: npt.ArrayLike) -> IntArray:
    """Return one integer per code: 0, 1, … for the sorted known groups, -1 for `"n/a"`."""
    names = np.asarray(labels).astype(str)
    known = np.unique(names[names != UNKNOWN])
    ids = np.searchsorted(known, names).astype(np.int64)
    ids[names == UNKNOWN] = -1
    return ids


def leave_one_out_mean(values: Array, ids: IntArray, weights: Array | None = None) -> Array:
    """Return, for every code, the mean of the other present codes of its group.

    The sums run in code order, so that codes that are absent leave them
    bit-identical.

    Args:
        values: `(date, code)`, NaN where absent.
        ids: `(code,)` from `group_ids`.
        weights: `(date, code)` >= 0, NaN counts as absent; None weighs all alike.

    Returns:
        `(date, code)` float64; NaN for codes of unknown group and where no other code is present. A
        code that is absent itself still gets the mean of its group.
    """
    present = np.isfinite(values) & (ids >= 0)
    if weights is not None:
        present &= np.isfinite(weights)
    weight = present.astype(np.float64) if weights is None else np.where(present, weights, 0.0)
    filled = np.where(present, values, 0.0) * weight
    others = _group_sums(present, ids) - present
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (_group_sums(filled, ids) - filled) / (_group_sums(weight, ids) - weight)
    return np.where((others > 0) & (ids >= 0), means, np.nan)


def group_mean(values: Array, ids: IntArray) -> Array:
    """Return, for every code, the mean of the present codes of its group, itself among them.

    The sums run in code order, as in `leave_one_out_mean`.

    Args:
        values: `(date, code)`, NaN where absent.
        ids: `(code,)` from `group_ids`.

    Returns:
        `(date, code)` float64; NaN for codes of unknown group and where no code is present.
    """
    present = np.isfinite(values) & (ids >= 0)
    total, count = _group_sums(np.where(present, values, 0.0), ids), _group_sums(present, ids)
    return np.where((count > 0) & (ids >= 0), total / np.maximum(count, 1), np.nan)


def group_rank(values: Array, ids: IntArray) -> Array:
    """Return (rank - 1/2) / n inside the group of every code, in (0, 1); ties share a rank.

    Args:
        values: `(date, code)`, NaN where absent.
        ids: `(code,)` from `group_ids`.

    Returns:
        `(date, code)` float64; NaN where absent, for codes of unknown group and alone in their
        group.
    """
    ranks = np.full(values.shape, np.nan)
    for group in range(int(ids.max(initial=-1)) + 1):
        members = np.flatnonzero(ids == group)
        block = np.ascontiguousarray(values[:, members], dtype=np.float64)
        count = np.isfinite(block).sum(axis=1, keepdims=True)
        fraction = (bn.nanrankdata(block, axis=1) - 0.5) / np.maximum(count, 1)
        ranks[:, members] = np.where(count > 1, fraction, np.nan)
    return ranks


def group_std(values: Array, ids: IntArray) -> Array:
    """Return the standard deviation (population) of the present codes of each code's group.

    Args:
        values: `(date, code)`, NaN where absent; centred on 0 by nature, such as returns.
        ids: `(code,)` from `group_ids`.

    Returns:
        `(date, code)` float64; NaN for codes of unknown group and where fewer than 2 are present.
    """
    present = np.isfinite(values) & (ids >= 0)
    filled = np.where(present, values, 0.0)
    total, squares, count = (_group_sums(x, ids) for x in (filled, filled**2, present))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares / count - (total / count) ** 2
    return np.where((count > 1) & (ids >= 0), np.sqrt(np.maximum(variance, 0.0)), np.nan)


def _group_sums(values: Array, ids: IntArray) -> Array:
    """Sum inside the group of every code, `(date, code)`, added in code order."""
    sums = np.empty(values.shape)
    _add_in_code_order(np.ascontiguousarray(values, dtype=np.float64), np.maximum(ids, 0), sums)
    return sums


@compiled
def _add_in_code_order(values: Array, ids: IntArray, sums: Array) -> None:
    total = np.empty(ids.max() + 1 if len(ids) else 1)
    for date in range(values.shape[0]):
        total[:] = 0.0
        for code in range(values.shape[1]):
            total[ids[code]] += values[date, code]
        for code in range(values.shape[1]):
            sums[date, code] = total[ids[code]]
