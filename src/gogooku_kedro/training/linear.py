"""Linear scores beside the network: ridge regressions on the training part, mixed with the trained network's.

Labels of `h` sessions overlap: `T` sessions hold only about `T / h` independent ones, so the longer the horizon the
worse its own regression is known, while most of what moves a stock for a day moves it for the days after too.
Therefore a longer horizon is shrunk at least as much as a shorter one, and its scores are averaged with those of the
shorter ones.

The network learns the labels themselves and not what the regression leaves of them: the residuals of a regression on
its own sessions have lost more than the signal, and two models that err differently are worth more than one that
corrects the other (stacked generalisation, Wolpert 1992).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.model.convolution import neighbour_share
from gogooku_kedro.training.graph_tensors import existing
from gogooku_kedro.training.monitor import nan_mean, validation_figures
from gogooku_kedro.training.tensors import Days, MarketTensors
from gogooku_kedro.typing import FloatArray

logger = logging.getLogger(__name__)

PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Ridge penalties per training row: alpha = penalty * rows, for features of variance 1."""

LEAST_SIZE = 0.1
"""Added to the size of a weight, of which 1 is the root mean square, so that none is shrunk without limit."""

TINY = 1e-12
BLOCK_DAYS = 32


SHARES = (0.0, 0.25, 0.5, 1.0)
"""Weights of the linear scores beside the network's, both with a standard deviation of 1, that are tried.

None above 1: the penalties of the linear scores are chosen on the same sessions, which flatters them there."""

LEAST_SLOPE = 1e-3


@dataclass(frozen=True)
class LinearScores:
    """Weights of a `LinearPath`, and what validation has to say of them.

    Attributes:
        weight: `(4, F)`, or `(8, F)` with those for the neighbours' means behind; on the CPU. The scores of the
            validation part have a standard deviation of 1.
        penalties: One of every horizon.
        spread: `(4,)`, standard deviation before the division.
        valid: `(D, N, 4)`, scores of the validation part.
    """

    weight: Tensor
    penalties: tuple[float, ...]
    spread: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Mixture:
    """How the scores of a network and the linear ones make one.

    Attributes:
        share: Weight of the linear scores beside the network's, both with a standard deviation of 1.
        network: `(4,)`, what the network's scores are multiplied by.
        linear: `(4,)`, the same of the linear ones.
    """

    share: float
    network: tuple[float, ...]
    linear: tuple[float, ...]


def fit_linear(
    market: MarketTensors, train: Days, valid: Days, correlation: int | None, neighbours: bool
) -> LinearScores:
    """Fit the weights of a `LinearPath` by ridge regression on the training part.

    Per horizon, min_b sum (y - b'z)^2 + penalty * rows * |b|^2 with z the features of the day, and behind them the
    means over the neighbours; then once more with the penalty of a weight divided by the root of its size, so that
    large weights are shrunk less than small ones (adaptive ridge, Grandvalet 1998). The validation part chooses the
    penalty of every horizon by mean rank IC, none below that of a shorter horizon. The score of a horizon is half
    its own and half the mean of those of the shorter horizons, each divided by its standard deviation.

    Args:
        market: The market, on the CPU.
        train: Sessions of the training part.
        valid: Sessions of the validation part.
        correlation: Column of the edge attributes that weighs the neighbours; None weighs all alike.
        neighbours: Whether the path reads the neighbours' means.
    """
    read = (correlation, neighbours)
    sums = _sums(_designs(market, train, *read))
    tried = torch.stack([torch.stack([_adaptive(*of, penalty) for penalty in PENALTIES]) for of in sums])  # (4, P, Z)
    quality = _mean_rank_ic(_designs(market, valid, *read), tried)
    chosen = _not_below(quality)
    pooled = _pooled(torch.stack([tried[h, p] for h, p in enumerate(chosen)]), sums[0])
    scores = torch.cat([_scores(z, pooled) for z, _ in _designs(market, valid, *read)])
    spread = _spread(scores, market.present[slice(*valid)].unsqueeze(-1).expand_as(scores))
    said = [f"{quality[h, p]:+.4f} at {HORIZONS[h]}d (penalty {PENALTIES[p]:g})" for h, p in enumerate(chosen)]
    logger.info("linear path: valid rank IC %s", ", ".join(said))
    penalties = tuple(PENALTIES[p] for p in chosen)
    return LinearScores(_stacked(pooled, spread, market), penalties, spread, scores / spread)


def refit_linear(
    fitted: LinearScores, market: MarketTensors, train: Days, correlation: int | None, neighbours: bool
) -> LinearScores:
    """Fit the same regressions on other sessions, with the penalties and the sizes that were chosen."""
    sums = _sums(_designs(market, train, correlation, neighbours))
    weights = torch.stack([_adaptive(*of, penalty) for of, penalty in zip(sums, fitted.penalties, strict=True)])
    return replace(fitted, weight=_stacked(_pooled(weights, sums[0]), fitted.spread, market))


def mixture(network: Tensor, linear: Tensor, target: Tensor) -> Mixture:
    """Choose how the scores of a network and the linear ones are added up.

    One share for all horizons, that of the highest mean rank IC; a horizon counts by the root of the number of its
    independent sessions. The sum is then multiplied by the slope of the labels on it, so that it is on their scale.

    Args:
        network: `(D, N, 4)` scores of the validation part.
        linear: `(D, N, 4)`, as of `LinearScores.valid`.
        target: `(D, N, 4)`, NaN = no label.
    """
    known = ~target.isnan()
    spread = _spread(network, known)
    counts = 1 / np.sqrt(HORIZONS)
    quality = []
    for share in SHARES:
        figures = validation_figures((network / spread + share * linear).numpy(), target.numpy())
        quality.append(float(np.dot(counts, [figures[f"rank_ic_{h}d"] for h in HORIZONS])))
    share = SHARES[int(np.argmax(quality))]
    both = _centred(network / spread + share * linear, known).double()
    slope = (both * target.nan_to_num()).sum(dim=(0, 1)) / both.square().sum(dim=(0, 1)).clamp_min(TINY)
    slope = slope.clamp_min(LEAST_SLOPE)
    return Mixture(share, tuple((slope / spread).tolist()), tuple((slope * share).tolist()))


