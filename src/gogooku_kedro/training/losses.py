"""Loss terms, each averaged per date first, so that a session with many stocks weighs as much as any other.

Every term is computed in float32, whatever precision the scores come in. A missing label removes the stock
from its date: what the model says of it changes neither the value nor any gradient. The tensors are small, and on a
GPU a small kernel costs as much as a large one: what can be multiplied by a mask is not chosen with one, which fills a
tensor with the other value first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gogooku_kedro.model import AttentionEntropy, GraphAttention

PARTNERS = 16
"""Stocks that each stock is compared with in one step of the pairwise loss."""

TEMPERATURE = 0.1
"""Width of the step between two soft ranks, in standard deviations of a date's scores."""

BLOCK_ELEMENTS = 2**24
"""Comparisons of stocks held in memory at once by the soft ranks: 64 MiB of float32 per intermediate."""


def rank_mse(score: Tensor, target: Tensor) -> Tensor:
    """Mean squared error against the per-date Gaussian rank, per date and horizon.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`; NaN = no label, the stock does not count.

    Returns:
        `(D, 4)`; NaN where a date has no label at all.
    """
    s, t, known = _known(score, target)
    return _over((s - t).square().sum(dim=1), known.sum(dim=1))


def information_coefficient(score: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation of score and target over the stocks of each date.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`; NaN = no label, the stock does not count.

    Returns:
        `(D, 4)`; NaN where a date has no label at all. A constant score has a correlation of 0.
    """
    return _correlation(*_known(score, target))


def pairwise_logistic(score: Tensor, target: Tensor, shifts: Sequence[int]) -> Tensor:
    r"""RankNet's logistic loss on pairs of stocks, weighted by how far apart their targets lie.

    :math:`\sum_{ij} |t_i - t_j| \ln(1 + e^{-\mathrm{sign}(t_i - t_j)(s_i - s_j)}) / \sum_{ij} |t_i - t_j|`
    over the pairs of stock `i` with stock `(i + shift) mod N`. All shifts `1 ... N - 1` are all pairs;
    a few drawn by `pair_shifts` estimate the same mean at `K N` instead of :math:`N^2` comparisons.
    From Burges et al., "Learning to Rank using Gradient Descent" (2005), eq. 3.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`; NaN = no label, the stock does not count.
        shifts: Distances between the stocks of a pair, `K` numbers from 1 to `N - 1`.

    Returns:
        `(D, 4)`; NaN where a date has no pair of different targets. ln 2 for a constant score.
    """
    s, t, known = _known(score, target)
    stocks = torch.arange(score.size(1), device=score.device)
    partner = (stocks + torch.tensor(list(shifts), device=score.device).unsqueeze(1)) % len(stocks)  # (K, N)
    gap = t.unsqueeze(1) - t[:, partner]  # (D, K, N, 4)
    gap = torch.where(known.unsqueeze(1) & known[:, partner], gap, 0.0)
    loss = gap.abs() * F.softplus(-gap.sign() * (s.unsqueeze(1) - s[:, partner]))
    return _over(loss.sum(dim=(1, 2)), gap.abs().sum(dim=(1, 2)))


def sampled_pairwise(score: Tensor, target: Tensor) -> Tensor:
    """`pairwise_logistic` with `PARTNERS` partners of every stock, drawn anew at every call."""
    return pairwise_logistic(score, target, pair_shifts(score.size(1), PARTNERS))


def pair_shifts(stocks: int, number: int) -> list[int]:
    """Draw up to `number` different shifts for `pairwise_logistic` from PyTorch's CPU generator."""
    return (torch.randperm(stocks - 1)[:number] + 1).tolist()


def listnet(score: Tensor, target: Tensor) -> Tensor:
    r"""ListNet: cross-entropy between the chances of each stock to come first.

    :math:`-\sum_i \mathrm{softmax}(t)_i \ln \mathrm{softmax}(s)_i` over the stocks of a date, from Cao et
    al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (2007), section 4.2. It looks at the
    top of the list; its least value is the entropy of `softmax(t)`.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`; NaN = no label, the stock does not count.

    Returns:
        `(D, 4)`; NaN where a date has no label at all.
    """
    s, t, known = _known(score, target)
    lowest = torch.finfo(s.dtype).min
    wanted = t.masked_fill(~known, lowest).softmax(dim=1) * known
    surprise = -s.masked_fill(~known, lowest).log_softmax(dim=1)
    return _over(torch.where(known, wanted * surprise, 0.0).sum(dim=1), known.any(dim=1))


def soft_spearman(score: Tensor, target: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    r"""Differentiable Spearman correlation: Pearson's of the soft ranks of the scores and the targets' ranks.

    The soft rank of a stock counts the stocks below it with a sigmoid instead of a step,
    :math:`1/2 + \sum_j \mathrm{sigmoid}((s_i - s_j)/(\tau\,\mathrm{sd}(s)))`, from Qin et al., "A General
    Approximation Framework for Direct Optimization of Information Retrieval Measures" (2010), eq. 11. As the
    temperature goes to 0 it is Spearman's correlation.

    Every stock is compared with every other: :math:`D \cdot 4 \cdot N^2` sigmoids forward and twice that
    backward (for `N` = 4,000 and `D` = 16 a billion). Memory stays at a few blocks of
    `BLOCK_ELEMENTS`: the comparisons are made again in the backward pass instead of being kept.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`; NaN = no label, the stock does not count.
        temperature: Width of the sigmoid in standard deviations of the date's scores.

    Returns:
        `(D, 4)`; NaN where a date has no label at all. A constant score has a correlation of 0.
    """
    s, t, known = _known(score, target)
    centred, count = _centred(s, known)
    spread = (centred.square().sum(dim=1, keepdim=True) / count + 1e-6).sqrt()
    ranks = _soft_ranks(centred / (temperature * spread), known)
    wanted = _average_ranks(torch.where(known, t, torch.inf))
    return _correlation(torch.where(known, ranks, 0.0), torch.where(known, wanted, 0.0), known)


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    r"""Quantile (pinball) loss, :math:`\max(q\,u, (q-1)\,u)` with :math:`u = y - \hat y_q`.

    Args:
        quantiles: `(D, N, 4, Q)`.
        target: `(D, N, 4)`; NaN = no label.
        levels: `(Q,)` in (0, 1).

    Returns:
        `(D, 4)`, mean over stocks and levels; NaN where a date has no label at all.
    """
    known = _numbers(target)
    miss = target.nan_to_num().float().unsqueeze(-1) - quantiles.float()
    loss = torch.maximum(levels * miss, (levels - 1) * miss).mean(dim=-1)
    return _over((loss * known).sum(dim=1), known.sum(dim=1))


def over_dates_and_horizons(term: Tensor, horizon_weights: Tensor) -> Tensor:
    """Average a term `(D, 4)` over dates, then over horizons as `over_horizons` does."""
    return over_horizons(term.nanmean(dim=0), horizon_weights)


def over_horizons(terms: Tensor, horizon_weights: Tensor) -> Tensor:
    """Average terms `(*, 4)` over horizons with weights `(4,)` scaled to mean 1.

    A horizon without any label, NaN, takes no part, and the weights of the others are scaled without it. NaN if
    no horizon with a weight has a label.
    """
    counts = _numbers(terms) & (horizon_weights > 0)
    weights = horizon_weights * counts
    return (weights * torch.where(counts, terms, 0.0)).sum(dim=-1) / weights.sum(dim=-1)


def entropy_penalty(entropy: AttentionEntropy) -> Tensor:
    """One less the mean normalised attention entropy: 0 = uniform attention, 1 = one neighbour only.

    A positive weight therefore *raises* the entropy. 0 where no stock has a neighbour.
    """
    return known_mean(1 - entropy.normalised())


def edge_weight_penalty(attention: GraphAttention) -> Tensor:
    """Mean gate of the edges between different stocks; a positive weight closes edges. 0 without any."""
    return known_mean(torch.where(attention.is_self, torch.nan, attention.gate.float()))


def known_mean(values: Tensor) -> Tensor:
    """Mean of the values that are not NaN, 0 where none is; the others have no gradient."""
    return values.nansum() / _numbers(values).sum().clamp_min(1)


def _numbers(values: Tensor) -> Tensor:
    # Those that are not NaN, in one kernel: `isnan` and its opposite are two.
    return torch.eq(values, values)


def _known(score: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # Both in float32 and 0 where the label is missing, so that no gradient of a later NaN comes back.
    known = _numbers(target)
    return torch.where(known, score.float(), 0.0), target.nan_to_num().float(), known


def _correlation(s: Tensor, t: Tensor, known: Tensor) -> Tensor:
    (s, count), (t, _) = _centred(s, known), _centred(t, known)
    floor = 1e-6 * count.squeeze(1)
    scale = ((s.square().sum(dim=1) + floor) * (t.square().sum(dim=1) + floor)).sqrt()
    return torch.where(known.any(dim=1), (s * t).sum(dim=1) / scale, torch.nan)


def _centred(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    # 0 where the label is missing, as the values themselves must be; the count is that of a date's stocks.
    count = known.sum(dim=1, keepdim=True).clamp_min(1)
    return (values - values.sum(dim=1, keepdim=True) / count) * known, count


def _soft_ranks(z: Tensor, known: Tensor) -> Tensor:
    days, stocks, horizons = z.shape
    block = max(1, BLOCK_ELEMENTS // (days * stocks * horizons))
    parts = [
        checkpoint(
            _stocks_below,
            z[:, start : start + block],
            z,
            known,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for start in range(0, stocks, block)
    ]
    return 0.5 + torch.cat(parts, dim=1)


def _stocks_below(some: Tensor, every: Tensor, known: Tensor) -> Tensor:
    below = torch.sigmoid(some.unsqueeze(2) - every.unsqueeze(1))  # (D, block, N, 4)
    return (below * known.unsqueeze(1)).sum(dim=2)


def _average_ranks(values: Tensor) -> Tensor:
    # Ties share their average rank, as in scipy.stats.rankdata; infinity stands for missing.
    by_stock = values.transpose(1, 2).contiguous()
    ordered = by_stock.sort(dim=-1).values
    below = torch.searchsorted(ordered, by_stock)
    up_to = torch.searchsorted(ordered, by_stock, right=True)
    return ((below + up_to + 1) / 2).transpose(1, 2)


def _over(total: Tensor, weight: Tensor) -> Tensor:
    # NaN marks a date without labels; the caller leaves it out with nanmean. Chosen after the division, it
    # sends no NaN back to the scores.
    smallest = torch.finfo(total.dtype).tiny
    return torch.where(weight > 0, total / weight.to(total.dtype).clamp_min(smallest), torch.nan)
