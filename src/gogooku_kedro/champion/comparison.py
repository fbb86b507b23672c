"""Two models on the same matured days that neither has seen: rank IC, paired, and what it decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.champion.scoring import score_sessions
from gogooku_kedro.columns import horizon_name
from gogooku_kedro.metrics.align import horizons_of, wide_parts
from gogooku_kedro.metrics.paired import PairedDifference, paired_difference
from gogooku_kedro.metrics.paired_seeds import days_to_decide
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.significance import HORIZONS_FOR_INTERVAL, MIN_DAYS, cosine_error
from gogooku_kedro.report.formats import format_interval, format_number
from gogooku_kedro.training import Ensemble
from gogooku_kedro.typing import FloatArray

MANY = 5_000
"""Days, twenty years, beyond which a number of lacking days says no more."""


@dataclass(frozen=True)
class Candidate:
    """A model that may score the mornings.

    Attributes:
        name: What it is called in sentences: "version 3".
        ensemble: The trained models.
        unseen_from: First session whose label neither its training nor the choice of its epoch has seen.
    """

    name: str
    ensemble: Ensemble
    unseen_from: pd.Timestamp


@dataclass(frozen=True)
class StoredMarket:
    """What a run has left of a market.

    Attributes:
        features: `x`, `levels`, `in_universe`.
        edges: The graph.
        manifest: The feature manifest.
        labels: `ret` `(date, code, horizon)`, fractions; NaN = not known, or not tradable.
    """

    features: xr.Dataset
    edges: pd.DataFrame
    manifest: Mapping[str, Any]
    labels: xr.Dataset


@dataclass(frozen=True)
class Comparison:
    """The challenger less the champion.

    Attributes:
        champion: Its name.
        challenger: Its name.
        since: First session that counts: unseen by both.
        daily: Horizon in sessions -> table by date of the rank IC, columns `challenger` and `champion`; days on which
            both are known.
    """

    champion: str
    challenger: str
    since: pd.Timestamp
    daily: Mapping[int, pd.DataFrame]

    def difference(self, horizon: int) -> PairedDifference:
        """Return the mean difference of the daily rank IC with its 95% interval (`significance.mean_interval`)."""
        days = self.daily[horizon]
        return paired_difference(days["challenger"], days["champion"], horizon=horizon)


@dataclass(frozen=True)
class Verdict:
    """What a comparison decides.

    Attributes:
        promote: Whether the interval lies above the margin.
        lacking: Matured days that are lacking; None where none are, or where no number of days like these would do.
        sentence: The same in words.
    """

    promote: bool
    lacking: int | None
    sentence: str


def compare_models(champion: Candidate, challenger: Candidate, market: StoredMarket, device: str) -> Comparison:
    """Score both models on the matured days that neither has seen, the same stocks on each.

    A day has matured where its label is known; days before the later of the two `unseen_from` do not count.

    Args:
        champion: Who scores now.
        challenger: Who is to.
        market: What a run has left.
        device: `cpu` or `cuda`.

    Raises:
        ValueError: A model reads other features than those of the market.
    """
    since = max(champion.unseen_from, challenger.unseen_from)
    labels = market.labels.sel(date=slice(since, None))
    known = np.isfinite(labels["ret"].transpose("date", "code", "horizon").to_numpy()).any(axis=(1, 2))
    sessions = pd.DatetimeIndex(labels["date"].values[known])
    found = {}
    for role, model in (("challenger", challenger), ("champion", champion)):
        try:
            found[role] = _rank_ic(model, market, sessions, device)
        except ValueError as error:
            raise ValueError(f"{model.name} cannot be compared: {error}") from error
    daily = {
        horizon: pd.DataFrame({role: series[horizon] for role, series in found.items()}).dropna()
        for horizon in horizons_of(market.labels)
    }
    return Comparison(champion.name, challenger.name, since, daily)


def decide(comparison: Comparison, horizon: int, margin: float) -> Verdict:
    """Return whether the challenger takes over: the lower end of the interval of the difference is above the margin.

    Days that are lacking are those an interval needs at all, then those after which a true difference as large as the
    one found is seen four times in five (`paired_seeds.days_to_decide`).

    Args:
        comparison: From `compare_models`.
        horizon: That decides, in sessions.
        margin: Rank IC by which the challenger has to be ahead.
    """
    found, fewest = comparison.difference(horizon), max(MIN_DAYS, HORIZONS_FOR_INTERVAL * horizon)
    ahead = (
        f"rank IC {horizon_name(horizon)} of {comparison.challenger} less {comparison.champion}: "
        f"{format_number(found.difference, '+.4f')} on {found.days} matured days"
    )
    above = f"above {margin:g}" if margin else "above 0"
    if found.days < fewest:
        days = fewest - found.days
        since = f"{comparison.since:%Y-%m-%d}"
        return Verdict(False, days, f"{ahead} since {since}, and an interval needs {fewest}: {_lacking(days)}")
    interval = format_interval((found.low, found.high), "+.4f")
    if found.low > margin:
        return Verdict(True, None, f"{ahead}, interval {interval}, which is {above}")
    if not found.difference > margin:
        rule = f"no number of days like these brings the interval {interval} {above}"
        return Verdict(False, None, f"{ahead}: the challenger is not ahead, and {rule}")
    days_of = comparison.daily[horizon]
    error, _ = cosine_error(days_of["challenger"] - days_of["champion"], horizon)
    enough = days_to_decide(error * math.sqrt(found.days), found.difference - margin) or found.days + 1
    days = max(enough - found.days, 1)
    return Verdict(False, days, f"{ahead}, interval {interval}, which is not {above}: {_lacking(days)}")


def describe(comparison: Comparison, horizon: int) -> list[str]:
    """Return the lines of a table: rank IC of both models, their difference and its interval, by horizon.

    Args:
        comparison: From `compare_models`.
        horizon: That decides, in sessions; its row has a star.
    """
    lines = [
        f"champion {comparison.champion}, challenger {comparison.challenger}; "
        f"days that neither has seen: from {comparison.since:%Y-%m-%d} on",
        f"{'rank IC':<8}{'champion':>10}{'challenger':>12}{'difference':>12}{'95% interval':>22}{'days':>6}",
    ]
    for h in comparison.daily:
        found = comparison.difference(h)
        numbers = [format_number(value, "+.4f") for value in (found.second, found.first, found.difference)]
        interval = format_interval((found.low, found.high), "+.4f")
        name = f"{horizon_name(h)}{' *' if h == horizon else ''}"
        lines.append(f"{name:<8}{numbers[0]:>10}{numbers[1]:>12}{numbers[2]:>12}{interval:>22}{found.days:>6}")
    return lines


def _rank_ic(
    model: Candidate, market: StoredMarket, sessions: pd.DatetimeIndex, device: str
) -> dict[int, pd.Series[float]]:
    """Rank IC by date of every horizon; empty without a session."""
    horizons = horizons_of(market.labels)
    if not len(sessions):
        return {horizon: pd.Series(dtype=float, index=sessions) for horizon in horizons}
    scored = score_sessions(model.ensemble, market.features, market.edges, market.manifest, sessions, device)
    (part,) = wide_parts(scored, market.labels)
    daily: dict[int, FloatArray] = {h: rank_ic(part.scores[h], part.returns[h]) for h in horizons}
    return {horizon: pd.Series(values, index=part.dates) for horizon, values in daily.items()}


def _lacking(days: int) -> str:
    if days > MANY:
        return f"more than {MANY:,} matured days are lacking, so alike are the two"
    return f"{days} matured day{'' if days == 1 else 's'} {'is' if days == 1 else 'are'} lacking"
