"""One variant on one fold: its market, its training and its scores, stored under one key."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.ablation.control_graphs import control_graph
from gogooku_kedro.ablation.scores import measure_variant
from gogooku_kedro.ablation.variants import Training
from gogooku_kedro.artifacts import ResultFolders, digest, key
from gogooku_kedro.graph import check_graph
from gogooku_kedro.labels.split import part_range
from gogooku_kedro.params import EvaluationParams, TrainingParams
from gogooku_kedro.training import (
    Ensemble,
    MarketTensors,
    context_names,
    fit_ensemble,
    market_tensors,
    predict_parts,
    resolve_device,
)
from gogooku_kedro.training.ensemble import CONFIG
from gogooku_kedro.training.graph_tensors import graph_tensors
from gogooku_kedro.walk_forward.refit import Fold

FORMAT = 2
SUMMARY, DAILY, SCORES = "summary.json", "daily.parquet", "seed_scores.parquet"
MODELS, CHECKPOINTS = "models", "checkpoints"
RESULTS = ResultFolders("variant", "ablation.walk_forward.folder", SUMMARY, (DAILY, SCORES))


@dataclass(frozen=True)
class Setting:
    """What all variants have in common.

    Attributes:
        panel: Market panel, for the principal components of neutral scores.
        training: Section `training` with the seeds of the ablation.
        evaluation: Section `evaluation`.
        folder: Where finished variants lie.
    """

    panel: xr.Dataset
    training: TrainingParams
    evaluation: EvaluationParams
    folder: Path


@dataclass(frozen=True)
class VariantResult:
    """One variant on one fold.

    Attributes:
        daily: Table of `measure_variant`.
        seed_scores: date, code, split, seed, score_<h>d on the test part.
        n_parameters: Trained parameters of one model.
        seconds: Training and scoring of all seeds.
    """

    daily: pd.DataFrame
    seed_scores: pd.DataFrame
    n_parameters: int
    seconds: float

    def save(self, folder: Path, inputs: dict[str, Any]) -> None:
        """Write the tables, then the summary, which marks the variant finished and tells its `inputs`."""
        summary = {"n_parameters": self.n_parameters, "seconds": self.seconds, "inputs": inputs}
        RESULTS.save(folder, summary, [self.daily, self.seed_scores])

    @classmethod
    def load(cls, folder: Path) -> VariantResult:
        """Read what `save` wrote.

        Raises:
            ValueError: A file is missing or damaged; the message names the folder.
        """
        summary, (daily, seed_scores) = RESULTS.load(folder)
        return cls(daily, seed_scores, summary["n_parameters"], summary["seconds"])


class FoldMarket:
    """A fold as tensors, which all its variants share but for the graph."""

    def __init__(self, fold: Fold, setting: Setting) -> None:
        self.fold, self.setting = fold, setting
        self.dates = pd.DatetimeIndex(fold.features.indexes["date"])
        self.codes = fold.features.indexes["code"]
        self.panel = setting.panel.sel(date=self.dates)
        self._tensors: dict[tuple[str, ...], MarketTensors] = {}

    def result(self, training: Training) -> tuple[VariantResult, bool]:
        """Return the finished variant, and whether it was there already."""
        market = self._market(training)
        inputs = self._inputs(training, market)
        folder = self.setting.folder / key(**inputs)
        if RESULTS.is_finished(folder):
            return VariantResult.load(folder), True
        result = self._trained(training, market, folder)
        result.save(folder, inputs)
        return result, False

    def _market(self, training: Training) -> MarketTensors:
        fold, attributes = self.fold, training.model.gat.edge_attributes
        context = context_names(fold.manifest, training.model)
        if context not in self._tensors:
            self._tensors[context] = market_tensors(fold.features, fold.labels, fold.graph_edges, attributes, context)
        edges = control_graph(fold.graph_edges, training.graph, seed=fold.number)
        graph = graph_tensors(edges, self.dates, self.codes, attributes)
        return replace(self._tensors[context], graph=graph)

    def _inputs(self, training: Training, market: MarketTensors) -> dict[str, Any]:
        """What the result depends on, as JSON types: it is stored beside the result, to be read."""
        fold, evaluation = self.fold, self.setting.evaluation
        measured_on = (fold.labels["ret"], self.panel["ret_1d"], fold.graph_edges)
        return {
            "format": FORMAT,
            "variant": {"model": training.model.identity(), "graph": training.graph},
            "training": self.setting.training.identity(),
            # Of the evaluation the daily metrics read the costs and the factors of neutral scores alone.
            "evaluation": {"cost_bps": evaluation.cost_bps, "factors": evaluation.factors.identity()},
            "split": fold.split,
            "market": [market.fingerprint(), fold.manifest["hash"]],
            "measured_on": [digest(data) for data in measured_on],
        }

    def _trained(self, training: Training, market: MarketTensors, folder: Path) -> VariantResult:
        fold, setting = self.fold, self.setting
        ensemble = self._ensemble(training, market, folder)
        started = time.monotonic()
        predictions, by_seed = predict_parts(
            ensemble,
            fold.manifest["hash"],
            training.model,
            market,
            {"test": list(range(*part_range(fold.split, self.dates, "test")))},
            self.dates,
            self.codes,
            resolve_device(setting.training.device),
        )
        daily = measure_variant(predictions, by_seed, fold.labels, fold.graph_edges, self.panel, setting.evaluation)
        seconds = round(ensemble.training["seconds"] + time.monotonic() - started, 1)
        return VariantResult(daily, by_seed, ensemble.training["n_parameters"], seconds)

    def _ensemble(self, training: Training, market: MarketTensors, folder: Path) -> Ensemble:
        fold, models = self.fold, folder / MODELS
        if (models / CONFIG).exists():  # cut off between training and scoring
            return Ensemble.load(models)
        if training.model.gat.enabled:
            check_graph(fold.graph_edges, training.model.gat.edge_attributes, fold.split["train"])
        ensemble = fit_ensemble(
            market,
            part_range(fold.split, self.dates, "train"),
            part_range(fold.split, self.dates, "valid"),
            fold.manifest["hash"],
            training.model,
            self.setting.training.model_copy(update={"checkpoint_dir": str(folder / CHECKPOINTS)}),
            isolated=training.graph == "identity",
        ).ensemble
        ensemble.save(models)
        return ensemble
