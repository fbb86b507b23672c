"""Correlations of all pairs of stocks inside one window, with missing returns, by matrix products."""

from typing import Literal, NamedTuple, get_args

import numpy as np

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.typing import Array, BoolArray, Float32Array

Correlation = Literal["pearson", "ewma", "spearman"]


_BLOCK = 256  # stocks whose pairs are worked on at once: fewer are slower in BLAS, more leave the cache
_ONE, _UNKNOWN = np.float32(1.0), np.float32(np.nan)
_LEAST_VARIATION = np.float32(1e-4)  # of the mean square: a standard deviation of 1 % of the mean


def correlate(returns: Array, kind: Correlation, min_observations: int, half_life: float) -> Array:
    """Return the correlation of every pair of columns over the rows where both are present.

    Args:
        returns: `(window, N)`, NaN where absent.
        kind: `pearson`; `ewma`, Pearson with weights that halve every `half_life` sessions back from
            the last row; `spearman`, Pearson of `column_ranks`.
        min_observations: Common rows below which the correlation is NaN, whatever their weights.
        half_life: Sessions; read by `ewma` only.

    Returns:
        As `masked_correlation`.

    Raises:
        ValueError: Unknown kind.
    """
    if kind not in get_args(Correlation):
        raise ValueError(f"graph.correlation = {kind!r}: choose one of {get_args(Correlation)}")
    if kind == "ewma":
        return masked_correlation(returns, min_observations, half_life)
    return masked_correlation(column_ranks(returns) if kind == "spearman" else returns, min_observations)


def masked_correlation(returns: Array, min_observations: int, half_life: float | None = None) -> Array:
    """Return the Pearson correlation of every pair of columns over the rows where both are present.

    Products of `(window, N)` matrices give sums, squares and cross products of all pairs; rows
    are dates, so that a halted stock stays aligned with the others. Columns are centred and scaled in
    float64, the products are float32: the result differs from float64 by less than 1e-6.

    Args:
        returns: `(window, N)`, NaN where absent.
        min_observations: Common rows below which the correlation is NaN.
        half_life: Sessions after which a row's weight has halved, counted from the last; None for
            equal weights.

    Returns:
        `(N, N)` float32 in [-1, 1], symmetric in every bit; NaN also where a column does not vary (a
        standard deviation below 1 % of the mean) over the rows it shares with the other.
    """
    columns = _prepare(returns, _row_weights(len(returns), half_life))
    n = returns.shape[1]
    correlation = np.empty((n, n), np.float32)
    for start in range(0, n, _BLOCK):
        rows, rest = slice(start, start + _BLOCK), slice(start, None)
        block, _ = _correlation_of(columns.take(rows), columns.take(rest), min_observations)
        corner, lower = block[:, : len(block)], np.tril_indices(len(block), -1)
        # A product may round (i, j) and (j, i) differently.
        corner[lower] = corner.T[lower]
        correlation[rows, rest] = block
        correlation[rest, rows] = block.T
    return correlation


def lagged_correlation(returns: Array, min_observations: int) -> tuple[Array, Array]:
    """Return the correlation of each column with every column of the row before, and of how many pairs of rows.

    Args:
        returns: `(window, N)`, NaN where absent. The row before is the session before, whether or not
            the stock traded then.
        min_observations: Pairs of consecutive rows below which the correlation is NaN.

    Returns:
        `(N, N)` `[target, source]`: how the source's return of a session goes with the target's return
        of the next one, float32, NaN as in `masked_correlation`; and in how many pairs of consecutive rows
        both are present, uint16.
    """
    equal = np.ones(len(returns) - 1)
    targets, sources = _prepare(returns[1:], equal), _prepare(returns[:-1], equal)
    n = returns.shape[1]
    correlation, observations = np.empty((n, n), np.float32), np.empty((n, n), np.uint16)
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        correlation[rows], observations[rows] = _correlation_of(targets.take(rows), sources, min_observations)
    return correlation, observations


def column_ranks(returns: Array) -> Array:
    """Return the rank of each value among the present ones of its column; ties share their mean rank.

    A column is ranked once. Where a pair has gaps on different rows, ranks keep the steps that the
    other's gaps leave, unlike pandas' pairwise Spearman; without gaps the two are the same.

    Args:
        returns: `(window, N)`, NaN where absent and in the result.
    """
    columns = np.ascontiguousarray(returns.T, dtype=np.float64)
    ranks = np.empty_like(columns)
    _rank(columns, np.sort(columns, axis=1), ranks)
    return np.ascontiguousarray(ranks.T)


class _Columns(NamedTuple):
    """Float32 `(window, N)`: what the products need of centred and scaled columns, 0 where absent."""

    values: Array  # sqrt(weight) times the value
    squares: Array
    present: Array
    weights: Array  # sqrt(weight); `present` itself for equal weights
    bits: Array  # of `_packed`

    def take(self, columns: slice) -> "_Columns":
        values, squares, present, weights, bits = (matrix[:, columns] for matrix in self)
        return _Columns(values, squares, present, present if self.weights is self.present else weights, bits)


