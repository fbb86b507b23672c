"""Which pairs become edges: thresholds, nearest neighbours, joins and the cap on the in-degree.

Every matrix is `(N, N)`, `[target, source]`, with 0 where a correlation is unknown; ties between sources go
to the smaller column.
"""

from typing import Literal

import numpy as np

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.typing import Array, BoolArray, IntArray

Join = Literal["union", "mutual", "directed"]

Kept = BoolArray

ROWS_AT_A_TIME = 128  # targets: a copy of the whole matrix takes longer than choosing


def nearest_neighbours(correlation: Array, *, threshold: float, k: int, join: Join, negative_edges: bool) -> Kept:
    """Mark, for every target, the k sources of largest |correlation|, and join both directions.

    Args:
        correlation: Symmetric.
        threshold: Smallest |correlation| of an edge; a correlation of exactly 0 is never one.
        k: Sources per target.
        join: `directed` leaves it at that; `union` adds the reverse of every edge, so that a target may
            have more than k sources; `mutual` keeps the edges whose reverse is there too.
        negative_edges: Whether a negative correlation may make an edge.
    """
    kept = np.empty(correlation.shape, dtype=bool)
    for start in range(0, len(correlation), ROWS_AT_A_TIME):
        strength = correlation[start : start + ROWS_AT_A_TIME].copy()
        if negative_edges:
            np.abs(strength, out=strength)
        np.fill_diagonal(strength[:, start:], 0.0)
        kept[start : start + ROWS_AT_A_TIME] = strongest(strength, k, threshold)
    target, source = marked(kept)
    if join == "union":
        kept[source, target] = True
    elif join == "mutual":
        kept[target, source] = kept[source, target]
    return kept


def nearest_in_sector(correlation: Array, ids: IntArray, k: int) -> Kept:
    """Mark, for every target, the k stocks of its sector with the largest positive correlation.

    There is no threshold. A stock of unknown sector (-1) has no such neighbours.
    """
    kept = np.zeros(correlation.shape, dtype=bool)
    for sector in range(int(ids.max(initial=-1)) + 1):
        members = np.flatnonzero(ids == sector)
        block = np.ix_(members, members)
        strength = correlation[block]
        np.fill_diagonal(strength, 0.0)
        kept[block] = strongest(strength, k)
    return kept


def strongest(strength: Array, k: int, threshold: float = 0.0) -> Kept:
    """Mark the k largest values of each row that are positive and no less than the threshold."""
    kept = np.zeros(strength.shape, dtype=bool)
    _mark_strongest(strength, min(k, strength.shape[1]), strength.dtype.type(threshold), kept)
    return kept


def cap_degree(kept: Kept, strength: Array, k: int) -> Kept:
    """Keep of each row's marked values the k of the largest size."""
    row, column = marked(kept)
    order = np.lexsort((column, -np.abs(strength[row, column]), row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    capped = np.zeros(kept.shape, dtype=bool)
    capped[row[place < k], column[place < k]] = True
    return capped


def marked(kept: Kept) -> tuple[IntArray, IntArray]:
    """Return what `np.nonzero` does, for few in a large matrix in a tenth of its time."""
    return np.divmod(np.flatnonzero(kept), max(kept.shape[1], 1))


@compiled
def _mark_strongest(strength: Array, k: int, threshold: float, kept: Kept) -> None:
    """Read each row once; few values displace one of the k largest before them."""
    columns, values = np.empty(k, np.int64), np.empty(k, strength.dtype)
    for row in range(strength.shape[0]):
        count = 0
        for column in range(strength.shape[1]):
            value = strength[row, column]
            if not (value > 0 and value >= threshold) or (count == k and value <= values[k - 1]):
                continue
            count = min(count + 1, k)
            place = count - 1
            while place > 0 and values[place - 1] < value:  # behind its equals, whose columns are smaller
                values[place], columns[place] = values[place - 1], columns[place - 1]
                place -= 1
            values[place], columns[place] = value, column
        for place in range(count):
            kept[row, columns[place]] = True
