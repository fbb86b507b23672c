"""Portfolios that a score would hold session by session, and what they earn before and after costs.

Conventions: a portfolio formed after session t is entered at the label's entry price and earns the
one-session return of the same entry; weights are set to their target every session.

Deciles are those of `pandas.qcut`: the stock of rank r among n is in decile k when (r - 1) / (n - 1) lies in
((k - 1) / 10, k / 10], the lowest in the first. Tied stocks share their average rank, so they stay together and
a negated score ties in the mirrored place; `qcut`, which refuses most ties, would take their lowest rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.rank_ic import MIN_PAIRS, is_constant, matched, row_ranks
from gogooku_kedro.typing import BoolArray, FloatArray

N_DECILES = 10


@dataclass(frozen=True)
class PortfolioReturns:
    """Daily results of one portfolio, each (date,), in fractions of the notional of one leg.

    Attributes:
        gross: sum of weight * one-session return; NaN on dates without any known return.
        net: gross - cost.
        turnover: sum |W_t - W_{t-1}| / 2, share of the portfolio replaced in the session.
        cost: cost_bps per side on the notional bought and sold.
    """

    gross: FloatArray
    net: FloatArray
    turnover: FloatArray
    cost: FloatArray


def decile_legs(ranks: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return the stocks (date, code) of the top and of the bottom decile.

    These are the deciles 10 and 1 of `decile_numbers`. Without ties they hold the same number of stocks, unless
    n - 1 is a multiple of 10: a stock exactly on an edge belongs to the decile below it, so the bottom holds one
    more. Tied stocks enter together, and a constant score fills neither. Dates with fewer than `MIN_PAIRS` ranked
    stocks have empty legs.

    Args:
        ranks: (date, code), 1..n per date, NaN = not ranked (`row_ranks`).
    """
    decile = decile_numbers(ranks)
    return decile == N_DECILES, decile == 1


def decile_numbers(ranks: FloatArray) -> FloatArray:
    """Return the decile 1..10 of each stock (date, code), 1 = lowest ranks; NaN = not ranked.

    Dates with fewer than `MIN_PAIRS` ranked stocks have no deciles.

    Args:
        ranks: (date, code), 1..n per date, NaN = not ranked (`row_ranks`).
    """
    n = np.isfinite(ranks).sum(axis=1, keepdims=True)
    # The product is exact and the quotient correctly rounded: a stock on an edge is on it here too.
    decile = np.ceil(N_DECILES * (ranks - 1.0) / np.maximum(n - 1, 1))
    return np.where(n >= MIN_PAIRS, np.maximum(decile, 1.0), np.nan)


def equal_weights(leg: BoolArray) -> FloatArray:
    """Return 1 / (stocks of the leg on the date) for its stocks, else 0 (date, code); an empty leg is 0."""
    size = leg.sum(axis=1, keepdims=True)
    weights: FloatArray = leg / np.maximum(size, 1)
    return weights


def long_short_targets(ranks: FloatArray) -> FloatArray:
    """Return target weights (date, code): top decile sums to +1, bottom decile to -1.

    A date on which either leg is empty has no portfolio (all 0).
    """
    top, bottom = decile_legs(ranks)
    both = top.any(axis=1, keepdims=True) & bottom.any(axis=1, keepdims=True)
    return np.where(both, equal_weights(top) - equal_weights(bottom), 0.0)


def overlapping(targets: FloatArray, horizon: int) -> FloatArray:
    """Return the held weights W_t (date, code): the mean of the last `horizon` target portfolios.

    Portfolios before the first date are empty, so the exposure builds up over `horizon` sessions as a
    desk would build it; a date without a portfolio adds an empty one.
    """
    padded = np.vstack([np.zeros((horizon, targets.shape[1])), targets])
    cumulative = np.cumsum(padded, axis=0)
    held: FloatArray = (cumulative[horizon:] - cumulative[:-horizon]) / horizon
    return np.where(np.abs(held) < 1e-12, 0.0, held)


