"""The edges of one as-of date, from the rows of its window and nothing else."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gogooku_kedro.graph.correlation import correlate
from gogooku_kedro.graph.lead_lag import lead_lag_neighbours
from gogooku_kedro.graph.residual import residual_returns
from gogooku_kedro.graph.select import Kept, cap_degree, marked, nearest_in_sector, nearest_neighbours
from gogooku_kedro.params.graph import GraphParams
from gogooku_kedro.typing import Array, BoolArray, Float32Array, IntArray, TextArray


class Window(NamedTuple):
    """What one graph is built from: the stocks that traded inside the window, in the panel's order."""

    codes: TextArray  # (N,)
    sector_ids: IntArray  # (N,), -1 where unknown
    returns: Array  # (window, N) one-session returns, NaN where absent
    index_return: Array  # (window,), NaN where absent or not needed


class Snapshot(NamedTuple):
    """Edges as positions in `Window.codes`, sorted by target and source; self loops included."""

    source: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    correlation: Float32Array  # 1 of a self loop, 0 where the pair has too few observations
    lead_correlation: Float32Array  # 0 where not tested
    is_correlation: BoolArray
    is_sector_nearest: BoolArray
    is_lead_lag: BoolArray


def find_edges(window: Window, params: GraphParams) -> Snapshot:
    """Return the edges between the stocks of a window.

    Pairs found in several ways are one edge with several indicators. The cap on the in-degree comes
    last and ranks sources by |correlation| or, of a lead-lag edge, |lead correlation| if larger.

    Args:
        window: Returns up to and including the as-of date.
        params: The section `graph`; `cadence`, `checks` and `cache_dir` are not read.
    """
    errors = residual_returns(
        window.returns, window.index_return, window.sector_ids, params.residual, params.pca_factors
    )
    correlation = correlate(errors, params.correlation, params.min_observations, params.half_life)
    correlation[np.isnan(correlation)] = 0.0
    neighbours = nearest_neighbours(
        correlation, threshold=params.threshold, k=params.k, join=params.join, negative_edges=params.negative_edges
    )
    near = leads = np.zeros(neighbours.shape, dtype=bool)
    lead = np.zeros(neighbours.shape, dtype=np.float32)
    if params.sector_nearest:
        near = nearest_in_sector(correlation, window.sector_ids, params.sector_nearest)
    if params.lead_lag.enabled:
        lead, leads = lead_lag_neighbours(
            errors,
            min_observations=params.min_observations,
            fdr=params.lead_lag.fdr,
            k=params.lead_lag.k,
            negative_edges=params.negative_edges,
        )
    kept = neighbours | near | leads
    if params.max_degree is not None:
        strength = np.maximum(np.abs(correlation), np.where(leads, np.abs(lead), 0.0))
        kept = cap_degree(kept, strength, params.max_degree)
    np.fill_diagonal(correlation, 1.0)
    np.fill_diagonal(kept, True)
    return _gather(kept, correlation, lead, (neighbours, near, leads))


def _gather(kept: Kept, correlation: Array, lead: Array, kinds: tuple[Kept, Kept, Kept]) -> Snapshot:
    target, source = marked(kept)
    return Snapshot(
        source.astype(np.int32),
        target.astype(np.int32),
        correlation[target, source],
        lead[target, source],
        *(kind[target, source] for kind in kinds),
    )
