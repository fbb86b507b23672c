"""How likely a Sharpe ratio is more than luck: probabilistic and deflated Sharpe.

Every Sharpe ratio in this module is *daily* (mean / standard deviation of daily returns).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from gogooku_kedro.metrics.significance import MIN_DAYS, icir

EULER_MASCHERONI = 0.5772156649015329

daily_sharpe = icir


def sharpe_probability(
    ratio: float, threshold: float, days: int, skewness: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probability that the true daily Sharpe ratio exceeds a threshold, given a measured one.

    PSR = Phi[(SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)]
    (Bailey and Lopez de Prado, 2012).

    Args:
        ratio: Measured daily Sharpe ratio SR.
        threshold: Daily Sharpe ratio SR*.
        days: Sessions T behind the measured ratio.
        skewness: g3 of the daily returns.
        kurtosis: g4 of the daily returns, 3 for a normal distribution.
    """
    spread = math.sqrt(1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2)
    return float(ndtr((ratio - threshold) * math.sqrt(days - 1) / spread))


def probabilistic_sharpe(returns: ArrayLike, threshold: float = 0.0) -> float:
    """Return `sharpe_probability` of daily returns (date,), with their own skewness and kurtosis.

    Args:
        returns: Fractions; missing sessions are left out.
        threshold: Daily Sharpe ratio.

    Returns:
        NaN with fewer than `MIN_DAYS` sessions or when the returns do not vary.
    """
    values = np.asarray(returns, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < MIN_DAYS or np.ptp(values) == 0.0:
        return math.nan
    standard = (values - values.mean()) / values.std()
    return sharpe_probability(daily_sharpe(values), threshold, len(values), (standard**3).mean(), (standard**4).mean())


def expected_best_sharpe(deviation: float, trials: int) -> float:
    """Return the daily Sharpe ratio that the best of several skill-less trials is expected to show.

    SR0 = sd [(1 - g) z(1 - 1/K) + g z(1 - 1/(K e))] with the Euler-Mascheroni constant g and the normal
    quantile z (Bailey and Lopez de Prado, 2014, eq. 6).

    Args:
        deviation: Standard deviation of the daily Sharpe ratios over the trials.
        trials: Their number K. One trial is no choice: 0.
    """
    if trials < 2:
        return 0.0
    first, second = ndtri(np.array([1.0 - 1.0 / trials, 1.0 - 1.0 / (trials * math.e)]))
    return float(deviation * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second))


def deflated_sharpe(returns: ArrayLike, deviation: float, trials: int) -> float:
    """Return the probability that a Sharpe ratio is more than the luck of the best of many trials.

    The probabilistic Sharpe ratio against `expected_best_sharpe` (Bailey and Lopez de Prado, 2014).
    Correlated trials count in full, which errs on the strict side.
    """
    return probabilistic_sharpe(returns, expected_best_sharpe(deviation, trials))
