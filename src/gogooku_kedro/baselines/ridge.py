"""Ridge regression on the features, labels and split of the network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from gogooku_kedro.baselines.rows import REFIT, SCORED, FitContext, LearningRows, PartRows
from gogooku_kedro.typing import Float32Array, FloatArray

logger = logging.getLogger(__name__)

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties per training row: alpha = penalty * rows."""


def fit(context: FitContext) -> pd.DataFrame:
    """Return the predictions of `fit_ridge` on all features."""
    return fit_ridge(context.rows)


def fit_ridge(rows: LearningRows, penalties: Sequence[float] = PENALTIES) -> pd.DataFrame:
    """Fit one ridge regression per horizon and return its predictions of valid and test.

    min_b sum (y - b'x - a)^2 + penalty * n * |b|^2 on train rows; the penalty with the highest
    mean rank IC on valid is taken, the test part plays no role in it; with rows `REFIT` the test part is scored by
    a regression on them with this penalty. The normal equations are summed block by
    block, once for all penalties.

    Returns:
        date, code, split, score_<h>d.
    """
    train, valid = rows.parts["train"], rows.parts["valid"]
    weights, intercept = zip(*(_solutions(*sums, penalties) for sums in _sums(train)), strict=True)
    tried = np.concatenate(weights, axis=1).astype(np.float32)
    quality = valid.scored(lambda x: x @ tried).reshape(len(valid.day), len(rows.horizons), len(penalties))
    chosen: list[str] = []
    best: list[int] = []
    for k, horizon in enumerate(rows.horizons):
        found = [valid.mean_rank_ic(quality[:, k, p], k) for p in range(len(penalties))]
        best.append(int(np.argmax(np.nan_to_num(found, nan=-np.inf))))
        chosen.append(f"{found[best[k]]:+.4f} at {horizon}d (penalty {penalties[best[k]]:g})")
    fitted = dict.fromkeys(SCORED, _taken(weights, intercept, best))
    if REFIT in rows.parts:
        taken = [[penalties[p]] for p in best]
        again = [_solutions(*sums, one) for sums, one in zip(_sums(rows.parts[REFIT]), taken, strict=True)]
        fitted["test"] = _taken([w for w, _ in again], [c for _, c in again], [0] * len(again))
    scores: dict[str, list[NDArray[np.floating]]] = {part: _scores(rows.parts[part], *fitted[part]) for part in SCORED}
    logger.info("ridge: valid rank IC %s", ", ".join(chosen))
    return rows.predictions(scores)


def _taken(
    weights: Sequence[FloatArray], intercepts: Sequence[FloatArray], best: Sequence[int]
) -> tuple[Float32Array, Float32Array]:
    """Coefficients (feature, horizon) and intercepts (horizon,) of the penalty that was taken at every horizon."""
    weight = np.stack([each[:, p] for each, p in zip(weights, best, strict=True)], axis=1).astype(np.float32)
    return weight, np.array([each[p] for each, p in zip(intercepts, best, strict=True)], np.float32)


def _scores(rows: PartRows, weight: Float32Array, constant: Float32Array) -> list[NDArray[np.floating]]:
    return list(rows.scored(lambda x: x @ weight + constant).T)


def _sums(rows: PartRows) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Labelled rows of each horizon, and the sums over them of z z' and z y with z = (x, 1), block by block."""
    horizons = range(rows.target.shape[1])
    gram: list[FloatArray] = []
    moment: list[FloatArray] = []
    for block in rows.blocks:
        x = rows.x(block)
        z = np.column_stack([x, np.ones(len(x), np.float32)])
        of_all = (z.T @ z).astype(np.float64)
        if not gram:
            gram = [np.zeros_like(of_all) for _ in horizons]
            moment = [np.zeros(len(of_all)) for _ in horizons]
        for k in horizons:
            y = rows.target[block, k]
            missing = z[~np.isfinite(y)]
            gram[k] += of_all - missing.T @ missing
            moment[k] += z.T @ np.nan_to_num(y)
    for k in horizons:
        yield int(np.isfinite(rows.target[:, k]).sum()), gram[k], moment[k]


def _solutions(
    n: int, gram: FloatArray, moment: FloatArray, penalties: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (feature, penalty) and intercepts (penalty,); the intercept is not penalised."""
    mean, target = gram[:-1, -1] / n, moment[-1] / n
    covariance = gram[:-1, :-1] / n - np.outer(mean, mean)
    slope = moment[:-1] / n - mean * target
    unit = np.eye(len(mean))
    weights = np.stack([linalg.solve(covariance + p * unit, slope, assume_a="pos") for p in penalties], axis=1)
    return weights, target - mean @ weights
