"""Intervals of Sharpe ratios by the stationary bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from arch.bootstrap import StationaryBootstrap
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.significance import MIN_DAYS, block_lengths, icir, percentiles
from gogooku_kedro.typing import FloatArray


class SharpeIntervals:
    """Intervals of the annualised Sharpe ratios of many series, see `significance.percentiles`.

    Sessions are drawn in blocks of random length (Politis and Romano, 1994) so that the dependence that an
    overlapping h-session portfolio carries is kept. Series of the same number of sessions and the same block length
    share their draws, which are kept as the number of times that each session is drawn.

    Args:
        sessions_per_year: Trading sessions in a year.
        replications: Bootstrap draws.
        confidence: Coverage of an interval.
        seed: Seed of the draws.
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
