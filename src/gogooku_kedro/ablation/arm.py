"""One arm of the ablation beside a run: the network without its GAT, on the split and with the seeds of the run."""

from __future__ import annotations

import pandas as pd

from gogooku_kedro.ablation.variants import resolve_variants
from gogooku_kedro.baselines.table import WITHOUT_GRAPH
from gogooku_kedro.columns import KEYS, SCORES
from gogooku_kedro.params import AblationParams, ModelParams, TrainingParams
from gogooku_kedro.training import EnsembleResult, Market, fit_variants, predict_market, resolve_device

ARM = "without graph"
"""What the log calls it, and its MLflow run."""


def train_with_arm(
    market: Market, model: ModelParams, training: TrainingParams, ablation: AblationParams, gat_verbose: bool = False
) -> tuple[EnsembleResult, pd.DataFrame]:
    """Train the network and, where it is asked for, the variant `off` beside it, and score valid and test with that.

    Args:
        market: The market of the run, with its split.
        model: Section `model`, which the variant changes.
        training: Section `training`: seeds, epochs and refit are the same for both.
        ablation: Section `ablation`.
        gat_verbose: Log every step of the GAT at DEBUG.

    Returns:
        The network, and of the variant model, date, code, split, score_<h>d; no row without `ablation.arm_in_run` or
        without a GAT to leave out.
    """
    variants = {"": model}
    if ablation.arm_in_run and model.gat.enabled:
        (off,) = (variant.training.model for variant in resolve_variants(ablation, model) if variant.name == "off")
        variants[ARM] = off
    parts, told = market.parts, market.manifest["hash"]
    network, *arms = fit_variants(market.tensors, parts["train"], parts["valid"], told, variants, training, gat_verbose)
    if not arms:
        return network, pd.DataFrame(columns=["model", *KEYS, *SCORES])
    days = {part: market.days(part) for part in ("valid", "test")}
    scores, _ = predict_market(arms[0].ensemble, market, variants[ARM], days, resolve_device(training.device))
    return network, scores.assign(model=WITHOUT_GRAPH)[["model", *KEYS, *SCORES]]
