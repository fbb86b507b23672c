"""Two variants session by session: a difference with an interval over sessions and over training seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from gogooku_kedro.metrics.significance import MIN_DAYS, block_length, percentiles, resampled_days
from gogooku_kedro.typing import FloatArray, IntArray

Kind = Literal["mean", "ratio"]

POWER = 2.8
"""z(0.975) + z(0.8): a difference of 2.8 standard errors is found at 5%, two-sided, four times in five."""

UNKNOWN, CONFIDENCE = (math.nan, math.nan), 0.95


@dataclass(frozen=True)
class Statistic:
    """What is measured on the daily series of single models, sessions and seeds pooled.

    Attributes:
        column: Daily series.
        kind: `mean`, or `ratio` = mean / standard deviation.
        scale: Factor of the ratio, for example the root of the sessions in a year.
    """

    column: str
    kind: Kind
    scale: float = 1.0


@dataclass(frozen=True)
class SeedDifference:
    """A statistic of two variants on the same sessions.

    Attributes:
        first: Statistic of the first variant.
        second: Statistic of the second variant.
        difference: first - second.
        relative: difference / |second|, a fraction; NaN when second is 0.
        interval: 95% interval of `difference` over sessions and seeds, (NaN, NaN) with too few sessions.
        relative_interval: The same of `relative`.
        day_deviation: Standard deviation of `difference` over resampled sessions times the root of their
            number: what one session adds to the evidence, serial correlation included; seeds held fixed.
        standard_error: Of `difference`, over sessions and seeds.
        days: Sessions on which every model of both variants was measured.
    """

    first: float
    second: float
    difference: float
    relative: float
    interval: tuple[float, float]
    relative_interval: tuple[float, float]
    day_deviation: float
    standard_error: float
    days: int


def seed_series(daily: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one daily series as a table: rows (fold, date) in order of date, one column per seed.

    Args:
        daily: Rows of one variant, one kind of scores and one horizon: fold, date, seed and `column`.
        column: Daily series.

    Raises:
        ValueError: A seed was measured twice on a date, so rows of several variants or horizons are mixed.
    """
    keys = ["fold", "date", "seed"]
    if daily.duplicated(keys).any():
        raise ValueError(f"several values of {column} of one seed on one date: choose variant, scores and horizon")
    wide = daily.pivot(index=["date", "fold"], columns="seed", values=column)
    return wide.sort_index().reorder_levels(["fold", "date"])


