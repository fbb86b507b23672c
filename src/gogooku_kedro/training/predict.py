"""Score sessions with one trained model or several, the same way for validation, test and today."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.columns import HORIZONS, SCORES, quantile_column
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.ensemble import Ensemble
from gogooku_kedro.training.graph_tensors import existing
from gogooku_kedro.training.market import Market
from gogooku_kedro.training.tensors import DayChunk, MarketTensors
from gogooku_kedro.typing import Float32Array, IntArray

CHUNK_DAYS = 32


class EncodedDay(NamedTuple):
    """What a model knows of each stock on a session before the graph network, and the session's graph.

    Attributes:
        day: Position of the session.
        hidden: `(1, N, hidden_size)`.
        present: `(1, N)` bool.
        edge_index: `(2, E)` between stocks.
        edge_attr: `(E, A)`.
        selection: `(N, F)` variable selection weights of the session's tokens, None without a VSN.
    """

    day: int
    hidden: Tensor
    present: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    selection: Tensor | None


def encode_days(
    model: ATFTGATFAN,
    market: MarketTensors,
    days: list[int],
    change: Callable[[DayChunk], DayChunk] | None = None,
) -> Iterator[EncodedDay]:
    """Encode the window of every stock on each session, without gradients.

    Windows are encoded in chunks whose borders lie at fixed sessions and whose shape never changes, and
    every session has a graph of its own: what is known of a session cannot depend, not even in the last bit, on what
    comes after it.

    Args:
        model: The model, in evaluation mode; what it reads is copied to its device.
        market: The market, in any memory.
        days: Positions of the sessions; each needs a whole window before it.
        change: What is done to a chunk before it is encoded; None takes it as it is.
    """
    wanted, anchor, device = sorted(days), model.window - 1, next(model.parameters(), market.x).device
    for block in sorted({(day - anchor) // CHUNK_DAYS for day in wanted}):
        first = anchor + block * CHUNK_DAYS
        chunk = market.chunk(first, CHUNK_DAYS, model.window, device=device)
        if change is not None:
            chunk = change(chunk)
        with torch.no_grad():
            state = model.encode(chunk.x, chunk.present, chunk.levels, chunk.context)
        for day in (d for d in wanted if first <= d < first + CHUNK_DAYS):
            at, present = day - first, market.present[day : day + 1]
            selection = None if state.selection is None else state.selection[at + anchor]
            edges = existing(*market.graph.edges(day, present), n_nodes=present.numel())
            edge_index, edge_attr = (edge.to(device) for edge in edges)
            hidden = state.hidden[at : at + 1]
            yield EncodedDay(day, hidden, present.to(device), edge_index, edge_attr, selection)


def first_read(day: int, window: int) -> int:
    """Return the position of the first session that the scores of a session depend on, in every bit.

    A market that is cut off before it has the same chunks: the position is a whole number of them from the first.

    Args:
        day: Position of the session.
        window: Sessions of the model's window.

    Raises:
        ValueError: The session has no whole window before it.
    """
    if day < window - 1:
        raise ValueError(f"the market has {day + 1} sessions, and a window of the model {window}; provide more history")
    return (day - window + 1) // CHUNK_DAYS * CHUNK_DAYS


def predict_days(
    model: ATFTGATFAN, market: MarketTensors, days: list[int], device: str
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Score the cross-section of each session; nothing of a score depends on what comes after its session.

    Args:
        model: The model, in evaluation mode.
        market: The market.
        days: Positions of the sessions; each needs a whole window before it.
        device: `cpu` or `cuda`.

    Yields:
        The session, its scores `(N, 4)` and quantiles `(N, 4, Q)`, on the CPU.
    """
    model = model.to(device)
    for of in encode_days(model, market, days):
        with torch.no_grad():
            score, quantiles, _ = model.rank(of.hidden, of.present, of.edge_index, of.edge_attr)
        yield of.day, score[0].float().cpu(), quantiles[0].float().cpu()