def portfolio_returns(weights: FloatArray, session_return: ArrayLike, cost_bps: float) -> PortfolioReturns:
    """Return gross and net daily results of held weights.

    gross_t = sum_i W_ti * r_ti ;  cost_t = cost_bps / 10,000 * sum_i |W_ti - W_{t-1,i}|.

    Args:
        weights: Held weights (date, code); nothing is held before the first date.
        session_return: One-session entry-to-entry return (date, code), fractions. A position
            without one earns 0 that session (it could not be marked); a date without any is NaN.
        cost_bps: Cost per side in basis points of the notional traded.

    Raises:
        ValueError: `cost_bps` is negative.
    """
    if cost_bps < 0:
        raise ValueError(f"cost_bps is {cost_bps}; give a cost per side of 0 basis points or more")
    returns = np.asarray(session_return, dtype=np.float64)
    known = np.isfinite(returns).any(axis=1)
    before = np.vstack([np.zeros((1, weights.shape[1])), weights[:-1]])
    traded = np.abs(weights - before).sum(axis=1)
    gross = (weights * np.nan_to_num(returns, nan=0.0)).sum(axis=1)
    cost = cost_bps * 1e-4 * traded
    return PortfolioReturns(*(np.where(known, s, np.nan) for s in (gross, gross - cost, traded / 2, cost)))


def long_short(
    score: ArrayLike, session_return: ArrayLike, horizon: int, cost_bps: float, ranks: FloatArray | None = None
) -> PortfolioReturns:
    """Return the daily results of the overlapping decile long-short portfolio of a score.

    Args:
        score: (date, code); high = bought. Stocks without a score or without their first
            one-session return are not entered.
        session_return: One-session entry-to-entry return (date, code), fractions.
        horizon: Holding period in sessions = number of overlapping daily portfolios.
        cost_bps: Cost per side in basis points.
        ranks: `row_ranks` of the scores that have a one-session return, where they are at hand.
    """
    if ranks is None:
        ranks = row_ranks(matched(score, session_return)[0])
    targets = long_short_targets(ranks)
    return portfolio_returns(overlapping(targets, horizon), session_return, cost_bps)


def long_only(
    score: ArrayLike, session_return: ArrayLike, horizon: int, cost_bps: float, ranks: FloatArray | None = None
) -> PortfolioReturns:
    """Return the daily results of the overlapping top-decile portfolio over the universe.

    gross and net are excess returns over the equally weighted stocks that have a score and a
    return; the universe itself pays no cost. Arguments as in `long_short`.
    """
    scores, returns = matched(score, session_return)
    top, _ = decile_legs(row_ranks(scores) if ranks is None else ranks)
    top &= ~is_constant(scores)[:, None]
    held = overlapping(equal_weights(top), horizon)
    portfolio = portfolio_returns(held, session_return, cost_bps)
    universe = equal_weights(np.isfinite(returns))
    invested = held.sum(axis=1)
    market = invested * (universe * np.nan_to_num(returns, nan=0.0)).sum(axis=1)
    return PortfolioReturns(portfolio.gross - market, portfolio.net - market, portfolio.turnover, portfolio.cost)


def decile_means(score: ArrayLike, ret: ArrayLike, ranks: FloatArray | None = None) -> FloatArray:
    """Return the mean return of each score decile (date, decile 1..10), fractions.

    NaN on dates with fewer than `MIN_PAIRS` pairs or a constant score, and for empty deciles.

    Args:
        score: (date, code), NaN = no score.
        ret: (date, code), fractions, NaN = no label.
        ranks: `row_ranks` of the scores that have a label, where they are at hand.
    """
    scores, returns = matched(score, ret)
    decile = decile_numbers(row_ranks(scores) if ranks is None else ranks)
    usable = ~is_constant(scores)[:, None]
    means = np.full((len(scores), N_DECILES), np.nan)
    for k in range(1, N_DECILES + 1):
        inside = usable & (decile == k)
        total, size = np.where(inside, returns, 0.0).sum(axis=1), inside.sum(axis=1)
        np.divide(total, size, out=means[:, k - 1], where=size > 0)
    return means
