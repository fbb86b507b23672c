"""Walk-forward evaluation: every fold fits, trains and predicts its test part, once."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gogooku_kedro.baselines.stack import stack_models
from gogooku_kedro.labels.split import Split
from gogooku_kedro.training import Ensemble
from gogooku_kedro.walk_forward.models import (
    fold_baselines,
    fold_blends,
    fold_ensemble,
    fold_market,
    fold_predictions,
)
from gogooku_kedro.walk_forward.online import online_predictions
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import CHECKPOINTS, FOLDS, FoldResult, FoldSettings, fold_folder

logger = logging.getLogger(__name__)


def walk_forward(
    history: History, splits: Sequence[Split], settings: FoldSettings, root: str | Path
) -> list[FoldResult]:
    """Return the result of every fold, the oldest first.

    A fold that was finished with the same dates, data and settings is read from `root`; one that was cut
    off goes on after the last epoch that it finished.

    Args:
        history: What the data stages leave, all sessions.
        splits: From `walk_forward_splits`.
        settings: Everything else that decides a prediction.
        root: Folder of the folds.

    Raises:
        ValueError: A fold cannot be fitted or trained, or a finished one is damaged.
    """
    return [
        _take_or_run(number, split, len(splits), history, settings, root)
        for number, split in enumerate(splits, start=1)
    ]


def stacked(results: Sequence[FoldResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of all folds, and those of the seed models, each with a column `fold`."""

    def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
        numbered = [frame.assign(fold=number) for number, frame in enumerate(frames, start=1)]
        table = pd.concat(numbered, ignore_index=True)
        table.insert(0, "fold", table.pop("fold"))
        return table

    return joined([r.predictions for r in results]), joined([r.seed_predictions for r in results])


def _take_or_run(
    number: int, split: Split, count: int, history: History, settings: FoldSettings, root: str | Path
) -> FoldResult:
    folder = fold_folder(root, split, history, settings)
    if FOLDS.is_finished(folder):
        logger.info("fold %d of %d is finished already: %s", number, count, folder)
    else:
        spans = (f"{part} {' to '.join(split[part])}" for part in ("train", "valid", "test"))
        logger.info("fold %d of %d: %s", number, count, ", ".join(spans))
        folder.mkdir(parents=True, exist_ok=True)
        _run(number, split, history, settings, folder).save(folder)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return FoldResult.load(folder)


def _run(number: int, split: Split, history: History, settings: FoldSettings, folder: Path) -> FoldResult:
    started = time.monotonic()
    fold = history.fold(number, split, settings.features)
    panel = history.panel.sel(date=fold.features["date"])
    market = fold_market(fold, settings)
    ensemble = fold_ensemble(fold, market, settings, folder)
    scores, of_seeds = fold_predictions(market, ensemble, settings)
    baselines = fold_baselines(fold, panel, settings, market)
    weights = fold_blends(fold, scores, baselines, settings)
    scores, of_seeds, baselines = (table[table["split"] == "test"] for table in (scores, of_seeds, baselines))
    if (rate := settings.online_rate) is not None:
        updated = online_predictions(market, ensemble, settings, rate)
        baselines = pd.concat([updated, baselines], ignore_index=True)
    factors = settings.evaluation.factors
    predictions = stack_models(scores, baselines, fold.graph_edges, panel, factors, blends=weights)
    facts = {
        "split": split,
        "features": fold.manifest["n_features"],
        "dropped": fold.manifest["dropped"],
        "feature_hash": fold.manifest["hash"],
        "best_epochs": _best_epochs(ensemble),
        "training": ensemble.training,
        "blends": weights,
        "seconds": round(time.monotonic() - started, 1),
    }
    return FoldResult(predictions, of_seeds.reset_index(drop=True), facts)


def _best_epochs(ensemble: Ensemble) -> dict[str, int]:
    return {str(m.training["seed"]): int(m.training["best_epoch"]) for m in ensemble.seed_models}
