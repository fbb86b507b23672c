"""Masked correlation of residual returns inside one window, by matrix products."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gogooku_kedro.features.groups import leave_one_out_mean

Residual = Literal["none", "market", "sector"]

Array = npt.NDArray[Any]


def masked_correlation(returns: Array, min_observations: int) -> Array:
    """Return the Pearson correlation of every pair of columns over the rows where both are present.

    Five products of `(window, N)` matrices give counts, sums, squares and cross products of all
    pairs; rows are dates, so that a halted stock stays aligned with the others.

    Args:
        returns: `(window, N)`, NaN where absent.
        min_observations: Common rows below which the correlation is NaN.

    Returns:
        `(N, N)` float64 in [-1, 1], symmetric; NaN also where a column does not vary.
    """
    present = np.isfinite(returns)
    mask = present.astype(np.float64)
    count_of_column = np.maximum(present.sum(axis=0), 1)
    filled = np.where(present, returns, 0.0)
    centred = np.where(present, filled - filled.sum(axis=0) / count_of_column, 0.0)
    n = mask.T @ mask
    sums = centred.T @ mask  # [i, j]: sum of i over the rows where j is present too
    squares = (centred**2).T @ mask
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = centred.T @ centred - sums * sums.T / n
        variance = squares - sums**2 / n
        variance = np.where(variance > 1e-12 * squares, variance, np.nan)
        correlation = covariance / np.sqrt(variance * variance.T)
    enough = n >= max(min_observations, 2)
    return np.where(enough, np.clip(correlation, -1.0, 1.0), np.nan)


def residual_returns(
    returns: Array, index_return: Array, ids: npt.NDArray[np.int64], residual: Residual
) -> Array:
    """Take the common movement out of the returns of one window.

    Args:
        returns: `(window, N)` one-day returns, NaN where absent.
        index_return: `(window,)` one-day returns of the market index, NaN where absent.
        ids: `(N,)` sector of each column, -1 where unknown.
        residual: `none` returns the input; `market` the residual of each column's regression on the
            index inside the window; `sector` subtracts from that the mean residual of the other
            stocks of the sector (a stock without a peer on that date keeps its market residual).

    Returns:
        `(window, N)`, NaN where the return (or, beyond `none`, the index return) is absent.

    Raises:
        ValueError: Unknown residual.
    """
    if residual not in get_args(Residual):
        raise ValueError(f"graph.residual = {residual!r}: choose one of {get_args(Residual)}")
    if residual == "none":
        return returns
    errors = _market_residual(returns, index_return)
    if residual == "market":
        return errors
    peers: Array = np.nan_to_num(leave_one_out_mean(errors, ids))
    return errors - peers


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
