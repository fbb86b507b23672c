"""The models of one fold: the network's ensemble, and the baselines on the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.blend import Weights, blend_weights
from gogooku_kedro.baselines.rows import SCORED, FitContext, FitSettings
from gogooku_kedro.baselines.stack import fit_baselines
from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.tracking import child_run
from gogooku_kedro.training import Ensemble, Market, build_market, fit_ensemble, predict_market, resolve_device
from gogooku_kedro.training.ensemble import CONFIG
from gogooku_kedro.walk_forward.refit import Fold
from gogooku_kedro.walk_forward.store import CHECKPOINTS, MODELS, FoldSettings

HISTORY = "training_history.csv"


def fold_ensemble(fold: Fold, market: Market, settings: FoldSettings, folder: Path) -> Ensemble:
    """Train the ensemble of a fold and keep it in `folder`; take it from there when it is trained already.

    A training that was cut off goes on from the checkpoints in `folder`. With an open MLflow run the
    curves go to a child run of their own.
    """
    models = folder / MODELS
    if (models / CONFIG).exists():
        return Ensemble.load(models)
    training = settings.training.model_copy(update={"checkpoint_dir": str(folder / CHECKPOINTS)})
    with child_run(f"fold_{fold.number}"):
        result = fit_ensemble(
            market.tensors,
            market.parts["train"],
            market.parts["valid"],
            fold.manifest["hash"],
            settings.model,
            training,
            gat_verbose=settings.gat_verbose,
        )
    result.history.to_csv(folder / HISTORY, index=False)
    result.ensemble.save(models)
    return result.ensemble


def fold_market(fold: Fold, settings: FoldSettings) -> Market:
    """Return the fold as a model reads it."""
    return build_market(fold.features, fold.labels, fold.graph_edges, fold.manifest, settings.model, fold.split)


def fold_predictions(market: Market, ensemble: Ensemble, settings: FoldSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ensemble's scores of the valid and test parts, and those of its seeds, as `predict_parts` does."""
    days: dict[str, list[int]] = {part: market.days(part) for part in SCORED}
    return predict_market(ensemble, market, settings.model, days, resolve_device(settings.training.device))


def fold_baselines(fold: Fold, panel: xr.Dataset, settings: FoldSettings, market: Market | None = None) -> pd.DataFrame:
    """Return the scores of every baseline on the valid and test parts, fitted on the fold.

    Trees need as much memory as the tensors of the market, and do not read them: who reads them has them built.

    Args:
        fold: The fold.
        panel: Market panel up to the end of the fold.
        settings: Of the sections `model` the window, of `training` the device, of `evaluation` the seed.
        market: From `fold_market`; None where no model of sequences is to share its tensors.

    Returns:
        model, date, code, split, score_<h>d.
    """
    own = FitSettings.of(settings.model, settings.training, settings.evaluation)
    context = FitContext(fold.features, fold.labels, panel, fold.graph_edges, fold.split, fold.manifest, own)
    if market is not None:
        market.release()
        context = replace(context, tensors=lambda: market.tensors)
    return fit_baselines(context)


def fold_blends(fold: Fold, scores: pd.DataFrame, baselines: pd.DataFrame, settings: FoldSettings) -> Weights:
    """Return the weights of every blend, from the fold's validation part where `evaluation.blend` asks for it.

    Args:
        fold: The fold.
        scores: Of the network, valid and test parts.
        baselines: From `fold_baselines`.
        settings: Of the section `evaluation` the rule of the weights.
    """
    members = [rows for _, rows in baselines.groupby("model", sort=False)]
    return blend_weights([scores.assign(model=NETWORK), *members], fold.labels, settings.evaluation.blend)
