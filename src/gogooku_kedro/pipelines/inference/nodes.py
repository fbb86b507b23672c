"""Rank the latest session's cross-section with a stored model."""

from typing import Any

import pandas as pd

from gogooku_kedro.params import ModelParams, TrainingParams

Market = Any
Models = Any
"""A `training.Market` and a `training.Ensemble`: naming the classes here would import torch, and a hint that
cannot be resolved would make Kedro pass the parameters unvalidated."""


def rank_latest(ensemble: Models, market_tensors: Market, model: ModelParams, training: TrainingParams) -> pd.DataFrame:
    """Score the last session that has a cross-section, the best stock of the longest horizon first."""
    from gogooku_kedro.training import predict_market, resolve_device

    latest = market_tensors.tensors.latest_day()
    device = resolve_device(training.device)
    ranking, _ = predict_market(ensemble, market_tensors, model, {"latest": [latest]}, device)
    return ranking.sort_values("score_20d", ascending=False, ignore_index=True)
