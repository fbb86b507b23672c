"""Train the variants of an ablation on every fold; what is finished is never trained again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from gogooku_kedro.ablation.scores import ENSEMBLE
from gogooku_kedro.ablation.training import FoldMarket, Setting, VariantResult
from gogooku_kedro.ablation.variants import Training, Variant
from gogooku_kedro.params import ModelParams
from gogooku_kedro.tracking import child_run, track
from gogooku_kedro.walk_forward.refit import Fold

logger = logging.getLogger(__name__)


def run_ablation(
    variants: Sequence[Variant], folds: Iterable[Fold], n_folds: int, setting: Setting
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train every variant on every fold and measure its test part.

    Variants with equal settings and graph are trained once. A finished pair of variant and fold is read from
    `setting.folder`; one that was cut off goes on after its last finished epoch, because that is how
    `fit_ensemble` goes on. Within an MLflow run, each pair is a child run of its own.

    Args:
        variants: From `resolve_variants`.
        folds: Folds one after the other; taken when needed, so that one at a time is in memory.
        n_folds: Number of folds, for the forecast of the time that is left.
        setting: What all variants have in common.

    Returns:
        The daily metrics, long: variant, fold, and the columns of `measure_variant`; and one row per variant and
        fold: variant, fold, graph, scores, n_parameters, seconds.
    """
    by_training: dict[Training, list[Variant]] = {}
    for variant in variants:
        by_training.setdefault(variant.training, []).append(variant)
    progress = _Progress(n_folds * len(by_training))
    tables, rows = [], []
    for fold in folds:
        market = FoldMarket(fold, setting)
        for training, sharing in by_training.items():
            names = ", ".join(variant.name for variant in sharing)
            with child_run(f"{names} / fold {fold.number}"):
                result, reused = market.result(training)
                track(_record, names, fold, training, result, setting)
            progress.log(f"{names}, fold {fold.number} of {n_folds}", result, reused)
            for variant in sharing:
                tables.append(_of_variant(variant, fold.number, result.daily))
                rows.append(_row(variant, fold.number, result))
    return pd.concat(tables, ignore_index=True), pd.DataFrame(rows)


class _Progress:
    """One line per finished variant and fold, with the time that the others will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.trained = total, 0, [0.0][:0]

    def log(self, name: str, result: VariantResult, reused: bool) -> None:
        self.done += 1
        if not reused:
            self.trained.append(result.seconds)
        left = (self.total - self.done) * float(np.mean(self.trained or [0.0])) / 60
        means = _single_models(result.daily).groupby("horizon", sort=False)["rank_ic"].mean()
        logger.info(
            "ablation %d/%d: %s | test rank IC %s | %s | about %.0f min left",
            self.done,
            self.total,
            name,
            ", ".join(f"{horizon} {value:+.4f}" for horizon, value in means.items()),
            "finished before" if reused else f"{result.seconds:.0f} s",
            left,
        )


def _record(names: str, fold: Fold, training: Training, result: VariantResult, setting: Setting) -> None:
    settings = _flat(training.model) | {f"split.{part}": str(span) for part, span in fold.split.items()}
    seeds = list(setting.training.all_seeds())
    mlflow.log_params({"variant": names, "fold": fold.number, "graph": training.graph, "seeds": seeds} | settings)
    figures = {"n_parameters": result.n_parameters, "seconds": result.seconds}
    for (kind, horizon), days in result.daily[result.daily["seed"] != ENSEMBLE].groupby(["scores", "horizon"]):
        figures[f"test_{kind}/rank_ic_{horizon}"] = days["rank_ic"].mean()
        figures[f"test_{kind}/net_return_{horizon}"] = days["long_short_net"].mean()
    mlflow.log_metrics({name: float(value) for name, value in figures.items() if np.isfinite(value)})


def _flat(model: ModelParams) -> dict[str, Any]:
    return dict(pd.json_normalize({"model": model.model_dump(mode="json")}).iloc[0])


def _of_variant(variant: Variant, fold: int, daily: pd.DataFrame) -> pd.DataFrame:
    """The variant's rows; where its scores are the neutral ones, they stand in the place of the raw ones too."""
    if variant.scores != "raw":
        own = daily[daily["scores"] == variant.scores]
        daily = pd.concat([own.assign(scores="raw"), own])
    table = daily.copy()
    table.insert(0, "fold", fold)
    table.insert(0, "variant", variant.name)
    return table


def _row(variant: Variant, fold: int, result: VariantResult) -> dict[str, Any]:
    what = {"variant": variant.name, "fold": fold, "graph": variant.training.graph, "scores": variant.scores}
    return what | {"n_parameters": result.n_parameters, "seconds": result.seconds}


def _single_models(daily: pd.DataFrame) -> pd.DataFrame:
    return daily[(daily["scores"] == "raw") & (daily["seed"] != ENSEMBLE)]
