"""Ridge and LightGBM on the same features, labels and split as the model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bottleneck as bn
import lightgbm as lgb
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from gogooku_kedro.baselines.neighbour_means import with_peer_means
from gogooku_kedro.baselines.rules import SplitDates
from gogooku_kedro.columns import score_column
from gogooku_kedro.features import graph_columns, own_columns
from gogooku_kedro.labels.split import PARTS, split_mask
from gogooku_kedro.labels.target import gaussian_rank_labels
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.typing import Float32Array, TextArray

logger = logging.getLogger(__name__)


PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties per training row: alpha = penalty * rows."""

SETTINGS: dict[str, str | int | float | bool] = {
    "objective": "regression",
    "metric": "None",
    "feature_fraction": 0.2,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
"""LightGBM settings that no argument changes; the stopping metric is `_valid_correlation`.

Features are ranks, which 63 bins resolve, and hundreds of them, of which a fifth per tree is enough: on the
sample market the valid rank IC is that of 255 bins and four fifths, in a quarter of the time.
"""

SMOOTHING = 10
"""Rounds over which the stopping metric of LightGBM is averaged."""


@dataclass(frozen=True)
class PartRows:
    """Stock days of one part of the split as a row matrix.

    Attributes:
        x: Normalised features (row, feature) float32.
        target: Per-date Gaussian rank of the label (row, horizon); NaN = no label.
        day: Index of the row's date (row,).
        stock: Index of the row's code (row,).
    """

    x: Float32Array
    target: Float32Array
    day: NDArray[np.intp]
    stock: NDArray[np.intp]


@dataclass(frozen=True)
class LearningRows:
    """Row matrices of train, valid and test, built once for all horizons and learners."""

    parts: Mapping[str, PartRows]
    dates: pd.DatetimeIndex
    codes: TextArray
    horizons: Sequence[int]


def learning_rows(x: xr.DataArray, in_universe: xr.DataArray, target: xr.DataArray, split: SplitDates) -> LearningRows:
    """Return the row matrices of the three parts; only members of the universe become rows.

    Args:
        x: Normalised features (date, code, feature), missing already 0.
        in_universe: (date, code) bool.
        target: What the network learns too (date, code, horizon), NaN = missing; ranked per date
            over members.
        split: {"train": [from, to], "valid": ..., "test": ...}; purged sessions are in no part.

    Raises:
        ValueError: The arrays do not share their dates and codes, or no stock is in the universe in a part.
    """
    for name, other in (("in_universe", in_universe), ("labels target", target)):
        for dim in ("date", "code"):
            if not np.array_equal(x[dim].values, other[dim].values):
                raise ValueError(
                    f"{name} and features x differ in {dim} ({other.sizes[dim]} against "
                    f"{x.sizes[dim]}); build both from one panel"
                )
    dates = pd.DatetimeIndex(x["date"].values)
    features = x.transpose("date", "code", "feature").to_numpy()
    universe = in_universe.transpose("date", "code").to_numpy()
    ranks = gaussian_rank_labels(target, in_universe).transpose("date", "code", "horizon").to_numpy()
    parts: dict[str, PartRows] = {}
    for part in PARTS:
        day, stock = np.nonzero(universe & split_mask(split, dates, part)[:, None])
        if not len(day):
            raise ValueError(f"split.{part} {split[part]} holds no stock day of the universe; widen it")
        rows = features[day, stock].astype(np.float32, copy=False)
        parts[part] = PartRows(rows, ranks[day, stock].astype(np.float32, copy=False), day, stock)
    horizons = [int(h) for h in target["horizon"].values]
    return LearningRows(parts, dates, x["code"].values.astype(str), horizons)


def fit_ridge(rows: LearningRows, penalties: Sequence[float] = PENALTIES) -> pd.DataFrame:
    """Fit one ridge regression per horizon and return its predictions of valid and test.

    min_b sum (y - b'x - a)^2 + penalty * n * |b|^2 on train rows; the penalty with the highest
    mean rank IC on valid is taken, the test part plays no role in it.

    Returns:
        date, code, split, score_<h>d, model = "ridge".
    """
    train, valid = rows.parts["train"], rows.parts["valid"]
    scores: dict[str, list[NDArray[np.floating]]] = {"valid": [], "test": []}
    chosen = []
    for k, horizon in enumerate(rows.horizons):
        labelled = np.isfinite(train.target[:, k])
        x, y = train.x[labelled], train.target[labelled, k]
        fits = [Ridge(alpha=p * len(y), solver="cholesky").fit(x, y) for p in penalties]
        quality = [_mean_rank_ic(fit.predict(valid.x), valid, k) for fit in fits]
        best = int(np.argmax(np.nan_to_num(quality, nan=-np.inf)))
        chosen.append(f"{quality[best]:+.4f} at {horizon}d (penalty {penalties[best]:g})")
        for part, values in scores.items():
            values.append(fits[best].predict(rows.parts[part].x))
    logger.info("ridge: valid rank IC %s", ", ".join(chosen))
    return _predictions(rows, scores, "ridge")


def fit_lightgbm(
    rows: LearningRows,
    *,
    model: str = "lightgbm",
    seed: int = 0,
    num_threads: int = 2,
    max_rounds: int = 300,
    patience: int = 40,
    learning_rate: float = 0.05,
    num_leaves: int = 31,
) -> pd.DataFrame:
    """Fit one LightGBM regression per horizon and return its predictions of valid and test.

    Squared error on Gaussian-rank labels. Trees are added until the per-date correlation with
    the labels of valid, averaged over the last 10 rounds, has not risen for `patience` rounds:
    with 1% of signal in the label the squared error turns upwards after a handful of trees,
    while the ranking still improves. The features are binned once for all horizons. Leaves hold
    at least 200 rows, fewer when there are under 100,000 train rows.

    Args:
        rows: Row matrices of `learning_rows`.
        model: Name in the column `model`.
        seed: Seed of the feature sampling; the same seed gives the same scores.
        num_threads: Threads of LightGBM.
        max_rounds: Most trees per horizon.
        patience: Rounds without improvement on valid before stopping.
        learning_rate: Shrinkage.
        num_leaves: Leaves per tree.

    Returns:
        date, code, split, score_<h>d, model.
    """
    train, valid = rows.parts["train"], rows.parts["valid"]
    settings = SETTINGS | {
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "min_data_in_leaf": min(200, max(5, len(train.x) // 500)),
        "seed": seed,
        "num_threads": num_threads,
    }
    binned = lgb.Dataset(train.x, np.zeros(len(train.x)), params=settings).construct()
    checked = lgb.Dataset(valid.x, np.zeros(len(valid.x)), reference=binned, params=settings)
    checked.construct()
    scores: dict[str, list[NDArray[np.floating]]] = {"valid": [], "test": []}
    chosen = []
    for k, horizon in enumerate(rows.horizons):
        booster = lgb.train(
            settings,
            _labelled(binned, train.target[:, k], settings),
            num_boost_round=max_rounds,
            valid_sets=[_labelled(checked, valid.target[:, k], settings)],
            feval=_valid_correlation(valid, k),
            callbacks=[lgb.early_stopping(patience, verbose=False)],
        )
        for part, values in scores.items():
            values.append(np.asarray(booster.predict(rows.parts[part].x, num_threads=num_threads)))
        quality = _mean_rank_ic(scores["valid"][-1], valid, k)
        chosen.append(f"{quality:+.4f} at {horizon}d ({booster.best_iteration} trees)")
    logger.info("%s: valid rank IC %s", model, ", ".join(chosen))
    return _predictions(rows, scores, model)


def fit_lightgbm_pair(
    x: xr.DataArray,
    in_universe: xr.DataArray,
    target: xr.DataArray,
    graph_edges: pd.DataFrame,
    split: SplitDates,
    manifest: Mapping[str, Any],
    *,
    seed: int,
) -> pd.DataFrame:
    """Fit the trees of `fit_lightgbm` without anything made from the graph, and with the peers' means.

    `lightgbm_own` lacks the features of the graph; `lightgbm_peers` has all features and of the stock's own
    ones the mean over its neighbours too (`with_peer_means`): what the graph is worth to a model without
    messages.

    Args:
        x: As for `learning_rows`.
        in_universe: As for `learning_rows`.
        target: As for `learning_rows`.
        graph_edges: As for `with_peer_means`.
        split: As for `learning_rows`.
        manifest: Feature manifest; tells which features are a stock's own and which are the graph's.
        seed: As for `fit_lightgbm`.

    Returns:
        date, code, split, score_<h>d, model.
    """
    own = x.drop_sel(feature=list(graph_columns(manifest)))
    peers = with_peer_means(x, in_universe, graph_edges, own_columns(manifest))
    frames = [
        fit_lightgbm(learning_rows(chosen, in_universe, target, split), model=model, seed=seed)
        for model, chosen in (("lightgbm_own", own), ("lightgbm_peers", peers))
    ]
    return pd.concat(frames, ignore_index=True)


def _labelled(binned: lgb.Dataset, target: Float32Array, settings: Mapping[str, object]) -> lgb.Dataset:
    """The rows that carry a label, sharing the bins of the whole part."""
    kept = np.flatnonzero(np.isfinite(target))
    subset = binned.subset(kept.tolist(), params=dict(settings)).construct()
    return subset.set_label(target[kept])


def _valid_correlation(
    valid: PartRows, horizon_index: int
) -> Callable[[NDArray[np.floating], lgb.Dataset], tuple[str, float, bool]]:
    """LightGBM metric: per-date correlation of prediction and label, mean of the last rounds.

    Rounds before the first count as 0, so that a lucky first tree does not win.
    """
    target = valid.target[:, horizon_index].astype(np.float64)
    kept = np.isfinite(target)
    day = np.unique(valid.day[kept], return_inverse=True)[1]
    size = np.bincount(day)
    y = target[kept] - (np.bincount(day, target[kept]) / size)[day]
    y_norm = np.sqrt(np.bincount(day, y**2))
    history: list[float] = []

    def correlation(score: NDArray[np.floating], _: lgb.Dataset) -> tuple[str, float, bool]:
        x = score - (np.bincount(day, score) / size)[day]
        norm = np.sqrt(np.bincount(day, x**2)) * y_norm
        per_date = np.bincount(day, x * y)[norm > 0] / norm[norm > 0]
        history.append(float(per_date.mean()) if len(per_date) else 0.0)
        return "correlation", sum(history[-SMOOTHING:]) / SMOOTHING, True

    return correlation


def _mean_rank_ic(score: NDArray[np.floating], part: PartRows, horizon_index: int) -> float:
    shape = (int(part.day.max()) + 1, int(part.stock.max()) + 1)
    scores, target = np.full(shape, np.nan), np.full(shape, np.nan)
    scores[part.day, part.stock] = score
    target[part.day, part.stock] = part.target[:, horizon_index]
    return float(bn.nanmean(rank_ic(scores, target)))


def _predictions(rows: LearningRows, scores: Mapping[str, Sequence[NDArray[np.floating]]], model: str) -> pd.DataFrame:
    frames = []
    for part, values in scores.items():
        index = rows.parts[part]
        frame = pd.DataFrame({"date": rows.dates[index.day], "code": rows.codes[index.stock], "split": part})
        for horizon, score in zip(rows.horizons, values, strict=True):
            frame[score_column(horizon)] = score.astype(np.float32)
        frame["model"] = model
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
