"""What a baseline may read, and the same in rows: one per stock and session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import bottleneck as bn
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.columns import score_column
from gogooku_kedro.labels.split import PARTS, Part, Split, part_range, split_mask
from gogooku_kedro.labels.target import gaussian_rank_labels
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.params import EvaluationParams, ModelParams, TrainingParams
from gogooku_kedro.typing import BoolArray, Float32Array, TextArray

if TYPE_CHECKING:
    from gogooku_kedro.training.tensors import MarketTensors

SCORED: tuple[Part, ...] = ("valid", "test")
REFIT = "refit"
"""Rows of train and valid, and of the sessions between them: their labels are known before the test part begins."""
BLOCK_DATES = 64
"""Sessions read at a time, as many as a stored piece holds."""


@dataclass(frozen=True)
class FitSettings:
    """Settings of the baselines.

    Attributes:
        seed: Seed of everything random.
        window: Sessions that a model of sequences looks back over, as the network does.
        device: "auto", "cpu" or "cuda".
        refit: Score the test part with what was fitted anew on train and valid, as chosen on valid.
    """

    seed: int
    window: int
    device: str
    refit: bool = False

    @classmethod
    def of(cls, model: ModelParams, training: TrainingParams, evaluation: EvaluationParams) -> FitSettings:
        """Return window, device and refit of the network, and the seed of the evaluation."""
        return cls(evaluation.seed, model.window, training.device, training.refit == "valid")


@dataclass(frozen=True)
class FitContext:
    """All that a baseline may read; the test part's labels are there to be measured, never to be learned.

    Attributes:
        features: `x` (date, code, feature), missing already 0; `levels`; `in_universe` (date, code).
        labels: `target` (date, code, horizon), NaN = missing: what the network learns too.
        panel: Market panel of the same sessions and stocks.
        graph_edges: asof, source, target, correlation.
        split: {"train": [from, to], "valid": ..., "test": ...}; purged sessions are in no part.
        manifest: Feature manifest; tells which features are a stock's own and which are the graph's.
        settings: Seed, window and device.
        tensors: Returns the market as the network reads it, for a model of sequences; None where it is not at hand.
    """

    features: xr.Dataset
    labels: xr.Dataset
    panel: xr.Dataset
    graph_edges: pd.DataFrame
    split: Split
    manifest: Mapping[str, Any]
    settings: FitSettings
    tensors: Callable[[], MarketTensors] | None = None

    @cached_property
    def rows(self) -> LearningRows:
        """Rows of all features, the same for every baseline that learns from rows."""
        x, in_universe = self.features["x"], self.features["in_universe"]
        return learning_rows(x, in_universe, self.labels["target"], self.split, refit=self.settings.refit)


Features = Callable[[slice], Float32Array]
"""Of a range of dates to the normalised features (date, code, feature) float32 of all stocks."""


@dataclass(frozen=True)
class PartRows:
    """Rows, a stock on a session each, of one part of the split, in order of time.

    The features stay where they are until a block of rows is asked for: together they would be a copy as large
    as the market.

    Attributes:
        features: What the rows are read from.
        target: Per-date Gaussian rank of the label (row, horizon); NaN = no label.
        day: Index of the row's date (row,).
        stock: Index of the row's code (row,).
    """

    features: Features
    target: Float32Array
    day: NDArray[np.intp]
    stock: NDArray[np.intp]

    @property
    def blocks(self) -> list[slice]:
        """Rows of every `BLOCK_DATES` sessions."""
        borders = np.unique(np.searchsorted(self.day, np.arange(0, self.day[-1] + BLOCK_DATES + 1, BLOCK_DATES)))
        return [slice(int(first), int(stop)) for first, stop in pairwise(borders)]

    def x(self, block: slice) -> Float32Array:
        """Return the features of a block of rows (row, feature)."""
        day, stock = self.day[block], self.stock[block]
        first = int(day[0])
        values = self.features(slice(first, int(day[-1]) + 1))
        return values[day - first, stock].astype(np.float32, copy=False)

    def scored(self, score: Callable[[Float32Array], NDArray[np.floating]]) -> NDArray[np.floating]:
        """Return what a function of features (row, feature) gives for all rows, block by block."""
        return np.concatenate([score(self.x(block)) for block in self.blocks])

    def mean_rank_ic(self, score: NDArray[np.floating], horizon_index: int) -> float:
        """Return the mean over dates of the rank IC of a score (row,) with the label of a horizon."""
        shape = (int(self.day.max()) + 1, int(self.stock.max()) + 1)
        scores, target = np.full(shape, np.nan), np.full(shape, np.nan)
        scores[self.day, self.stock] = score
        target[self.day, self.stock] = self.target[:, horizon_index]
        return float(bn.nanmean(rank_ic(scores, target)))


@dataclass(frozen=True)
class LearningRows:
    """Rows of train, valid and test for all horizons and learners."""

    parts: Mapping[str, PartRows]
    dates: pd.DatetimeIndex
    codes: TextArray
    horizons: Sequence[int]

    def with_features(self, features: Features) -> LearningRows:
        """Return the same rows with other features of the same dates and codes."""
        return replace(self, parts={name: replace(part, features=features) for name, part in self.parts.items()})

    def predictions(self, scores: Mapping[str, Sequence[NDArray[np.floating]]]) -> pd.DataFrame:
        """Return scores as a table: date, code, split, score_<h>d (float32).

        Args:
            scores: Part to one score (row,) per horizon.
        """
        frames = []
        for part, values in scores.items():
            index = self.parts[part]
            frame = pd.DataFrame({"date": self.dates[index.day], "code": self.codes[index.stock], "split": part})
            for horizon, score in zip(self.horizons, values, strict=True):
                frame[score_column(horizon)] = score.astype(np.float32)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)


def learning_rows(
    x: xr.DataArray, in_universe: xr.DataArray, target: xr.DataArray, split: Split, *, refit: bool = False
) -> LearningRows:
    """Return the rows of the three parts; only stocks in the universe become rows.

    Args:
        x: Normalised features (date, code, feature), missing already 0.
        in_universe: (date, code) bool.
        target: What the network learns too (date, code, horizon), NaN = missing; ranked per date
            over the universe.
        split: {"train": [from, to], "valid": ..., "test": ...}; purged sessions are in no part.
        refit: Add the part `REFIT`: all sessions from the first of train to the last of valid.

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
    features = read_features(x)
    universe = in_universe.transpose("date", "code").to_numpy()
    ranks = gaussian_rank_labels(target, in_universe).transpose("date", "code", "horizon").to_numpy()
    masks: dict[str, BoolArray] = {part: split_mask(split, dates, part) for part in PARTS}
    if refit:
        first, stop = refit_range(split, dates)
        masks[REFIT] = (np.arange(len(dates)) >= first) & (np.arange(len(dates)) < stop)
    parts: dict[str, PartRows] = {}
    for part, inside in masks.items():
        day, stock = np.nonzero(universe & inside[:, None])
        if not len(day):
            raise ValueError(f"split.{part} {split[part]} holds no stock day of the universe; widen it")
        parts[part] = PartRows(features, ranks[day, stock].astype(np.float32, copy=False), day, stock)
    horizons = [int(h) for h in target["horizon"].values]
    return LearningRows(parts, dates, x["code"].values.astype(str), horizons)


def refit_range(split: Split, dates: pd.DatetimeIndex) -> tuple[int, int]:
    """Return the first session of train and the last one of valid plus one, as positions."""
    return part_range(split, dates, "train")[0], part_range(split, dates, "valid")[1]


def read_features(x: xr.DataArray) -> Features:
    """Return how features (date, code, feature) are read by dates; of a lazily opened store only those asked for."""
    ordered = x.transpose("date", "code", "feature")
    return lambda dates: ordered[dates].to_numpy()