def _row_weights(n_rows: int, half_life: float | None) -> Array:
    if half_life is None:
        return np.ones(n_rows)
    return np.exp2(-np.arange(n_rows - 1, -1, -1) / half_life)


def _prepare(returns: Array, weight: Array) -> _Columns:
    present = np.isfinite(returns)
    filled = np.where(present, returns, 0.0)
    weights = np.where(present, weight[:, None], 0.0)
    total = weights.sum(axis=0)
    mean = (weights * filled).sum(axis=0) / np.where(total > 0, total, 1.0)
    centred = np.where(present, filled - mean, 0.0)
    variance = (weights * centred**2).sum(axis=0)
    scaled = centred / np.sqrt(np.where(variance > 0, variance, 1.0))
    values = (np.sqrt(weights) * scaled).astype(np.float32)
    mask = present.astype(np.float32)
    roots = mask if (weight == 1).all() else np.sqrt(weights).astype(np.float32)
    return _Columns(values, values**2, mask, roots, _packed(present))


def _correlation_of(left: _Columns, right: _Columns, min_observations: int) -> tuple[Array, Float32Array]:
    """Correlation `(left, right)` from sums over the rows where both are present, and the number of these rows.

    With weights w of sum W it is (W Σwxy - Σwx Σwy) / sqrt((W Σwx² - (Σwx)²) (W Σwy² - (Σwy)²)).
    """
    count = _common_bits(left.bits, right.bits)
    total = count if left.weights is left.present else left.weights.T @ right.weights
    left_sum, right_sum = left.values.T @ right.weights, left.weights.T @ right.values
    left_square, right_square = left.squares.T @ right.present, left.present.T @ right.squares
    products: Array = left.values.T @ right.values
    enough = np.float32(max(min_observations, 2))
    _divide(products, left_sum, right_sum, left_square, right_square, total, count, enough)
    return products, count


def _packed(present: BoolArray) -> Array:
    """Return 64 rows to an integer, a bit each, `(words, N)`; a last word is filled up with zeros."""
    rows, n = present.shape
    filled = np.zeros((-(-rows // 64) * 64, n), dtype=bool)
    filled[:rows] = present
    eighths = np.packbits(filled, axis=0).reshape(len(filled) // 64, 8, n).transpose(0, 2, 1)
    return np.ascontiguousarray(eighths).view(np.uint64)[..., 0]


@compiled
def _rank(columns: Array, ascending: Array, ranks: Array) -> None:
    """Look every value up in its sorted row: a fifth of the time of sorting positions.

    All values of a row halve their part of it together, without a branch that the processor would have to guess.
    """
    n = columns.shape[1]
    smaller = np.empty(n, np.int64)
    for row in range(columns.shape[0]):
        smaller[:] = 0
        left = n
        while left > 0:
            half = (left + 1) // 2
            for i in range(n):
                smaller[i] += half * (ascending[row, smaller[i] + half - 1] < columns[row, i])
            left -= half
        for i in range(n):
            value, last = columns[row, i], smaller[i]
            while last + 1 < n and ascending[row, last + 1] == value:
                last += 1
            ranks[row, i] = np.nan if np.isnan(value) else (smaller[i] + last) / 2 + 1


@compiled
def _common_bits(left: Array, right: Array) -> Float32Array:
    """Count the bits that two columns share: exact, and a tenth of the time of a product of matrices."""
    twos, fours, eights = (
        np.uint64(0x5555555555555555),
        np.uint64(0x3333333333333333),
        np.uint64(0x0F0F0F0F0F0F0F0F),
    )
    count = np.zeros((left.shape[1], right.shape[1]), np.float32)
    for i in range(left.shape[1]):
        for word in range(left.shape[0]):
            own = left[word, i]
            for j in range(right.shape[1]):
                x = own & right[word, j]
                x -= (x >> np.uint64(1)) & twos
                x = (x & fours) + ((x >> np.uint64(2)) & fours)
                x = (x + (x >> np.uint64(4))) & eights
                count[i, j] += np.float32(np.int32((x * np.uint64(0x0101010101010101)) >> np.uint64(56)))
    return count


@compiled
def _divide(
    products: Array,
    left_sum: Array,
    right_sum: Array,
    left_square: Array,
    right_square: Array,
    total: Array,
    count: Array,
    enough: np.float32,
) -> None:
    """Make correlations of Σwxy, in one pass in float32: memory traffic costs more than the arithmetic."""
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            w, x, y = total[i, j], left_sum[i, j], right_sum[i, j]
            xx, yy = left_square[i, j] * w, right_square[i, j] * w
            variances = (xx - x * x) * (yy - y * y)
            known = (count[i, j] >= enough) & (variances > xx * yy * _LEAST_VARIATION)
            r = (products[i, j] * w - x * y) / np.sqrt(variances if known else _UNKNOWN)
            r = _ONE if r > _ONE else r
            products[i, j] = -_ONE if r < -_ONE else r
