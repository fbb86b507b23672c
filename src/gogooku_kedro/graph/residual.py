"""What is left of the returns of one window when the common movement is taken out."""

from typing import Literal, get_args

import numpy as np

from gogooku_kedro.arrays.groups import leave_one_out_mean
from gogooku_kedro.typing import Array, IntArray

Residual = Literal["none", "market", "sector", "pca"]


def residual_returns(returns: Array, index_return: Array, ids: IntArray, residual: Residual, pca_factors: int) -> Array:
    """Take the common movement out of the returns of one window; nothing outside it is read.

    Args:
        returns: `(window, N)` one-session returns, NaN where absent.
        index_return: `(window,)` one-session returns of the market index, NaN where absent.
        ids: `(N,)` sector of each column, -1 where unknown.
        residual: `none` returns the input; `market` the residual of each column's regression on the
            index; `sector` subtracts from that the mean residual of the other stocks of the sector (a
            stock without such others on that date keeps its market residual); `pca` the residual of each
            column's regression on `principal_factors`.
        pca_factors: Number of factors; read by `pca` only.

    Returns:
        `(window, N)`, NaN where the return (or, for `market` and `sector`, the index return) is
        absent, and, for `pca`, in columns with fewer than `pca_factors` + 2 returns.

    Raises:
        ValueError: Unknown residual.
    """
    if residual not in get_args(Residual):
        raise ValueError(f"graph.residual = {residual!r}: choose one of {get_args(Residual)}")
    if residual == "none":
        return returns
    if residual == "pca":
        return _regression_residual(returns, principal_factors(returns, pca_factors))
    errors = _market_residual(returns, index_return)
    if residual == "market":
        return errors
    others: Array = np.nan_to_num(leave_one_out_mean(errors, ids))
    return errors - others


def principal_factors(returns: Array, n_factors: int) -> Array:
    """Return the strongest common factors of the columns: principal components of their correlation.

    Each column is centred and scaled to unit variance over its own present rows; absent returns count
    as its mean. The factors are the leading eigenvectors of the `(window, window)` cross product.

    Args:
        returns: `(window, N)`, NaN where absent.
        n_factors: At most `window`.

    Returns:
        `(window, n_factors)` orthonormal columns, strongest first; their signs carry no meaning.
    """
    present = np.isfinite(returns)
    n = np.maximum(present.sum(axis=0), 1)
    filled = np.where(present, returns, 0.0)
    centred = np.where(present, filled - filled.sum(axis=0) / n, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / n)
    scaled = centred / np.where(deviation > 0, deviation, np.inf)
    _, vectors = np.linalg.eigh(scaled @ scaled.T)  # eigenvalues rise
    factors: Array = vectors[:, ::-1][:, :n_factors]
    return factors


def _regression_residual(returns: Array, factors: Array) -> Array:
    """Residual of r = alpha + factors · beta on each column's own present rows."""
    design = np.column_stack([np.ones(len(factors)), factors])
    width = design.shape[1]
    present = np.isfinite(returns)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    normal = (present.T.astype(np.float64) @ products).reshape(-1, width, width)
    moments = np.where(present, returns, 0.0).T @ design
    beta = (np.linalg.pinv(normal, hermitian=True) @ moments[:, :, None])[:, :, 0]
    enough = present.sum(axis=0) > width
    return np.where(present & enough, returns - design @ beta.T, np.nan)


def _market_residual(returns: Array, index_return: Array) -> Array:
    """Residual of r = alpha + beta m on the rows where both are present, column by column."""
    present = np.isfinite(returns) & np.isfinite(index_return)[:, None]
    n = np.maximum(present.sum(axis=0), 1)
    market = np.where(present, index_return[:, None], 0.0)
    market = np.where(present, market - market.sum(axis=0) / n, 0.0)
    own = np.where(present, returns, 0.0)
    own = np.where(present, own - own.sum(axis=0) / n, 0.0)
    variance = (market**2).sum(axis=0)
    beta = (market * own).sum(axis=0) / np.where(variance > 0, variance, np.inf)
    return np.where(present, own - beta * market, np.nan)
