"""Folds on disk: a finished one is read back, an unfinished one goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gogooku_kedro.artifacts import ResultFolders, key
from gogooku_kedro.baselines import table
from gogooku_kedro.labels.split import Split
from gogooku_kedro.params import EvaluationParams, FeaturesParams, ModelParams, TrainingParams
from gogooku_kedro.walk_forward.refit import History

FORMAT = 4
FACTS, PREDICTIONS, SEED_PREDICTIONS = "fold.json", "predictions.parquet", "seed_predictions.parquet"
MODELS, CHECKPOINTS = "models", "checkpoints"
FOLDS = ResultFolders("fold", "walk_forward.folder", FACTS, (PREDICTIONS, SEED_PREDICTIONS))


@dataclass(frozen=True)
class FoldSettings:
    """Settings that decide the predictions of a fold.

    Attributes:
        features: Section `features`.
        model: Section `model`.
        training: Section `training`.
        evaluation: Section `evaluation`; of it the seed, the factors and the rule of the blends.
        gat_verbose: Log every step of the GAT at DEBUG; decides nothing.
        online_rate: `walk_forward.online_rate`.
    """

    features: FeaturesParams
    model: ModelParams
    training: TrainingParams
    evaluation: EvaluationParams
    gat_verbose: bool = False
    online_rate: float | None = None


@dataclass(frozen=True)
class FoldResult:
    """What a finished fold leaves.

    Attributes:
        predictions: date, code, split, model, score_<h>d of the test part: model, neutral scores and
            baselines.
        seed_predictions: date, code, split, seed, score_<h>d: every model of the ensemble by itself.
        facts: JSON-ready: split, features (number kept), dropped (feature to reason), feature_hash,
            best_epochs (by seed), training, blends (weights), seconds.
    """

    predictions: pd.DataFrame
    seed_predictions: pd.DataFrame
    facts: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the tables, then the facts, which mark the fold finished."""
        FOLDS.save(folder, self.facts, [self.predictions, self.seed_predictions])

    @classmethod
    def load(cls, folder: Path) -> FoldResult:
        """Read what `save` wrote.

        Raises:
            ValueError: A file is missing or damaged; the message names the folder.
        """
        facts, tables = FOLDS.load(folder)
        predictions, seeds = (table.assign(date=table["date"].astype("datetime64[ns]")) for table in tables)
        return cls(predictions, seeds, facts)


def fold_folder(root: str | Path, split: Split, history: History, settings: FoldSettings) -> Path:
    """Return the folder of a fold below `root`: equal dates, data and settings, and only they, share it.

    The data are every number up to the end of the test part that a fold reads: panel, raw features,
    labels and graph; the settings include which models there are. Where files lie, what computes, and which folds
    there are beside this one, is not part of the name.
    """
    evaluation = settings.evaluation
    name = key(
        format=FORMAT,
        split=split,
        settings=[settings.features, settings.model, settings.training, settings.online_rate],
        # Of the evaluation a fold reads the seed of the baselines, the factors of neutral scores and the blends' rule.
        evaluation=[evaluation.seed, evaluation.factors, evaluation.blend],
        models=[model.name for model in table.MODELS],
        **read_until(history, split["test"][1]),
    )
    return Path(root) / f"test_{'_'.join(split['test'])}_{name}"


def read_until(history: History, end: str) -> dict[str, Any]:
    """Return all that folds which end with a session read of a history, as `artifacts.key` takes it."""
    read = history.candidate_manifest
    return {
        "candidates": read["hash"],
        "panel": history.panel.sel(date=slice(None, end)),
        "raw": history.raw_features[[entry["name"] for entry in read["features"]]].sel(date=slice(None, end)),
        "labels": history.labels[["ret", "target"]].sel(date=slice(None, end)),
        "edges": history.graph_edges[history.graph_edges["asof"] <= pd.Timestamp(end)],
    }
