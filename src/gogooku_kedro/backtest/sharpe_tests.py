"""How likely a Sharpe ratio is more than luck: probabilistic and deflated Sharpe, and intervals.

Every Sharpe ratio inside this module's formulas is *daily* (mean / standard deviation of daily returns);
only `SharpeIntervals` annualises, on its way out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from arch.bootstrap import StationaryBootstrap
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from gogooku_kedro.metrics.significance import MIN_DAYS, block_lengths, icir, percentiles
from gogooku_kedro.typing import FloatArray

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


class SharpeIntervals:
    """Stationary-bootstrap intervals of many series, equal to `significance.bootstrap_sharpe_ci`.

    Series of the same number of sessions and the same block length share their draws, which are kept as the
    number of times that each session is drawn.
    """

    def __init__(
        self, sessions_per_year: float, replications: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> None:
        self._scale = math.sqrt(sessions_per_year)
        self._replications, self._seed = replications, seed
        self._confidence = confidence
        self._drawn: dict[tuple[int, int], FloatArray] = {}

    def of(self, series: Sequence[ArrayLike], horizon: int) -> list[tuple[float, float]]:
        """Return the intervals (low, high) of the annualised Sharpe ratios of series of daily returns, each (date,).

        (NaN, NaN) with fewer than `MIN_DAYS` sessions or two blocks, or when the returns do not vary.
        """
        found = [(math.nan, math.nan)] * len(series)
        by_length: dict[int, list[int]] = {}
        returns = [np.asarray(one, dtype=np.float64) for one in series]
        returns = [one[np.isfinite(one)] for one in returns]
        for place, one in enumerate(returns):
            if len(one) >= MIN_DAYS and np.ptp(one) > 0.0:
                by_length.setdefault(len(one), []).append(place)
        for places in by_length.values():
            of_one_length = np.stack([returns[place] for place in places])
            blocks = block_lengths(of_one_length, horizon)
            for block in np.unique(blocks):
                own = np.flatnonzero(blocks == block)
                for row, ends in zip(own, self._of_one_block(of_one_length[own], int(block)), strict=True):
                    found[places[row]] = ends
        return found

    def _of_one_block(self, values: FloatArray, block: int) -> list[tuple[float, float]]:
        """Intervals of series (series, date) of one length and block."""
        n = values.shape[1]
        times, means = self._times_drawn(n, block), values.mean(axis=1, keepdims=True)
        centred = values - means
        mean = centred @ times.T / n
        variance = (centred**2 @ times.T / n - mean**2) * n / (n - 1)
        ratios = (mean + means) / np.sqrt(variance.clip(min=0.0))
        of_days = zip(ratios, values, strict=True)
        ends = [percentiles(draws, icir(one), n, block, self._confidence) for draws, one in of_days]
        return [(low * self._scale, high * self._scale) for low, high in ends]

    def _times_drawn(self, n: int, block: int) -> FloatArray:
        if (n, block) not in self._drawn:
            draws = StationaryBootstrap(block, np.arange(n), seed=self._seed).bootstrap(self._replications)
            counts = [np.bincount(data[0][0], minlength=n) for data in draws]
            self._drawn[n, block] = np.stack(counts).astype(np.float64)
        return self._drawn[n, block]