def paired_seeds(
    first: pd.DataFrame,
    second: pd.DataFrame,
    statistic: Statistic,
    *,
    horizon: int,
    replications: int = 1000,
    seed: int = 0,
) -> SeedDifference:
    r"""Compare two variants on the sessions on which every one of their models was measured.

    The statistic of a variant is that of a single model: mean, or mean over standard deviation, of the daily
    values of all its seeds together. A draw takes sessions in blocks (Politis and Romano, 1994; see
    `block_length`), the same for both variants, and seeds anew for each variant and fold, with replacement:
    a model of fold 2 is another training than that of the same seed in fold 1, and equal seeds of two
    networks of different shape share nothing.

    Drawing sessions already shows how far the means of seeds differ for having been measured on few sessions;
    drawing seeds as well would count that three times (Owen, 2007). The weights of the seeds are therefore
    spread as much as gives the mean of :math:`S` seeds the variance :math:`\sigma^2/S`, with the variance
    between trainings :math:`\sigma^2` = that of the seeds' means less what the sessions explain, not below 0.
    One seed says nothing about seeds: the interval is then one over sessions. Networks of equal shape and seed
    begin alike, and to draw their seeds apart errs on the side of wide intervals.

    Sessions of one block are no independent evidence: intervals are stretched as in `significance.percentiles`,
    and deviations by :math:`\sqrt{n/(n-1)}` with :math:`n` the sessions over the block. Two blocks or less give
    no interval.

    Args:
        first: Table of `seed_series`, for example of the model with graph.
        second: The same of the other variant.
        statistic: What is compared.
        horizon: Label horizon in sessions; the shortest block.
        replications: Bootstrap draws.
        seed: Seed of the draws.
    """
    one, two, folds = _on_common_days(first, second)
    days = len(folds)
    if days < 2:
        return SeedDifference(*(math.nan,) * 4, *(UNKNOWN,) * 2, *(math.nan,) * 2, days=days)
    once = np.ones((1, days))
    here, there = (float(_statistic(x, folds, _equal(x, folds), once, statistic)[0]) for x in (one, two))
    point = here, there, here - there, (here - there) / abs(there) if there != 0.0 else math.nan
    daily = one.mean(axis=1) - two.mean(axis=1)
    if days < MIN_DAYS or np.ptp(daily) == 0.0:
        return SeedDifference(*point, *(UNKNOWN,) * 2, *(math.nan,) * 2, days=days)
    block = block_length(daily, horizon)
    if days <= 2 * block:
        return SeedDifference(*point, *(UNKNOWN,) * 2, *(math.nan,) * 2, days=days)
    positions = resampled_days(days, block, replications, seed)
    counts = np.stack([np.bincount(draw, minlength=days) for draw in positions]).astype(np.float64)
    by_days = [_statistic(x, folds, _equal(x, folds), counts, statistic) for x in (one, two)]
    rng = np.random.default_rng(seed)
    drawn = [_statistic(x, folds, _drawn(x, folds, counts, rng), counts, statistic) for x in (one, two)]
    differences = drawn[0] - drawn[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = differences / np.abs(drawn[1])
    small = math.sqrt(days / (days - block))
    interval, relative_interval = (
        percentiles(draws, middle, days, block, CONFIDENCE)
        for draws, middle in zip((differences, gains), point[2:], strict=True)
    )
    deviation = float(np.nanstd(by_days[0] - by_days[1], ddof=1) * math.sqrt(days)) * small
    error = float(np.nanstd(differences, ddof=1)) * small
    return SeedDifference(*point, interval, relative_interval, deviation, error, days)


def days_to_decide(day_deviation: float, delta: float) -> int | None:
    """Return the sessions on which a true difference of `delta` is found at 5%, two-sided, with power 80%.

    n = (2.8 * deviation / delta)^2, with the deviation of one session's evidence, serial correlation included.

    Returns:
        None when either number does not exist or `delta` is 0.
    """
    if not (math.isfinite(day_deviation) and math.isfinite(delta)) or delta == 0.0:
        return None
    return math.ceil((POWER * day_deviation / delta) ** 2)


def _on_common_days(first: pd.DataFrame, second: pd.DataFrame) -> tuple[FloatArray, FloatArray, IntArray]:
    """Values (sessions, seeds) of both variants and the number of each session's fold, counted from 0."""
    both = pd.concat([first, second], axis=1, keys=["first", "second"], join="inner").dropna()
    folds, _ = pd.factorize(both.index.get_level_values("fold"), sort=True)
    return both["first"].to_numpy(np.float64), both["second"].to_numpy(np.float64), folds.astype(np.int64)


def _equal(x: FloatArray, folds: IntArray) -> FloatArray:
    seeds = x.shape[1]
    return np.full((1, folds.max() + 1, seeds), 1.0 / seeds)


def _drawn(x: FloatArray, folds: IntArray, counts: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Weights of the seeds, (draw, fold, seed), each fold's summing to 1."""
    seeds, size = x.shape[1], (len(counts), folds.max() + 1)
    if seeds == 1:
        return _equal(x, folds)
    drawn = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=size) / seeds
    spread = math.sqrt(seeds / (seeds - 1.0)) * _spread_of_seeds(x, folds, counts)
    weights: FloatArray = 1.0 / seeds + (drawn - 1.0 / seeds) * spread
    return weights


def _spread_of_seeds(x: FloatArray, folds: IntArray, counts: FloatArray) -> float:
    """Standard deviation between trainings, as a share of that of the seeds' means over drawn sessions."""
    deviation, seeds = x - x.mean(axis=1, keepdims=True), x.shape[1]
    observed, by_days = [], []
    for fold in range(folds.max() + 1):
        inside = folds == fold
        drawn_days = counts[:, inside]
        means = (drawn_days @ deviation[inside])[drawn_days.any(axis=1)]
        means /= drawn_days.sum(axis=1)[drawn_days.any(axis=1), None]
        observed.append(deviation[inside].mean(axis=0).var(ddof=1))
        by_days.append(means.var(axis=0).sum() / (seeds - 1.0))
    between, noise = float(np.mean(observed)), float(np.mean(by_days))
    return math.sqrt(max(between - noise, 0.0) / (between + noise)) if between + noise > 0.0 else 0.0


def _statistic(
    x: FloatArray, folds: IntArray, weights: FloatArray, counts: FloatArray, statistic: Statistic
) -> FloatArray:
    """The statistic of every draw (draw,): `counts` says how often a session is in it, `weights` a seed."""
    draws, days = counts.shape
    moments = []
    for values in (x, x**2) if statistic.kind == "ratio" else (x,):
        total = np.zeros(draws)
        for fold in range(weights.shape[1]):
            inside = folds == fold
            total += ((counts[:, inside] @ values[inside]) * weights[:, fold]).sum(axis=1)
        moments.append(total / days)
    if statistic.kind == "mean":
        mean: FloatArray = moments[0] * statistic.scale
        return mean
    variance = (moments[1] - moments[0] ** 2) * days / (days - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = moments[0] / np.sqrt(variance) * statistic.scale
    return np.where(variance > 0.0, ratio, np.nan)
