"""What a score does, whatever comes of it: whom it covers, how it tells stocks apart, how long it lasts."""

from __future__ import annotations

import bottleneck as bn
import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.rank_ic import MIN_PAIRS, is_constant, rank_ic
from gogooku_kedro.typing import BoolArray, FloatArray


def coverage(score: ArrayLike, in_universe: BoolArray) -> FloatArray:
    """Return the share of the date's universe that has a score (date,).

    Args:
        score: (date, code), NaN = no score.
        in_universe: (date, code) bool, the stocks that should have one.

    Returns:
        0 to 1; NaN on dates without one.
    """
    scored = np.isfinite(np.asarray(score, dtype=np.float64)) & in_universe
    members = in_universe.sum(axis=1)
    return np.where(members > 0, scored.sum(axis=1) / np.maximum(members, 1), np.nan)


def dispersion(score: ArrayLike) -> FloatArray:
    """Return the standard deviation of each date's scores over the stocks (date,), in units of the score.

    0 where all stocks have one score: that is a finding, not a missing number. NaN on dates with
    fewer than `MIN_PAIRS` scores.
    """
    scores = np.asarray(score, dtype=np.float64)
    enough = np.isfinite(scores).sum(axis=1) >= MIN_PAIRS
    spread = np.full(len(scores), np.nan)
    spread[enough] = bn.nanstd(scores[enough], axis=1, ddof=1)
    return np.where(enough & is_constant(scores), 0.0, spread)


def distinct_share(score: ArrayLike) -> FloatArray:
    """Return the number of different scores of each date over the number of scores (date,).

    1 = no two stocks share a score, 1 / n = all do. NaN on dates with fewer than `MIN_PAIRS` scores.
    """
    ordered = np.sort(np.asarray(score, dtype=np.float64), axis=1)  # NaN comes last
    n = np.isfinite(ordered).sum(axis=1)
    different = (np.diff(ordered, axis=1) > 0).sum(axis=1) + 1
    return np.where(n >= MIN_PAIRS, different / np.maximum(n, 1), np.nan)


def autocorrelation(score: ArrayLike, sessions: int) -> FloatArray:
    """Return the rank correlation of each date's scores with those of `sessions` before (date,).

    Spearman over the stocks that have both. NaN on the first `sessions` dates, with fewer than
    `MIN_PAIRS` such stocks, and where either side is constant.

    Raises:
        ValueError: `sessions` is below 1.
    """
    if sessions < 1:
        raise ValueError(f"sessions is {sessions}; a score is compared with one of 1 session before or more")
    scores = np.asarray(score, dtype=np.float64)
    correlation = np.full(len(scores), np.nan)
    if len(scores) > sessions:
        correlation[sessions:] = rank_ic(scores[sessions:], scores[:-sessions])
    return correlation
