"""A daily step on labels that have matured: the model of a fold goes on learning through its test part.

Before session t is scored, the model takes one small step on the labels that became known since the session before:
of every horizon h those of session t - h - 1. A 1-session label counts from the next session but one of its date, a
20-session label after 21 sessions, for either entry: at the next open they are known at the open of t, at the close a
session earlier. Nothing dated after t is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gogooku_kedro.baselines.table import ONLINE
from gogooku_kedro.columns import HORIZONS, KEYS, SCORES
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import TrainingParams
from gogooku_kedro.training import Ensemble, Market, MarketTensors, combine, resolve_device
from gogooku_kedro.training.losses import information_coefficient, over_dates_and_horizons, rank_mse
from gogooku_kedro.training.tensors import DayChunk
from gogooku_kedro.walk_forward.store import FoldSettings


def matured(day: int, first: int) -> list[tuple[int, int]]:
    """Return the labels that are new on a session: the position of their session and of their horizon.

    Args:
        day: Position of the session about to be scored.
        first: First session that has a whole window before it.
    """
    labelled = ((day - horizon - 1, k) for k, horizon in enumerate(HORIZONS))
    return [(session, k) for session, k in labelled if session >= first]


def online_scores(
    model: ATFTGATFAN, market: MarketTensors, days: Sequence[int], learning_rate: float, training: TrainingParams
) -> Iterator[tuple[int, Tensor]]:
    """Score sessions one after the other, each after a step on what matured with it.

    The loss is the squared error and the correlation of `training.loss`, averaged over the horizons; without dropout,
    so that a repetition gives the same scores. The weights of `model` change.

    Args:
        model: The trained model, in evaluation mode.
        market: The market; of its targets those of sessions before a day's maturity are read.
        days: Sessions in order of time.
        learning_rate: Of AdamW, without decay.
        training: Weights of the terms, and the clipping of the gradient.

    Yields:
        The session and its scores `(N, 4)`, on the CPU.
    """
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.0)
    device = next(model.parameters()).device
    for day in days:
        terms = [
            loss
            for session, k in matured(day, model.window - 1)
            for loss in _loss(model, market.chunk(session, 1, model.window, device=device), k, training)
        ]
        if terms:
            optimiser.zero_grad()
            torch.stack(terms).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimiser.step()
        with torch.no_grad():
            score = _scores(model, market.chunk(day, 1, model.window, device=device))
        yield day, score[0].float().cpu()


def online_predictions(market: Market, ensemble: Ensemble, settings: FoldSettings, rate: float) -> pd.DataFrame:
    """Return the scores of the models that were updated every session of the test part, seeds averaged by rank.

    Returns:
        model, date, code, split, score_<h>d.
    """
    tensors, days, device = market.tensors, market.days("test"), resolve_device(settings.training.device)
    frames = []
    for seed_model in ensemble.models_for("test"):
        model = seed_model.build(market.manifest["hash"], settings.model).to(device)
        rows = []
        for day, score in online_scores(model, tensors, days, rate, settings.training):
            here = np.flatnonzero(tensors.present[day].cpu().numpy())
            own = pd.DataFrame(score.numpy()[here], columns=list(SCORES))
            rows.append(own.assign(date=market.dates[day], code=market.codes[here], split="test"))
        frames.append(pd.concat(rows, ignore_index=True))
    return combine(frames).assign(model=ONLINE)[["model", *KEYS, *SCORES]]


def _loss(model: ATFTGATFAN, chunk: DayChunk, horizon: int, training: TrainingParams) -> list[Tensor]:
    """The loss of one horizon on one session; nothing where no stock has a label."""
    target = torch.full_like(chunk.target, torch.nan)
    target[..., horizon] = chunk.target[..., horizon]
    if not torch.isfinite(target).any():
        return []
    score, weights = _scores(model, chunk), training.loss
    term = weights.mse_weight * rank_mse(score, target)
    term = term + weights.ic_weight * (1 - information_coefficient(score, target))
    return [over_dates_and_horizons(term, term.new_ones(len(HORIZONS)))]


def _scores(model: ATFTGATFAN, chunk: DayChunk) -> Tensor:
    inputs = (chunk.x, chunk.present, chunk.levels, chunk.context, chunk.edge_index, chunk.edge_attr)
    score: Tensor = model(*inputs).score
    return score
