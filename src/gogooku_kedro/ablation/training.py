"""One variant on one fold: the market it hears, its training, its scores, all under one key."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.ablation.control_graphs import control_graph
from gogooku_kedro.ablation.scores import measure_seeds
from gogooku_kedro.ablation.store import VariantResult, load_variant, save_variant, variant_key
from gogooku_kedro.ablation.variants import Training
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
from gogooku_kedro.training.tensors import graph_tensors
from gogooku_kedro.walk_forward.refit import Fold

MODELS, CHECKPOINTS = "models", "checkpoints"

WITHOUT_EFFECT = {"checkpoint_dir", "keep_checkpoints", "seed"}
"""Settings of `training` that change no result: `seeds` are the variant's own."""


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


class FoldMarket:
    """A fold as tensors, which all its variants share but for the graph."""

    def __init__(self, fold: Fold, setting: Setting) -> None:
        self.fold, self.setting = fold, setting
        self.dates = pd.DatetimeIndex(fold.features.indexes["date"])
        self.codes = fold.features.indexes["code"]
        self.panel = setting.panel.sel(date=self.dates)
        self._tensors: dict[tuple[str, ...], MarketTensors] = {}

    def result(self, training: Training) -> tuple[VariantResult, bool]:
        """The finished variant, and whether it was there already."""
        market = self._market(training)
        inputs = self._inputs(training, market)
        folder = self.setting.folder / variant_key(inputs)
        finished = load_variant(folder)
        if finished is not None:
            return finished, True
        result = self._trained(training, market, folder)
        save_variant(folder, result, inputs)
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
        fold, setting = self.fold, self.setting
        returns = self.panel["ret_1d"]
        return {
            "variant": {"model": training.model.model_dump(mode="json"), "graph": training.graph},
            "training": setting.training.model_dump(mode="json", exclude=WITHOUT_EFFECT),
            "evaluation": setting.evaluation.model_dump(mode="json", include={"cost_bps", "factors"}),
            "split": fold.split,
            "market": [market.fingerprint(), fold.manifest["hash"]],
            "measured_on": [_digest(fold.labels["ret"]), _digest(returns), _digest_table(fold.graph_edges)],
        }

    def _trained(self, training: Training, market: MarketTensors, folder: Path) -> VariantResult:
        fold, setting = self.fold, self.setting
        ensemble = self._ensemble(training, market, folder)
        started = time.monotonic()
        predictions, members = predict_parts(
            ensemble,
            fold.manifest["hash"],
            training.model,
            market,
            {"test": list(range(*part_range(fold.split, self.dates, "test")))},
            self.dates,
            self.codes,
            resolve_device(setting.training.device),
        )
        daily = measure_seeds(predictions, members, fold.labels, fold.graph_edges, self.panel, setting.evaluation)
        seconds = round(ensemble.training["seconds"] + time.monotonic() - started, 1)
        return VariantResult(daily, members, ensemble.training["n_parameters"], seconds)

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


def _digest(array: xr.DataArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array.to_numpy()).data).hexdigest()[:16]


def _digest_table(table: pd.DataFrame) -> str:
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()[:16]