def predictions_frame(
    model: ATFTGATFAN,
    params: ModelParams,
    market: MarketTensors,
    parts: dict[str, list[int]],
    dates: pd.DatetimeIndex,
    codes: pd.Index,
    device: str,
) -> pd.DataFrame:
    """Predictions of the stocks that belong to the cross-section of each session.

    Args:
        model: The model, in evaluation mode.
        params: Its settings, for the quantile levels.
        market: The market.
        parts: Positions of the sessions by name of the part, for example `{"test": [...]}`.
        dates: Sessions of the market.
        codes: Stocks of the market.
        device: `cpu` or `cuda`.

    Returns:
        Columns `date, code, split, score_1d ... score_20d` and `q05_1d ...`: quantiles of the
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


def predict_parts(
    ensemble: Ensemble,
    feature_hash: str,
    model_params: ModelParams,
    market: MarketTensors,
    parts: dict[str, list[int]],
    dates: pd.DatetimeIndex,
    codes: pd.Index,
    device: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of an ensemble, and the scores of each of its seed models.

    A single seed model gives its own scores. Of several, a score is the mean over the seed models of
    the Gaussian rank of their score among the stocks of the date (0 on a date with fewer than 5 stocks,
    which have no rank), and a quantile is the mean of theirs. Which models score a part says `Ensemble.models_for`.

    Args:
        ensemble: The trained models.
        feature_hash: Hash of the manifest of the market's features.
        model_params: Settings of the section `model`.
        market: The market.
        parts: Positions of the sessions by name of the part, for example `{"test": [...]}`.
        dates: Sessions of the market.
        codes: Stocks of the market.
        device: `cpu` or `cuda`.

    Returns:
        `date, code, split, score_1d ... score_20d` and quantiles `q05_1d ...` as in
        `predictions_frame`; and `date, code, split, seed, score_1d ... score_20d`.

    Raises:
        ValueError: If features, settings or sizes are not those of the training.
    """
    unseen = {part: days for part, days in parts.items() if ensemble.models_for(part) is ensemble.seed_models}
    later = {part: days for part, days in parts.items() if part not in unseen}
    groups = [(models, own) for models, own in ((ensemble.seed_models, unseen), (ensemble.refitted, later)) if own]
    frames = []
    for position in range(len(ensemble.seeds)):
        scored = []
        for models, own in groups:
            seed_model = models[position]
            seed_model.check_market(market)
            model = seed_model.build(feature_hash, model_params)
            scored.append(predictions_frame(model, seed_model.params, market, own, dates, codes, device))
        frames.append(pd.concat(scored, ignore_index=True) if len(scored) > 1 else scored[0])
    return combine(frames), _by_seed(frames, ensemble.seeds)


def predict_market(
    ensemble: Ensemble, market: Market, params: ModelParams, parts: dict[str, list[int]], device: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `predict_parts` of a market that knows its names."""
    names = (market.dates, market.codes)
    return predict_parts(ensemble, market.manifest["hash"], params, market.tensors, parts, *names, device)


def combine(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Average the predictions of seed models, all on the same rows; the rows of a date lie together."""
    if len(frames) == 1:
        return frames[0]
    combined, scores = frames[0].copy(), list(SCORES)
    quantiles = [str(name) for name in combined if name not in ("date", "code", "split", *SCORES)]
    if quantiles:
        combined[quantiles] = np.mean([frame[quantiles].to_numpy() for frame in frames], axis=0)
    borders = np.flatnonzero(combined["date"].diff().to_numpy()[1:]) + 1
    ranks = [_ranks_by_date(frame[scores].to_numpy(np.float32), borders) for frame in frames]
    combined[scores] = np.mean(ranks, axis=0)
    return combined


def _ranks_by_date(scores: Float32Array, borders: IntArray) -> Float32Array:
    ranks: list[Float32Array] = [gaussian_rank(day.T).T for day in np.split(scores, borders)]
    return np.nan_to_num(np.concatenate(ranks))


def _by_seed(frames: list[pd.DataFrame], seeds: tuple[int, ...]) -> pd.DataFrame:
    columns = ["date", "code", "split", "seed", *SCORES]
    return pd.concat(
        [frame.assign(seed=seed)[columns] for frame, seed in zip(frames, seeds, strict=True)],
        ignore_index=True,
    )
