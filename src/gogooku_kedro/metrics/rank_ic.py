"""Correlations between scores and returns across the stocks of each date."""

from __future__ import annotations

import bottleneck as bn
import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.typing import BoolArray, FloatArray

MIN_PAIRS = 5
"""A date with fewer stocks that carry both a score and a return has no cross-section to rank."""


def matched(score: ArrayLike, ret: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return score and return, both (date, code) float64, NaN wherever either is missing.

    Raises:
        ValueError: The two arrays are not two-dimensional or differ in shape.
    """
    scores, returns = np.asarray(score, dtype=np.float64), np.asarray(ret, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != returns.shape:
        raise ValueError(
            f"score has shape {scores.shape} and ret {returns.shape}; pass two wide arrays of the same (date, code)"
        )
    present = np.isfinite(scores) & np.isfinite(returns)
    return np.where(present, scores, np.nan), np.where(present, returns, np.nan)


def row_ranks(values: FloatArray) -> FloatArray:
    """Return the ranks 1..n of each date's values (date, code); ties share their average rank.

    NaN stays NaN and takes no rank.
    """
    ranks: FloatArray = bn.nanrankdata(values, axis=1)
    return ranks


def rank_shares(values: FloatArray) -> FloatArray:
    """Return the ranks of each date's values (date, code) as shares of their number, above 0 and up to 1."""
    shares: FloatArray = row_ranks(values) / np.maximum(np.isfinite(values).sum(axis=1, keepdims=True), 1)
    return shares


def row_correlation(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the Pearson correlation per date (date,) of two matched arrays (date, code).

    NaN where fewer than `MIN_PAIRS` stocks are present or either side is constant on the date.
    """
    n = np.isfinite(left).sum(axis=1)
    usable = (n >= MIN_PAIRS) & ~is_constant(left) & ~is_constant(right)
    correlation = np.full(len(left), np.nan)
    x, y = _centred(left[usable]), _centred(right[usable])
    covariance = (x * y).sum(axis=1)
    correlation[usable] = covariance / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    bounded: FloatArray = np.clip(correlation, -1.0, 1.0)
    return bounded


def rank_ic(score: ArrayLike, ret: ArrayLike) -> FloatArray:
    """Return the rank IC of each date (date,): Spearman correlation of score and return.

    Args:
        score: (date, code); high = expected to do better; NaN = no score.
        ret: (date, code), fractions; NaN = no label.

    Returns:
        Values in [-1, 1]; NaN (never 0) on dates with fewer than `MIN_PAIRS` pairs or a constant
        side. Ties share their average rank, as in `scipy.stats.spearmanr`.
    """
    scores, returns = matched(score, ret)
    return row_correlation(row_ranks(scores), row_ranks(returns))


def ic(score: ArrayLike, ret: ArrayLike) -> FloatArray:
    """Return the IC of each date (date,): Pearson correlation of score and return.

    Shapes and missing values as in `rank_ic`; equals `scipy.stats.pearsonr` date by date.
    """
    return row_correlation(*matched(score, ret))


def is_constant(values: FloatArray) -> BoolArray:
    """Return, per date, whether all present values of a (date, code) array are equal."""
    lowest = np.min(values, axis=1, initial=np.inf, where=~np.isnan(values))
    highest = np.max(values, axis=1, initial=-np.inf, where=~np.isnan(values))
    constant: BoolArray = lowest >= highest
    return constant


def _centred(values: FloatArray) -> FloatArray:
    """Deviations from the date's mean; absent values become 0, so that sums skip them."""
    deviation = values - np.nanmean(values, axis=1, keepdims=True)
    filled: FloatArray = np.nan_to_num(deviation, nan=0.0)
    return filled
