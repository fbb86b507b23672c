"""Which values of a stock's window made its score: integrated gradients of one prediction."""

from typing import NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from gogooku_kedro.explanation.graph_part import NODES_AT_A_TIME
from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import EncodedDay, encode_days
from gogooku_kedro.typing import FloatArray


class WindowAttribution(NamedTuple):
    """What the values of a window add to the score.

    Attributes:
        attribution: `(L, F)`; they sum to `score - baseline_score` up to `gap`.
        score: The score.
        baseline_score: The score the stock would have with 0 everywhere: as the median stock.
        gap: `|sum - (score - baseline_score)|` as a fraction of `|score - baseline_score|`, NaN
            where that is 0.
    """

    attribution: FloatArray
    score: float
    baseline_score: float
    gap: float


def integrated_gradients(
    subject: Subject, model: ATFTGATFAN, day: int, stock: int, horizon: int, steps: int
) -> WindowAttribution:
    r"""Integrated gradients (Sundararajan et al. 2017) of a score with respect to the stock's features.

    :math:`x_{lf} \int_0^1 \partial s(\alpha x)/\partial x_{lf}\, d\alpha` along the straight line from 0, the
    median stock, to the window, by Gauss-Legendre with `steps` points. Only the features of the stock
    itself move: levels, the state of the market and all other stocks stay, and the score takes every way
    through the graph.

    Args:
        subject: Models and market.
        model: The model.
        day: Position of the session.
        stock: Position of the stock.
        horizon: Position of the horizon.
        steps: Points of the integral.
    """
    (encoded,) = encode_days(model, subject.market, [day])
    score_of = _WindowScore(subject, model, encoded, stock, horizon)
    start = day - model.window + 1
    window = subject.market.x[start : day + 1, stock].unsqueeze(0)  # (1, L, F)
    batch = max(1, NODES_AT_A_TIME // subject.market.x.size(1))
    attribution = IntegratedGradients(score_of).attribute(
        window, baselines=0.0, n_steps=steps, method="gausslegendre", internal_batch_size=batch
    )
    with torch.no_grad():
        score, baseline = (float(score_of(x)) for x in (window, torch.zeros_like(window)))
    added, total = attribution[0].double().cpu().numpy(), score - baseline
    gap = abs(added.sum() - total) / abs(total) if total != 0 else np.nan
    return WindowAttribution(added, score, baseline, float(gap))


class _WindowScore:
    """Score of one stock as a function of its window `(B, L, F) -> (B,)`, all else as it was."""

    def __init__(self, subject: Subject, model: ATFTGATFAN, day: EncodedDay, stock: int, horizon: int) -> None:
        market, window = subject.market, slice(day.day - model.window + 1, day.day + 1)
        self.model, self.day, self.stock, self.horizon = model, day, stock, horizon
        self.present, self.levels = market.present[window, stock], market.levels[window, stock]
        self.context = market.context[window]

    def __call__(self, windows: Tensor) -> Tensor:
        copies, stocks = windows.size(0), self.day.present.size(1)
        x = windows.transpose(0, 1)  # (L, B, F): every copy is a stock
        present = self.present.unsqueeze(1).expand(-1, copies)
        levels = self.levels.unsqueeze(1).expand(-1, copies, -1)
        own = self.model.encode(x, present, levels, self.context).hidden[0]  # (B, d)
        hidden = self.day.hidden.expand(copies, -1, -1).clone()
        hidden[:, self.stock] = own
        offset = (torch.arange(copies, device=own.device) * stocks).view(1, -1, 1)
        edge_index = (self.day.edge_index.unsqueeze(1) + offset).flatten(1)
        edge_attr = self.day.edge_attr.repeat(copies, 1)
        score: Tensor = self.model.rank(hidden, self.day.present.expand(copies, -1), edge_index, edge_attr)[0]
        return score[:, self.stock, self.horizon]
