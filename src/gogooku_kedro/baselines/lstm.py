"""A baseline that sees the same features over time but no other stock: an LSTM that ranks."""

import logging
from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from gogooku_kedro.baselines.rows import SCORED, FitContext
from gogooku_kedro.columns import HORIZONS, KEYS, SCORES
from gogooku_kedro.labels.split import PARTS, Part, part_range
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.training.data import cut_days
from gogooku_kedro.training.device import resolve_device
from gogooku_kedro.training.losses import information_coefficient, over_dates_and_horizons, rank_mse
from gogooku_kedro.training.tensors import Days, MarketTensors, market_tensors

logger = logging.getLogger(__name__)

CHUNK_DAYS = 16
"""Sessions scored in one pass; the borders of the passes lie at fixed sessions, so later data move none."""
HIDDEN, DROPOUT, IC_WEIGHT = 32, 0.2, 0.3
LEARNING_RATE, WEIGHT_DECAY, CLIP = 1e-3, 1e-2, 1.0
MAX_EPOCHS, PATIENCE = 20, 4


class LSTMRanker(nn.Module):
    """Features of a stock, session after session, to scores of the coming horizons.

    A linear layer, an LSTM (Hochreiter and Schmidhuber, 1997) and a linear head, the same for all stocks.
    Every stock is scored from its own features alone.

    Args:
        n_features: Features of a stock `F`.
        hidden: Width of embedding and state.
        dropout: Of the embedding.

    Shapes:
        - input: `(S, N, F)`, sessions first
        - output: `(S, N, 4)`, the score of each session from the sessions up to it
    """

    def __init__(self, n_features: int, hidden: int = HIDDEN, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(n_features, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.lstm = nn.LSTM(hidden, hidden)
        self.head = nn.Linear(hidden, len(HORIZONS))

    def forward(self, x: Tensor) -> Tensor:
        """Scores `(S, N, 4)` of features `(S, N, F)`; the state starts at 0."""
        scores: Tensor = self.head(self.lstm(self.embed(x))[0])
        return scores


def fit(context: FitContext, max_epochs: int = MAX_EPOCHS) -> pd.DataFrame:
    """Train an LSTM ranker on the training part and return its predictions of the other parts.

    The loss is that of the network, per date: squared error against the Gaussian rank and 1 - IC, over the
    four horizons. The epoch with the best mean rank IC on valid is kept; after `PATIENCE` epochs without a
    better one the training ends. The test part plays no role in it; with `settings.refit` a second LSTM, trained
    for as many epochs on all sessions up to the end of valid, scores it.

    Args:
        context: Features, labels, split; a score looks back over at least `window` sessions, at most over
            `window + 15`. The seed decides weights, dropout and the order of the sessions.
        max_epochs: Epochs at most.

    Returns:
        date, code, split, score_<h>d for the universe of valid and test.
    """
    features, settings = context.features, context.settings
    dates, codes = features.indexes["date"], features.indexes["code"]
    device = resolve_device(settings.device)
    parts = {part: part_range(context.split, dates, part) for part in PARTS}
    if context.tensors is None:
        none = pd.DataFrame({"asof": pd.DatetimeIndex([]), "source": [], "target": []})
        market = market_tensors(features, context.labels, none, ())
    else:
        market = context.tensors()
    market = market.to(torch.device(device))
    size = market.x.size(-1) + market.context.size(-1)
    with torch.random.fork_rng([torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(settings.seed)
        rankers = dict.fromkeys(SCORED, LSTMRanker(size).to(device))
        epochs = _train(rankers["valid"], market, parts, settings.window, settings.seed, max_epochs)
        if settings.refit:
            torch.manual_seed(settings.seed)
            rankers["test"] = LSTMRanker(size).to(device)
            known = (parts["train"][0], parts["valid"][1])
            _train(rankers["test"], market, {"train": known}, settings.window, settings.seed, epochs)
    frames = [_part_frame(rankers[part], market, parts[part], settings.window, dates, codes) for part in SCORED]
    stacked = pd.concat([f.assign(split=part) for f, part in zip(frames, SCORED, strict=True)], ignore_index=True)
    return stacked[[*KEYS, *SCORES]]


def score_days(ranker: LSTMRanker, market: MarketTensors, days: Days, window: int) -> Tensor:
    """Score consecutive sessions, the same way whatever comes after them.

    Args:
        ranker: The trained LSTM.
        market: The market.
        days: First and last-plus-one session.
        window: Sessions of the shortest look-back.

    Returns:
        `(D, N, 4)` on the CPU.
    """
    first, stop = days
    anchor = window - 1
    blocks = range((first - anchor) // CHUNK_DAYS, (stop - 1 - anchor) // CHUNK_DAYS + 1)
    ranker.eval()
    with torch.inference_mode():
        scored = [
            ranker(_features(market, (anchor + block * CHUNK_DAYS, CHUNK_DAYS), window))[window - 1 :].cpu()
            for block in blocks
        ]
    start = first - anchor - blocks[0] * CHUNK_DAYS
    return torch.cat(scored)[start : start + stop - first]


def _train(
    ranker: LSTMRanker,
    market: MarketTensors,
    parts: Mapping[Part, Days],
    window: int,
    seed: int,
    max_epochs: int,
) -> int:
    """Train in place and return the number of epochs that were kept: those valid chooses, all without a valid part."""
    optimiser = torch.optim.AdamW(ranker.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, kept, epoch_kept = -np.inf, None, -1
    for epoch in range(max_epochs):
        rng = np.random.default_rng((seed, epoch))
        cuts = cut_days(*parts["train"], CHUNK_DAYS, shift=int(rng.integers(CHUNK_DAYS)))
        ranker.train()
        for position in rng.permutation(len(cuts)):
            _step(ranker, optimiser, market, cuts[position], window)
        if "valid" not in parts:
            continue
        quality = _valid_rank_ic(ranker, market, parts["valid"], window)
        if quality > best:
            best, kept, epoch_kept = quality, deepcopy(ranker.state_dict()), epoch
        elif epoch - epoch_kept >= PATIENCE:
            break
    if "valid" not in parts:
        return max_epochs
    if kept is None:  # the last epoch's weights stay
        logger.warning("lstm: no session of valid has a rank IC, so nothing chose an epoch; the last one is kept")
        return epoch + 1
    ranker.load_state_dict(kept)
    logger.info("lstm: valid rank IC %+.4f (epoch %d of %d)", best, epoch_kept + 1, epoch + 1)
    return epoch_kept + 1


def _step(ranker: LSTMRanker, optimiser: torch.optim.Optimizer, market: MarketTensors, cut: Days, window: int) -> None:
    score = ranker(_features(market, cut, window))[window - 1 :]
    target = market.target[cut[0] : sum(cut)]
    per_date = rank_mse(score, target) + IC_WEIGHT * (1 - information_coefficient(score, target))
    loss = over_dates_and_horizons(per_date, score.new_ones(len(HORIZONS)))
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(ranker.parameters(), CLIP)
    optimiser.step()


def _features(market: MarketTensors, cut: Days, window: int) -> Tensor:
    """All features `(D + L - 1, N, F)` in their order, those of the market as a whole in every stock that is present.

    Put together for the sessions of a pass, not for all: that would be the market once more in memory. Sessions
    beyond the last one are 0.
    """
    start, stop = cut[0] - window + 1, sum(cut)
    if start < 0:
        raise ValueError(f"day {cut[0]} has no window of {window} sessions before it; begin at day {window - 1}")
    present, of_stocks = market.present[start:stop], market.x.size(-1)
    of_market = market.context_columns
    n_features = of_stocks + len(of_market)
    x = market.x.new_zeros((stop - start, present.size(1), n_features))
    known = x[: len(present)]
    others = torch.ones(n_features, dtype=torch.bool, device=x.device).index_fill(0, of_market, False)
    known[..., others] = market.x[start:stop]
    known[..., of_market] = torch.where(present.unsqueeze(-1), market.context[start:stop].unsqueeze(1), 0.0)
    return x


def _valid_rank_ic(ranker: LSTMRanker, market: MarketTensors, days: Days, window: int) -> float:
    """Mean over sessions and horizons."""
    scores = score_days(ranker, market, days, window).numpy()
    targets = market.target[slice(*days)].cpu().numpy()
    daily = [rank_ic(scores[..., k], targets[..., k]) for k in range(len(HORIZONS))]
    return float(np.nanmean(daily))


def _part_frame(
    ranker: LSTMRanker,
    market: MarketTensors,
    days: Days,
    window: int,
    dates: pd.Index,
    codes: pd.Index,
) -> pd.DataFrame:
    scores = score_days(ranker, market, days, window).numpy()
    day, stock = np.nonzero(market.present[slice(*days)].cpu().numpy())
    frame = pd.DataFrame(scores[day, stock], columns=list(SCORES))
    return frame.assign(date=pd.DatetimeIndex(dates)[days[0] + day], code=codes[stock])
