"""One arm of the ablation beside a run: the network without its GAT, on the split and with the seeds of the run."""

from __future__ import annotations

import pandas as pd

from gogooku_kedro.ablation.variants import resolve_variants
from gogooku_kedro.baselines.table import WITHOUT_GRAPH
from gogooku_kedro.columns import KEYS, SCORES
from gogooku_kedro.params import AblationParams, ModelParams, TrainingParams
from gogooku_kedro.tracking import child_run
from gogooku_kedro.training import Market, fit_ensemble, predict_market, resolve_device


def predict_without_graph(
    market: Market, model: ModelParams, training: TrainingParams, ablation: AblationParams
) -> pd.DataFrame:
    """Train the variant `off` and score valid and test with it.

    Args:
        market: The market of the run, with its split.
        model: Section `model`, which the variant changes.
        training: Section `training`: seeds, epochs and refit are those of the network beside it.
        ablation: Section `ablation`.

    Returns:
        model, date, code, split, score_<h>d; no row without `ablation.arm_in_run` or without a GAT to leave out.
    """
    if not (ablation.arm_in_run and model.gat.enabled):
        return pd.DataFrame(columns=["model", *KEYS, *SCORES])
    (off,) = (variant.training.model for variant in resolve_variants(ablation, model) if variant.name == "off")
    parts = market.parts
    with child_run("without graph"):
        trained = fit_ensemble(market.tensors, parts["train"], parts["valid"], market.manifest["hash"], off, training)
    days = {part: market.days(part) for part in ("valid", "test")}
    scores, _ = predict_market(trained.ensemble, market, off, days, resolve_device(training.device))
    return scores.assign(model=WITHOUT_GRAPH)[["model", *KEYS, *SCORES]]
