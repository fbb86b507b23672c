"""Ridge regression on the features, labels and split of the network."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from gogooku_kedro.baselines.rows import SCORED, FitContext, LearningRows

logger = logging.getLogger(__name__)

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties per training row: alpha = penalty * rows."""


def fit(context: FitContext) -> pd.DataFrame:
    """Return the predictions of `fit_ridge` on all features."""
    return fit_ridge(context.rows)


def fit_ridge(rows: LearningRows, penalties: Sequence[float] = PENALTIES) -> pd.DataFrame:
    """Fit one ridge regression per horizon and return its predictions of valid and test.

    min_b sum (y - b'x - a)^2 + penalty * n * |b|^2 on train rows; the penalty with the highest
    mean rank IC on valid is taken, the test part plays no role in it.

    Returns:
        date, code, split, score_<h>d.
    """
    train, valid = rows.parts["train"], rows.parts["valid"]
    scores: dict[str, list[NDArray[np.floating]]] = {part: [] for part in SCORED}
    chosen = []
    for k, horizon in enumerate(rows.horizons):
        labelled = np.isfinite(train.target[:, k])
        x, y = train.x[labelled], train.target[labelled, k]
        fits = [Ridge(alpha=p * len(y), solver="cholesky").fit(x, y) for p in penalties]
        quality = [valid.mean_rank_ic(each.predict(valid.x), k) for each in fits]
        best = int(np.argmax(np.nan_to_num(quality, nan=-np.inf)))
        chosen.append(f"{quality[best]:+.4f} at {horizon}d (penalty {penalties[best]:g})")
        for part, values in scores.items():
            values.append(fits[best].predict(rows.parts[part].x))
    logger.info("ridge: valid rank IC %s", ", ".join(chosen))
    return rows.predictions(scores)
