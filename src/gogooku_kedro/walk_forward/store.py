"""Folds on disk: a finished one is read back, an unfinished one goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro import __version__
from gogooku_kedro.labels.split import Split
from gogooku_kedro.params import EvaluationParams, FeaturesParams, ModelParams, TrainingParams
from gogooku_kedro.typing import Array
from gogooku_kedro.walk_forward.refit import History

FORMAT = 2
FACTS, PREDICTIONS, MEMBERS = "fold.json", "predictions.parquet", "seed_predictions.parquet"
MODELS, CHECKPOINTS = "models", "checkpoints"


@dataclass(frozen=True)
class FoldSettings:
    """Settings that decide the predictions of a fold.

    Attributes:
        features: Section `features`.
        model: Section `model`.
        training: Section `training`.
        evaluation: Section `evaluation`; of it the seed and the factors.
        gat_verbose: Log every step of the GAT at DEBUG; decides nothing.
    """

    features: FeaturesParams
    model: ModelParams
    training: TrainingParams
    evaluation: EvaluationParams
    gat_verbose: bool = False

    def identity(self) -> dict[str, Any]:
        """Return the settings of which a change may change a prediction, as JSON types."""
        places = {"engine", "scheduler", "workers", "memory_mb"}
        files = {"checkpoint_dir", "keep_checkpoints", "seed", "seeds"}
        return {
            "features": self.features.model_dump(mode="json", exclude=places),
            "model": self.model.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json", exclude=files),
            "members": list(self.training.all_seeds()),
            "evaluation": self.evaluation.model_dump(mode="json", include={"seed", "factors"}),
        }


@dataclass(frozen=True)
class FoldResult:
    """What a finished fold leaves.

    Attributes:
        predictions: date, code, split, model, score_<h>d of the test part: model, neutral scores and
            baselines.
        seed_predictions: date, code, split, seed, score_<h>d: every model of the ensemble by itself.
        facts: JSON-ready: split, features (number kept), dropped (feature to reason), feature_hash,
            best_epochs (by seed), training, seconds.
    """

    predictions: pd.DataFrame
    seed_predictions: pd.DataFrame
    facts: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the tables, then the facts, which mark the fold finished."""
        folder.mkdir(parents=True, exist_ok=True)
        self.predictions.to_parquet(folder / PREDICTIONS, index=False)
        self.seed_predictions.to_parquet(folder / MEMBERS, index=False)
        unfinished = folder / f".{FACTS}"
        unfinished.write_text(json.dumps(self.facts, indent=2))
        unfinished.replace(folder / FACTS)

    @classmethod
    def load(cls, folder: Path) -> FoldResult:
        """Read what `save` wrote.

        Raises:
            ValueError: A file is missing or damaged; the message names the folder.
        """
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
            return cls(_read(folder / PREDICTIONS), _read(folder / MEMBERS), facts)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"walk_forward.folder: the finished fold in {folder} cannot be read ({error}); remove that "
                f"folder to compute the fold again"
            ) from error


def is_finished(folder: Path) -> bool:
    """Return whether `folder` holds a finished fold."""
    return (folder / FACTS).exists()


def fold_folder(root: str | Path, split: Split, history: History, settings: FoldSettings) -> Path:
    """Return the folder of a fold below `root`: equal dates, data and settings, and only they, share it.

    The data are every number up to the end of the test part that a fold reads: panel, raw features,
    labels and graph. Where they lie, what computes, and which folds there are beside this one, is not
    part of the name.
    """
    digest = hashlib.blake2b(digest_size=8)
    settled = {
        "format": [FORMAT, __version__],
        "split": split,
        "settings": settings.identity(),
        "candidates": history.candidate_manifest["hash"],
    }
    digest.update(json.dumps(settled, sort_keys=True).encode())
    for name, values in _numbers(history, split):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return Path(root) / f"test_{'_'.join(split['test'])}_{digest.hexdigest()}"


def _numbers(history: History, split: Split) -> Iterator[tuple[str, Array]]:
    end = split["test"][1]
    read = [entry["name"] for entry in history.candidate_manifest["features"]]
    tables = {
        "panel": history.panel.sel(date=slice(None, end)),
        "raw": history.raw_features[read].sel(date=slice(None, end)),
        "labels": history.labels[["ret", "target"]].sel(date=slice(None, end)),
    }
    for table, data in tables.items():
        for name in _sorted([*data.coords, *data.data_vars]):
            yield f"{table}.{name}", _plain(data[name].to_numpy())
    edges = history.graph_edges[history.graph_edges["asof"] <= pd.Timestamp(end)]
    for name in _sorted(edges.columns):
        yield f"edges.{name}", _plain(edges[name].to_numpy())


def _plain(values: Array) -> Array:
    """Dates as integers and text of one length, so that their bytes are their content."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").view(np.int64)
    return values if values.dtype.kind in "biuf" else values.astype(str)


def _sorted(names: Iterable[Any]) -> list[str]:
    return sorted(str(name) for name in names)


def _read(file: Path) -> pd.DataFrame:
    frame = pd.read_parquet(file)
    return frame.assign(date=frame["date"].astype("datetime64[ns]"))
