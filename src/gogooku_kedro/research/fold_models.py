"""The models of one fold: the network's ensemble, baselines on the same rows, and neutral scores."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro import evaluation
from gogooku_kedro.features import split_mask
from gogooku_kedro.features.split import Part
from gogooku_kedro.params import HORIZONS, EvaluationParams
from gogooku_kedro.research.refit import Fold
from gogooku_kedro.research.store import CHECKPOINTS, MODELS, FoldSettings
from gogooku_kedro.training import (
    Ensemble,
    MarketTensors,
    fit_ensemble,
    model_market,
    predict_parts,
    resolve_device,
)
from gogooku_kedro.training.bundle import CONFIG

HISTORY = "training_history.csv"


def fold_ensemble(fold: Fold, market: MarketTensors, settings: FoldSettings, folder: Path) -> Ensemble:
    """Train the ensemble of a fold and keep it in `folder`; take it from there when it is trained already.

    A training that was cut off goes on from the checkpoints in `folder`. With an open MLflow run the
    curves go to a child run of their own.
    """
    models = folder / MODELS
    if (models / CONFIG).exists():
        return Ensemble.load(models)
    training = settings.training.model_copy(update={"checkpoint_dir": str(folder / CHECKPOINTS)})
    with _child_run(f"fold_{fold.number}"):
        result = fit_ensemble(
            market,
            _day_range(fold, "train"),
            _day_range(fold, "valid"),
            fold.manifest["hash"],
            settings.model,
            training,
            gat_verbose=settings.gat_verbose,
        )
    result.history.to_csv(folder / HISTORY, index=False)
    result.ensemble.save(models)
    return result.ensemble


def fold_market(fold: Fold, settings: FoldSettings) -> MarketTensors:
    """Return the fold as tensors."""
    return model_market(fold.features, fold.labels, fold.graph_edges, fold.manifest, settings.model)


def fold_predictions(
    fold: Fold, market: MarketTensors, ensemble: Ensemble, settings: FoldSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ensemble's scores of the test part, and those of each member, as `predict_parts` does."""
    return predict_parts(
        ensemble,
        fold.manifest["hash"],
        settings.model,
        market,
        {"test": list(range(*_day_range(fold, "test")))},
        pd.DatetimeIndex(fold.features.indexes["date"]),
        fold.features.indexes["code"],
        resolve_device(settings.training.device),
    )


def fold_baselines(fold: Fold, panel: xr.Dataset, params: EvaluationParams) -> pd.DataFrame:
    """Return the test scores of rules, ridge and LightGBM, the learned ones fitted on the fold.

    Args:
        fold: The fold.
        panel: Market panel up to the end of the fold.
        params: Section `evaluation`.

    Returns:
        date, code, split, score_<h>d, model.
    """
    x, member, target = fold.features["x"], fold.features["member"], fold.labels["target"]
    rows = evaluation.learning_rows(x, member, target, fold.split)
    frames = [
        evaluation.fit_lightgbm(rows, seed=params.seed),
        evaluation.fit_ridge(rows),
        evaluation.rule_baselines(panel, member, fold.split, HORIZONS, seed=params.seed),
    ]
    scores = pd.concat(frames, ignore_index=True)
    return scores[scores["split"] == "test"].reset_index(drop=True)


def neutral_predictions(
    name: str, scores: pd.DataFrame, fold: Fold, panel: xr.Dataset, params: EvaluationParams
) -> pd.DataFrame:
    """Return the scores of one model without its peers' mean, and then without the market's factors.

    The graph of a day is the last one up to it, and its factors are fitted on the returns up to it.
    """
    factors = params.factors
    peers = evaluation.neutralise_peers(scores, fold.graph_edges)
    both = evaluation.neutralise_factors(peers, panel, factors.number, factors.window, factors.cadence)
    frames = [peers.assign(model=f"{name}_neutral"), both.assign(model=f"{name}_pca_neutral")]
    return pd.concat(frames, ignore_index=True)


def _day_range(fold: Fold, part: Part) -> tuple[int, int]:
    days = np.flatnonzero(split_mask(fold.split, fold.features.indexes["date"], part))
    return int(days[0]), int(days[-1]) + 1


def _child_run(name: str) -> AbstractContextManager[Any]:
    if mlflow.active_run() is None:
        return nullcontext()
    run: AbstractContextManager[Any] = mlflow.start_run(run_name=name, nested=True)
    return run
