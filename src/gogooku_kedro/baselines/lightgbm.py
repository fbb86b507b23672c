"""LightGBM on the features, labels and split of the network: all, without the graph, and with the neighbours' means.

The last two say what the graph is worth to a model without messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gogooku_kedro.baselines.neighbour_means import read_with_peer_means
from gogooku_kedro.baselines.rows import REFIT, SCORED, FitContext, LearningRows, PartRows, read_features
from gogooku_kedro.features import graph_columns, own_columns
from gogooku_kedro.typing import Float32Array

logger = logging.getLogger(__name__)

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


def fit(context: FitContext) -> pd.DataFrame:
    """Return the predictions of `fit_trees` on all features."""
    return fit_trees(context.rows, seed=context.settings.seed)


def fit_own(context: FitContext) -> pd.DataFrame:
    """Return the predictions of `fit_trees` without the features made from the graph."""
    own = context.features["x"].drop_sel(feature=list(graph_columns(context.manifest)))
    return fit_trees(context.rows.with_features(read_features(own)), name="lightgbm_own", seed=context.settings.seed)


def fit_neighbours(context: FitContext) -> pd.DataFrame:
    """Return the predictions of `fit_trees` on all features and, of a stock's own ones, the neighbours' means."""
    x, in_universe = context.features["x"], context.features["in_universe"]
    joined = read_with_peer_means(x, in_universe, context.graph_edges, own_columns(context.manifest))
    return fit_trees(context.rows.with_features(joined), name="lightgbm_peers", seed=context.settings.seed)


def fit_trees(
    rows: LearningRows,
    *,
    name: str = "lightgbm",
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
    at least 200 rows, fewer when there are under 100,000 train rows. Rows are read block by block. With rows `REFIT`
    as many trees, grown on these, score the test part.

    Args:
        rows: From `learning_rows`.
        name: Name in the log.
        seed: Seed of the feature sampling; the same seed gives the same scores.
        num_threads: Horizons fitted at a time, each in one thread. Threads of LightGBM's own meet after every
            node of a tree and wait in a loop: beside other work they took nine times as long as a single one.
        max_rounds: Most trees per horizon.
        patience: Rounds without improvement on valid before stopping.
        learning_rate: Shrinkage.
        num_leaves: Leaves per tree.

    Returns:
        date, code, split, score_<h>d.
    """
    train, valid = rows.parts["train"], rows.parts["valid"]
    settings = SETTINGS | {
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "min_data_in_leaf": min(200, max(5, len(train.day) // 500)),
        "seed": seed,
        "num_threads": 1,
    }
    binned = _Binned(_sequences(train), np.zeros(len(train.day)), params=settings).construct()
    checked = lgb.Dataset(_sequences(valid), np.zeros(len(valid.day)), reference=binned, params=settings)
    checked.construct()

    def fit_horizon(k: int) -> lgb.Booster:
        return lgb.train(
            settings,
            _labelled(binned, train.target[:, k], settings),
            num_boost_round=max_rounds,
            valid_sets=[_labelled(checked, valid.target[:, k], settings)],
            feval=_valid_correlation(valid, k),
            callbacks=[lgb.early_stopping(patience, verbose=False)],
        )

    def scores(boosters: Sequence[lgb.Booster], x: Float32Array) -> NDArray[np.floating]:
        return np.stack(list(pool.map(lambda each: each.predict(x, num_threads=1), boosters)), axis=1)

    with ThreadPoolExecutor(num_threads) as pool:
        fitted = list(pool.map(fit_horizon, range(len(rows.horizons))))
        chosen_trees = dict.fromkeys(SCORED, fitted)
        if REFIT in rows.parts:
            trees = [each.best_iteration for each in fitted]
            chosen_trees["test"] = list(pool.map(_refit(rows.parts[REFIT], settings), trees, range(len(trees))))
        found = {part: rows.parts[part].scored(partial(scores, chosen_trees[part])).T for part in SCORED}
    chosen = [
        f"{valid.mean_rank_ic(found['valid'][k], k):+.4f} at {horizon}d ({fitted[k].best_iteration} trees)"
        for k, horizon in enumerate(rows.horizons)
    ]
    logger.info("%s: valid rank IC %s", name, ", ".join(chosen))
    return rows.predictions({part: list(values) for part, values in found.items()})


def _refit(rows: PartRows, settings: Mapping[str, Any]) -> Callable[[int, int], lgb.Booster]:
    """How a number of trees is grown for a horizon on other rows, which are binned anew."""
    binned = _Binned(_sequences(rows), np.zeros(len(rows.day)), params=dict(settings)).construct()

    def grow(trees: int, k: int) -> lgb.Booster:
        return lgb.train(dict(settings), _labelled(binned, rows.target[:, k], settings), num_boost_round=trees)

    return grow


class _Binned(lgb.Dataset):
    """A Dataset that is binned from blocks as it would be from one matrix.

    LightGBM leaves `min_data_in_leaf` and `seed` out of the settings when it bins a Sequence, and both take part:
    the trees would be others.
    """

    _binning = False

    def construct(self) -> lgb.Dataset:
        self._binning = self._handle is None
        try:
            return super().construct()
        finally:
            self._binning = False

    def get_params(self) -> dict[str, Any]:
        return dict(self.params or {}) if self._binning else super().get_params()

    def _init_from_sample(
        self, sample_data: list[NDArray[np.floating]], sample_indices: list[Any], sample_cnt: int, total_nrow: int
    ) -> lgb.Dataset:
        """Make bins, for which LightGBM wants doubles, and let go of the sample before all rows are read."""
        for position, column in enumerate(sample_data):
            sample_data[position] = column.astype(np.float64)
        super()._init_from_sample(sample_data, sample_indices, sample_cnt, total_nrow)
        sample_data.clear()
        sample_indices.clear()
        return self


class _Block(lgb.Sequence):
    """A block of rows as LightGBM reads it, twice: some rows for the bins, then all of them."""

    def __init__(self, read: Callable[[int], Float32Array], number: int, rows: int) -> None:
        self._read, self._number, self._rows = read, number, rows
        self.batch_size = rows

    def __getitem__(self, index: int | slice | list[int]) -> NDArray[np.floating]:
        rows = self._read(self._number)[index]
        return rows if isinstance(index, slice) else rows.copy()  # a view would keep its block in memory

    def __len__(self) -> int:
        return self._rows


def _sequences(rows: PartRows) -> list[lgb.Sequence]:
    """The rows in blocks, of which one is in memory at a time."""
    blocks = rows.blocks
    read = lru_cache(maxsize=1)(lambda number: rows.x(blocks[number]))
    return [_Block(read, number, block.stop - block.start) for number, block in enumerate(blocks)]


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
