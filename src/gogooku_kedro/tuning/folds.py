"""The folds of a tuning: they end with the training part, and each measures settings on sessions they never saw."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gogooku_kedro.graph import check_graph
from gogooku_kedro.labels.split import Split, part_range
from gogooku_kedro.metrics.align import wide_parts
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.significance import icir
from gogooku_kedro.params import FeaturesParams, ModelParams
from gogooku_kedro.tracking import child_run
from gogooku_kedro.training import (
    MarketTensors,
    context_names,
    fit_ensemble,
    model_market,
    predict_parts,
    resolve_device,
)
from gogooku_kedro.tuning.space import Settings
from gogooku_kedro.walk_forward.refit import Fold, History

CHECKPOINTS = "checkpoints"


class FoldScores:
    """Train on a fold and measure its test part; data that trials share are prepared once.

    Args:
        history: What the data stages leave.
        splits: Of the folds, each within the training part.
        features: Section `features`.
        folder: Where a training that is cut off waits.
    """

    def __init__(self, history: History, splits: Sequence[Split], features: FeaturesParams, folder: Path) -> None:
        self._history, self._splits, self._features, self._folder = history, splits, features, folder
        self._folds: dict[int, Fold] = {}
        self._tensors: dict[tuple[Any, ...], MarketTensors] = {}

    def __call__(self, number: int, settings: Settings, name: str) -> dict[str, Any]:
        """Return what settings reach on a fold: rank_ic and rank_icir by horizon, epochs, seconds.

        Args:
            number: Of the fold, from 1.
            settings: Of the trial.
            name: Of the trial, for MLflow.

        Raises:
            Diverged: No epoch can be kept.
            ValueError: The settings do not fit the fold; the message names them.
        """
        started, fold = time.monotonic(), self._fold(number)
        dates, codes = pd.DatetimeIndex(fold.features.indexes["date"]), fold.features.indexes["code"]
        model, market = settings.model, self._market(fold, settings.model)
        if model.gat.enabled:
            check_graph(fold.graph_edges, model.gat.edge_attributes, fold.split["train"])
        own = settings.training.model_copy(update={"checkpoint_dir": str(self._folder / CHECKPOINTS)})
        feature_hash = fold.manifest["hash"]
        with child_run(f"{name} / fold {number}"):
            ensemble = fit_ensemble(
                market,
                part_range(fold.split, dates, "train"),
                part_range(fold.split, dates, "valid"),
                feature_hash,
                model,
                own,
            ).ensemble
        days = {"test": list(range(*part_range(fold.split, dates, "test")))}
        device = resolve_device(own.device)
        scores, _ = predict_parts(ensemble, feature_hash, model, market, days, dates, codes, device)
        epochs = [int(each.training["best_epoch"]) + 1 for each in ensemble.seed_models]
        return _measured(scores, fold) | {"epochs": epochs, "seconds": round(time.monotonic() - started, 1)}

    def _fold(self, number: int) -> Fold:
        if number not in self._folds:
            self._folds[number] = self._history.fold(number, self._splits[number - 1], self._features)
        return self._folds[number]

    def _market(self, fold: Fold, model: ModelParams) -> MarketTensors:
        key = (fold.number, context_names(fold.manifest, model), model.gat.edge_attributes)
        if key not in self._tensors:
            self._tensors[key] = model_market(fold.features, fold.labels, fold.graph_edges, fold.manifest, model)
        return self._tensors[key]


def _measured(scores: pd.DataFrame, fold: Fold) -> dict[str, Mapping[str, float]]:
    part = next(iter(wide_parts(scores, fold.labels)))
    daily = {f"{horizon}d": rank_ic(part.scores[horizon], part.returns[horizon]) for horizon in part.scores}
    means = {name: float(pd.Series(days).mean()) for name, days in daily.items()}
    return {"rank_ic": means, "rank_icir": {name: float(icir(days)) for name, days in daily.items()}}
