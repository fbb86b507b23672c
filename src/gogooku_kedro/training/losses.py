"""Loss terms, each averaged per date first, so that a day with many stocks weighs as much as any other."""

import torch
from torch import Tensor

from gogooku_kedro.model import GraphAttention, normalised_entropy


def rank_mse(score: Tensor, target: Tensor) -> Tensor:
    """Mean squared error against the per-date Gaussian rank, per date and horizon.

    Args:
        score: ``(D, N, 4)``.
        target: ``(D, N, 4)``; NaN = no label, the stock does not count.

    Returns:
        ``(D, 4)``; NaN where a date has no label at all.
    """
    known = ~target.isnan()
    error = torch.where(known, score - target.nan_to_num(), 0.0).square()
    return error.sum(dim=1) / _count(known)


def information_coefficient(score: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation of score and target over the stocks of each date.

    Args:
        score: ``(D, N, 4)``.
        target: ``(D, N, 4)``; NaN = no label, the stock does not count.

    Returns:
        ``(D, 4)``; NaN where a date has no label at all. A constant score has a correlation of 0.
    """
    known = ~target.isnan()
    count = _count(known).unsqueeze(1)
    s, t = (torch.where(known, v, 0.0) for v in (score.float(), target.nan_to_num().float()))
    s = torch.where(known, s - s.sum(dim=1, keepdim=True) / count, 0.0)
    t = torch.where(known, t - t.sum(dim=1, keepdim=True) / count, 0.0)
    covariance = (s * t).sum(dim=1)
    floor = 1e-6 * count.squeeze(1)
    return covariance / ((s.square().sum(dim=1) + floor) * (t.square().sum(dim=1) + floor)).sqrt()


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    r"""Quantile (pinball) loss, :math:`\max(q\,u, (q-1)\,u)` with :math:`u = y - \hat y_q`.

    Args:
        quantiles: ``(D, N, 4, Q)``.
        target: ``(D, N, 4)``; NaN = no label.
        levels: ``(Q,)`` in (0, 1).

    Returns:
        ``(D, 4)``, mean over stocks and levels; NaN where a date has no label at all.
    """
    known = ~target.isnan()
    miss = target.nan_to_num().unsqueeze(-1) - quantiles
    loss = torch.maximum(levels * miss, (levels - 1) * miss).mean(dim=-1)
    return torch.where(known, loss, 0.0).sum(dim=1) / _count(known)


def entropy_penalty(attention: GraphAttention, n_nodes: int) -> Tensor:
    """One less the mean normalised attention entropy: 0 = uniform attention, 1 = one neighbour only.

    A positive weight therefore *raises* the entropy. 0 where no stock has a neighbour.
    """
    entropy = normalised_entropy(attention, n_nodes)
    return 1 - entropy.mean() if entropy.numel() else attention.alpha.new_zeros(())


def edge_weight_penalty(attention: GraphAttention) -> Tensor:
    """Mean gate of the edges between different stocks; a positive weight closes edges. 0 without any."""
    gate = attention.gate[~attention.is_self]
    return gate.mean() if gate.numel() else attention.gate.new_zeros(())


def _count(known: Tensor) -> Tensor:
    # 0/0 = NaN marks a date without labels; the caller leaves it out with nanmean.
    count = known.sum(dim=1).float()
    return torch.where(count > 0, count, torch.nan)
