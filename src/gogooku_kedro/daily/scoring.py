"""Score the newest session with the stored model, in the bits that the whole history would give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from gogooku_kedro.daily.checks import BEFORE
from gogooku_kedro.daily.publication import REASONS
from gogooku_kedro.daily.sessions import Extension
from gogooku_kedro.explanation.reasons import largest_reasons
from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.params import DailyParams, ModelParams, TrainingParams
from gogooku_kedro.training import Ensemble, build_market, first_read, predict_market, resolve_device, without_labels


class Scored(NamedTuple):
    """The scores of a session and their reasons.

    Attributes:
        predicted: As from `predict_market`.
        reasons: `REASONS` by code.
    """

    predicted: pd.DataFrame
    reasons: pd.DataFrame


def sessions_needed(n_sessions: int, window: int) -> int:
    """Return how many of the last sessions a morning reads: those of the scores, and those to compare with.

    Args:
        n_sessions: Of the market.
        window: Of the model.
    """
    return max(n_sessions - first_read(n_sessions - 1, window), BEFORE + 1)


def score_session(
    ensemble: Ensemble,
    extension: Extension,
    manifest: Mapping[str, Any],
    n_sessions: int,
    model: ModelParams,
    training: TrainingParams,
    daily: DailyParams,
) -> Scored:
    """Score the last session; scores are those of `predict_market` on the whole market, bit for bit.

    Args:
        ensemble: The trained models.
        extension: The last sessions.
        manifest: Feature manifest.
        n_sessions: Sessions of the whole market, which decide where the chunks of the encoding begin.
        model: Section `model`.
        training: Section `training`, for the device.
        daily: Section `daily`.
    """
    read = n_sessions - first_read(n_sessions - 1, model.window)
    features = extension.features.drop_vars(["raw", "raw_feature"]).isel(date=slice(-read, None))
    market = build_market(features, without_labels(features), extension.edges, manifest, model)
    device = resolve_device(training.device)
    predicted, _ = predict_market(ensemble, market, model, {"latest": [read - 1]}, device)
    subject = Subject.of(ensemble, market, model, device)
    reasons = largest_reasons(subject, read - 1, daily.horizon, daily.reason_steps, len(REASONS))
    return Scored(predicted, reasons)
