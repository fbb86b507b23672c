"""Score days with a trained model, the same way for validation, test and today."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gogooku_kedro.evaluation.wide import quantile_column
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import HORIZONS, ModelParams
from gogooku_kedro.training.market import MarketTensors

CHUNK_DAYS = 32
SCORES = tuple(f"score_{h}d" for h in HORIZONS)
"""Columns of the scores, high = expected to do better."""


def predict_days(
    model: ATFTGATFAN, market: MarketTensors, days: list[int], device: str
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Score the cross-section of each day.

    Windows are encoded in chunks whose borders lie at fixed sessions and whose shape never changes, and
    every day's graph is scored by itself: a day's scores cannot depend, not even in the last bit, on what
    comes after it.

    Args:
        model: The model, in evaluation mode.
        market: The market.
        days: Positions of the days; each needs a whole window before it.
        device: ``cpu`` or ``cuda``.

    Yields:
        The day, its scores ``(N, 4)`` and quantiles ``(N, 4, Q)``, on the CPU.
    """
    model = model.to(device)
    market = market.to(torch.device(device))
    wanted = sorted(days)
    anchor = model.window - 1
    with torch.inference_mode():
        for block in sorted({(day - anchor) // CHUNK_DAYS for day in wanted}):
            first = anchor + block * CHUNK_DAYS
            chunk = market.chunk(first, CHUNK_DAYS, model.window)
            hidden = model.encode(chunk.x, chunk.present, chunk.levels, chunk.context).hidden
            for day in (d for d in wanted if first <= d < first + CHUNK_DAYS):
                present = market.present[day : day + 1]
                at = slice(day - first, day - first + 1)
                score, quantiles, _ = model.rank(hidden[at], present, *market.graph.edges(day, present))
                yield day, score[0].float().cpu(), quantiles[0].float().cpu()


def predictions_frame(
    model: ATFTGATFAN,
    params: ModelParams,
    market: MarketTensors,
    parts: dict[str, list[int]],
    dates: pd.DatetimeIndex,
    codes: pd.Index,
    device: str,
) -> pd.DataFrame:
    """Predictions of the stocks that belong to the cross-section of each day.

    Args:
        model: The model, in evaluation mode.
        params: Its settings, for the quantile levels.
        market: The market.
        parts: Positions of the days by name of the part, for example ``{"test": [...]}``.
        dates: Sessions of the market.
        codes: Stocks of the market.
        device: ``cpu`` or ``cuda``.

    Returns:
        Columns ``date, code, split, score_1d ... score_20d`` and ``q05_1d ...``: quantiles of the
        per-date Gaussian rank of the return (0 = median stock, 1 = one standard deviation better).
    """
    part_of_day = {day: part for part, days in parts.items() for day in days}
    names = [*SCORES]
    names += [quantile_column(q, h) for h in HORIZONS for q in params.quantiles]
    frames = []
    for day, score, quantiles in predict_days(model, market, list(part_of_day), device):
        values = np.concatenate([score.numpy(), quantiles.flatten(1).numpy()], axis=1)
        here = market.present[day].cpu().numpy()
        frame = pd.DataFrame(values[here], columns=names)
        frame.insert(0, "date", dates[day])
        frame.insert(1, "code", codes[here])
        frame.insert(2, "split", part_of_day[day])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
