"""Edges from stocks that move a session ahead, with a bound on the share of false ones."""

import numpy as np
from scipy import special

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.graph.correlation import column_ranks, lagged_correlation
from gogooku_kedro.graph.select import Kept, cap_degree
from gogooku_kedro.typing import Array, IntArray


def lead_lag_neighbours(
    returns: Array, *, min_observations: int, fdr: float, k: int, negative_edges: bool
) -> tuple[Array, Kept]:
    """Return how every stock follows every other a session later, and which of it is no chance.

    The correlation is Spearman's, because a p-value below 1e-5 must hold with heavy tails: of the
    source's return of session t - 1 with the target's of t, both inside the window, `window` - 1 pairs.

    Args:
        returns: `(window, N)` residual returns, NaN where absent.
        min_observations: As of the contemporaneous correlation; a lag costs one session, so that one
            pair less is asked for (4 at least).
        fdr: Expected share of false ones among the edges found, as in `benjamini_hochberg`.
        k: Strongest sources kept per target.
        negative_edges: Whether a negative correlation may make an edge.

    Returns:
        `(N, N)` `[target, source]`: the correlation (0 where it was not tested, and of a stock with
        itself), and the edges.
    """
    correlation, observations = lagged_correlation(column_ranks(returns), max(min_observations - 1, 4))
    np.fill_diagonal(correlation, np.nan)
    found = benjamini_hochberg(correlation, observations, fdr)
    correlation[np.isnan(correlation)] = 0.0
    found &= correlation != 0 if negative_edges else correlation > 0
    return correlation, cap_degree(found, correlation, k)


def benjamini_hochberg(correlation: Array, observations: Array, fdr: float) -> Kept:
    """Mark the correlations that differ from 0 at a false discovery rate, all pairs tested at once.

    Two-sided test of t = r sqrt((n - 2) / (1 - r²)) with n - 2 degrees of freedom, then the step-up
    rule of Benjamini and Hochberg (1995): of m tests, reject up to the largest p_(i) <= i / m * fdr.
    P-values are computed and sorted only for the correlations that may be rejected.

    Args:
        correlation: Any shape; NaN where there is no test.
        observations: Pairs behind each correlation, more than 2 where there is a test.
        fdr: Expected share of false ones among those marked, in (0, 1). Holds under independence and
            positive dependence of the tests.
    """
    rejected = np.zeros(correlation.shape, dtype=bool)
    tests = int(np.count_nonzero(np.isfinite(correlation)))
    if not tests:
        return rejected
    candidates = np.unravel_index(
        _candidates(correlation, float(observations.max()) - 2, fdr, tests), correlation.shape
    )
    p = _two_sided_p(correlation[candidates], observations[candidates])
    ascending = np.sort(p)
    passing = ascending <= fdr * np.arange(1, len(p) + 1) / tests
    if passing.any():
        last = ascending[np.flatnonzero(passing)[-1]]
        rejected[candidates] = p <= last
    return rejected


def _candidates(correlation: Array, freedom: float, fdr: float, tests: int) -> IntArray:
    """Return the flat positions of the correlations that may be rejected.

    Rejected p are at most fdr, so that at most as many are rejected as are no larger, so that rejected p are at
    most that number / m * fdr, and so on. No pair has p <= q below the |r| that has it with the most freedom.
    """
    values = correlation.ravel()
    possible = _count_beyond(values, _least(freedom, fdr))
    positions = _beyond(values, _least(freedom, fdr * possible / tests)) if possible else np.empty(0, np.int64)
    size = np.abs(values[positions])
    while len(positions):
        stay = size >= _least(freedom, fdr * len(positions) / tests)
        if stay.mean() > 0.9:  # hardly fewer
            break
        positions, size = positions[stay], size[stay]
    return positions


@compiled
def _count_beyond(values: Array, least: float) -> int:
    """How many values have a size of at least `least`."""
    count = 0
    for value in values:
        count += np.abs(value) >= least
    return count


@compiled
def _beyond(values: Array, least: float) -> IntArray:
    """Positions of these values."""
    count = 0
    for value in values:
        count += np.abs(value) >= least
    positions, place = np.empty(count, np.int64), 0
    for i in range(len(values)):
        if np.abs(values[i]) >= least:
            positions[place] = i
            place += 1
    return positions


def _least(freedom: float, p: float) -> float:
    """|r| below which p is larger than this, and a little less for rounding."""
    t = special.stdtrit(freedom, p / 2)
    return float(-t / np.sqrt(freedom + t**2) * (1 - 1e-6))


def _two_sided_p(correlation: Array, observations: Array) -> Array:
    r = np.abs(correlation.astype(np.float64))
    freedom = observations.astype(np.float64) - 2
    with np.errstate(divide="ignore"):
        t = r * np.sqrt(freedom / (1 - r**2))
    p: Array = 2 * special.stdtr(freedom, -t)
    return p
