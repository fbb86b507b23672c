"""How far the models of an ensemble lie apart on the validation part: rank IC of each, correlation of their scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import bottleneck as bn
import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import horizon_name
from gogooku_kedro.metrics.align import WidePart, wide_parts
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.typing import FloatArray

logger = logging.getLogger(__name__)

LAGGARD = 0.25
"""A seed whose mean rank IC lies further behind that of all seeds, as a share of it, is named."""


def seed_spread(seed_predictions: pd.DataFrame, labels: xr.Dataset) -> dict[str, Any]:
    """Compare the seeds on the validation part, which every one of them has been chosen on; the test part is not read.

    Args:
        seed_predictions: date, code, split, seed, score_<h>d.
        labels: `ret` (date, code, horizon).

    Returns:
        `rank_ic`: {seed: {horizon: mean daily rank IC}}; `correlation`: {seed: {horizon: mean daily rank correlation
        of its scores with those of the other seeds}}, None for a single seed; `laggards`: one sentence per seed whose
        rank IC over all horizons lies more than `LAGGARD` behind the mean of the seeds.
    """
    valid = seed_predictions[seed_predictions["split"] == "valid"]
    parts = {str(seed): next(iter(wide_parts(own, labels))) for seed, own in valid.groupby("seed", sort=True)}
    found = {
        "rank_ic": {
            seed: {horizon_name(h): _mean(rank_ic(part.scores[h], part.returns[h])) for h in part.scores}
            for seed, part in parts.items()
        },
        "correlation": _correlations(parts),
    }
    laggards = _laggards(found["rank_ic"])
    for sentence in laggards:
        logger.warning("%s", sentence)
    return found | {"laggards": laggards}


def _correlations(parts: Mapping[str, WidePart]) -> dict[str, dict[str, float | None]]:
    pairs: dict[str, dict[str, list[float]]] = {seed: {} for seed in parts}
    for one, other in combinations(parts, 2):
        for horizon, scores in parts[one].scores.items():
            alike = _mean(rank_ic(scores, parts[other].scores[horizon]))
            for seed in (one, other):
                pairs[seed].setdefault(horizon_name(horizon), []).append(np.nan if alike is None else alike)
    names = [horizon_name(h) for part in list(parts.values())[:1] for h in part.scores]
    return {seed: {name: _mean(np.array(of.get(name, [np.nan]))) for name in names} for seed, of in pairs.items()}


def _laggards(rank_ic: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    means = {seed: _mean(np.array(list(of.values()), dtype=np.float64)) for seed, of in rank_ic.items()}
    known = {seed: value for seed, value in means.items() if value is not None}
    mean = sum(known.values()) / max(len(known), 1)
    return [
        f"seed {seed} lies more than a quarter behind the seeds' mean: valid rank IC {value:+.4f} of {mean:+.4f} over "
        f"all horizons; its scores take part in the average like the others'"
        for seed, value in known.items()
        if len(known) > 1 and mean > 0 and value < (1 - LAGGARD) * mean
    ]


def _mean(values: FloatArray) -> float | None:
    return number(bn.nanmean(values))
