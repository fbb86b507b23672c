"""Leave-one-out means and ranks inside groups of codes (sectors)."""

from typing import Any

import bottleneck as bn
import numpy as np
import numpy.typing as npt

UNKNOWN = "n/a"

Array = npt.NDArray[Any]


def group_ids(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return one integer per code: 0, 1, … for the sorted known groups, -1 for `"n/a"`."""
    names = np.asarray(labels).astype(str)
    known = np.unique(names[names != UNKNOWN])
    ids = np.searchsorted(known, names).astype(np.int64)
    ids[names == UNKNOWN] = -1
    return ids


def leave_one_out_mean(values: Array, ids: npt.NDArray[np.int64]) -> Array:
    """Return, for every code, the mean of the other present codes of its group.

    The sums run in code order (`np.bincount`), so that codes that are absent leave them
    bit-identical.

    Args:
        values: `(date, code)`, NaN where absent.
        ids: `(code,)` from `group_ids`.

    Returns:
        `(date, code)` float64; NaN for codes of unknown group and where no other code is present. A
        code that is absent itself still gets the mean of its group.
    """
    present = np.isfinite(values)
    present &= ids >= 0
    filled = np.where(present, values, 0.0)
    n_groups = int(ids.max(initial=-1)) + 1
    cell = np.arange(len(values))[:, None] * n_groups + np.maximum(ids, 0)
    size = len(values) * max(n_groups, 1)
    totals = np.bincount(cell.ravel(), filled.ravel(), size)[cell]
    counts = np.bincount(cell.ravel(), present.ravel(), size)[cell]
    others = counts - present
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (totals - filled) / others
    return np.where((others > 0) & (ids >= 0), means, np.nan)


def group_rank(values: Array, ids: npt.NDArray[np.int64]) -> Array:
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