def neighbour_means(market: MarketTensors, days: Days, correlation: int | None) -> Tensor:
    """Weighted mean of every feature over a stock's neighbours on consecutive sessions, `(D, N, F)`, 0 without any."""
    present = market.present[slice(*days)]
    nodes = present.numel()
    edges, attributes = existing(*market.graph.edges(days[0], present), n_nodes=nodes)
    weight = attributes.new_ones(len(attributes)) if correlation is None else attributes[:, correlation]
    share, size = neighbour_share(edges, weight, nodes), (nodes, nodes)
    matrix = torch.sparse_coo_tensor(edges.flip(0), share, size, check_invariants=False)
    means: Tensor = torch.sparse.mm(matrix, market.x[slice(*days)].flatten(0, 1))
    by_day: Tensor = means.unflatten(0, present.shape)
    return by_day


def _designs(
    market: MarketTensors, part: Days, correlation: int | None, neighbours: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Regressors `(D, N, Z)` and targets `(D, N, 4)`, block by block."""
    for start in range(*part, BLOCK_DAYS):
        days = (start, min(start + BLOCK_DAYS, part[1]))
        z = market.x[slice(*days)]
        if neighbours:
            z = torch.cat([z, neighbour_means(market, days, correlation)], dim=-1)
        yield z, market.target[slice(*days)]


Sums = tuple[Tensor, Tensor, int]
"""Sum of z z' and of z y over the labelled rows of a horizon, in float64, and their number."""


def _sums(designs: Iterator[tuple[Tensor, Tensor]]) -> list[Sums]:
    gram: Tensor | None = None
    horizons = range(len(HORIZONS))
    lacking, moments, rows = [], [], [0] * len(HORIZONS)
    for z, target in designs:
        if gram is None:
            gram = torch.zeros(z.size(-1), z.size(-1), dtype=torch.float64)
            lacking = [gram.clone() for _ in horizons]
            moments = [gram[0].clone() for _ in horizons]
        known = ~target.isnan()
        some = known.any(dim=-1)
        x, y = z[some], target[some].nan_to_num()
        gram += x.T @ x
        for h in horizons:
            without = x[~known[some][:, h]]  # few: a horizon has hardly fewer labels than another
            lacking[h] += without.T @ without
            moments[h] += x.T @ y[:, h]
            rows[h] += int(known[..., h].sum())
    assert gram is not None
    return [(gram - lacking[h], moments[h], max(1, rows[h])) for h in horizons]


def _adaptive(gram: Tensor, moments: Tensor, rows: int, penalty: float) -> Tensor:
    first = _solution(gram, moments, torch.full_like(moments, penalty * rows))
    size = (first.abs() / first.square().mean().sqrt().clamp_min(TINY) + LEAST_SIZE).sqrt()
    return _solution(gram, moments, penalty * rows * size.mean() / size)


def _solution(gram: Tensor, moments: Tensor, penalties: Tensor) -> Tensor:
    factor = torch.linalg.cholesky(gram + torch.diag(penalties))
    return torch.cholesky_solve(moments.unsqueeze(1), factor).squeeze(1)


def _mean_rank_ic(designs: Iterator[tuple[Tensor, Tensor]], tried: Tensor) -> FloatArray:
    """Mean over the sessions, `(4, P)`; 0 where there is none."""
    daily = []
    for z, target in designs:
        score, label = torch.einsum("dnz,hpz->hpdn", z, tried.float()).numpy(), target.numpy()
        daily.append(np.array([[rank_ic(each, label[..., h]) for each in score[h]] for h in range(len(score))]))
    series = np.concatenate(daily, axis=-1)
    return np.array([[nan_mean(each) for each in of] for of in series])


def _not_below(quality: FloatArray) -> list[int]:
    chosen, least = [], 0
    for of_horizon in quality:
        least += int(np.argmax(of_horizon[least:]))
        chosen.append(least)
    return chosen


def _pooled(weights: Tensor, sums: Sums) -> Tensor:
    gram, _, rows = sums
    spread = torch.einsum("hz,zy,hy->h", weights, gram / rows, weights).sqrt().clamp_min(TINY)
    even = weights / spread.unsqueeze(1)
    shorter = [even[: max(h, 1)].mean(dim=0) for h in range(len(even))]
    return (even + torch.stack(shorter)) / 2


def _scores(z: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("dnz,hz->dnh", z, weights.float())


def _spread(scores: Tensor, known: Tensor) -> Tensor:
    """Standard deviation over the stocks of a date, `(4,)`: the root of its mean square over all dates."""
    squares = _centred(scores, known).double().square().sum(dim=(0, 1))
    return (squares / known.sum(dim=(0, 1)).clamp_min(1)).sqrt().float().clamp_min(TINY)


def _centred(scores: Tensor, known: Tensor) -> Tensor:
    """Deviations from the mean of the date, which no rank depends on; 0 where not known."""
    there = torch.where(known, scores, 0.0)
    mean = there.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.where(known, there - mean, 0.0)


def _stacked(pooled: Tensor, spread: Tensor, market: MarketTensors) -> Tensor:
    return torch.cat((pooled / spread.unsqueeze(1)).float().split(market.x.size(-1), dim=1))
