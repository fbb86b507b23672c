"""Figures of a series of daily returns on a constant notional: equity, drawdown and ratios.

Returns are fractions of a notional that stays the same, so they add up and never compound: 1 plus
their running sum is the equity. Ratios are annualised unless their name says daily. Missing sessions are left
out; a figure that does not exist is NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.typing import FloatArray


def equity(returns: ArrayLike) -> FloatArray:
    """Return 1 + the running sum of daily returns (date,); a missing session adds nothing."""
    curve: FloatArray = 1.0 + np.cumsum(np.nan_to_num(np.asarray(returns, dtype=np.float64), nan=0.0))
    return curve


def drawdown(returns: ArrayLike) -> FloatArray:
    """Return how far the equity lies below its highest value so far (date,), fractions of the notional.

    At least 0; the equity before the first session is 1 and counts as a high.
    """
    curve = equity(returns)
    fall: FloatArray = np.maximum.accumulate(np.r_[1.0, curve])[1:] - curve
    return fall


def max_drawdown(returns: ArrayLike) -> float:
    """Return the largest `drawdown`, a fraction of the notional; NaN without a session."""
    values = _present(returns)
    return float(drawdown(values).max()) if len(values) else math.nan


def annual_return(returns: ArrayLike, sessions_per_year: float) -> float:
    """Return the mean daily return times the sessions of a year, a fraction of the notional."""
    values = _present(returns)
    return float(values.mean() * sessions_per_year) if len(values) else math.nan


def annual_volatility(returns: ArrayLike, sessions_per_year: float) -> float:
    """Return the standard deviation of daily returns times the root of the sessions of a year."""
    values = _present(returns)
    return float(values.std(ddof=1) * math.sqrt(sessions_per_year)) if len(values) > 1 else math.nan


def sortino(returns: ArrayLike, sessions_per_year: float) -> float:
    """Return mean / downside deviation, annualised; the deviation is sqrt(mean(min(r, 0)^2)).

    NaN with fewer than two sessions or without a losing session (Sortino and Price, 1994; target 0).
    """
    values = _present(returns)
    downside = math.sqrt(np.mean(np.minimum(values, 0.0) ** 2)) if len(values) > 1 else 0.0
    return float(values.mean() / downside * math.sqrt(sessions_per_year)) if downside > 0 else math.nan


def calmar(returns: ArrayLike, sessions_per_year: float) -> float:
    """Return annual return / largest drawdown, over all sessions given; NaN without a drawdown."""
    deepest = max_drawdown(returns)
    return annual_return(returns, sessions_per_year) / deepest if deepest > 0 else math.nan


def hit_days(returns: ArrayLike) -> float:
    """Return the share of sessions with a return above 0; NaN without a session."""
    values = _present(returns)
    return float((values > 0.0).mean()) if len(values) else math.nan


def performance(returns: ArrayLike, sessions_per_year: float) -> dict[str, float]:
    """Return all figures of this module of one series of daily returns (date,), by name."""
    return {
        "annual_return": annual_return(returns, sessions_per_year),
        "annual_volatility": annual_volatility(returns, sessions_per_year),
        "sharpe": sharpe(returns, sessions_per_year),
        "sortino": sortino(returns, sessions_per_year),
        "calmar": calmar(returns, sessions_per_year),
        "max_drawdown": max_drawdown(returns),
        "hit_days": hit_days(returns),
    }


def _present(returns: ArrayLike) -> FloatArray:
    values = np.asarray(returns, dtype=np.float64)
    present: FloatArray = values[np.isfinite(values)]
    return present
