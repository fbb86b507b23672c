"""Which pairs become edges: thresholds, nearest neighbours, joins and the cap on the in-degree.

Every matrix is `(N, N)`, `[target, source]`, with 0 where a correlation is unknown; ties between sources go
to the smaller column.
"""

from typing import Literal

import numpy as np

from gogooku_kedro.typing import Array, BoolArray, IntArray

Join = Literal["union", "mutual", "directed"]

Kept = BoolArray


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
    strength = np.abs(correlation) if negative_edges else correlation.copy()
    np.fill_diagonal(strength, 0.0)
    kept = strongest(strength, k, threshold)
    if join == "union":
        return kept | kept.T
    return kept & kept.T if join == "mutual" else kept


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
    n = strength.shape[1]
    if k >= n:
        return (strength > 0) & (strength >= threshold)
    weakest_kept = np.partition(strength, n - k, axis=1)[:, n - k, None]
    return cap_degree((strength > 0) & (strength >= np.maximum(weakest_kept, threshold)), strength, k)


def cap_degree(kept: Kept, strength: Array, k: int) -> Kept:
    """Keep the k strongest of the marked values of each row."""
    row, column = np.nonzero(kept)
    order = np.lexsort((column, -strength[row, column], row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    capped = np.zeros(kept.shape, dtype=bool)
    capped[row[place < k], column[place < k]] = True
    return capped
