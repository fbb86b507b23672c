"""Rank the latest session's cross-section with a stored model."""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.params import InferenceParams, ModelParams, TrainingParams

Market = Any
Models = Any
"""A `training.Market` and a `training.Ensemble`: naming the classes here would import torch, and a hint that
cannot be resolved would make Kedro pass the parameters unvalidated."""


def rank_latest(
    ensemble: Models,
    market_tensors: Market,
    panel: xr.Dataset,
    latest_blend: pd.DataFrame | None,
    model: ModelParams,
    training: TrainingParams,
    inference: InferenceParams,
) -> pd.DataFrame:
    """Score the last session that has a cross-section, the best stock of the longest horizon first.

    Returns:
        `date, code, sector, rank` (1 = best), `percentile` (1 = best, a fraction), then what `predictions` has;
        both by `score_20d`. With `inference.scores: blend` the scores are those of the blend, the quantiles the
        network's.
    """
    from gogooku_kedro.baselines.blend import with_scores_of_blend
    from gogooku_kedro.training import predict_market, resolve_device

    latest = market_tensors.tensors.latest_day()
    device = resolve_device(training.device)
    predicted, _ = predict_market(ensemble, market_tensors, model, {"latest": [latest]}, device)
    if inference.scores == "blend":
        predicted = with_scores_of_blend(predicted, latest_blend)
    ranking = predicted.sort_values("score_20d", ascending=False, ignore_index=True)
    order = ranking["score_20d"].rank(ascending=False, method="min")
    ranking.insert(2, "sector", ranking["code"].map(panel["sector"].to_series()))
    ranking.insert(3, "rank", order.astype(int))
    ranking.insert(4, "percentile", (len(ranking) + 1 - order) / len(ranking))
    return ranking
