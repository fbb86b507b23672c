"""Reasons for every stock of a session at once: what its own features add to its score, its neighbours held fixed."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import encode_days
from gogooku_kedro.typing import FloatArray

STOCKS_AT_A_TIME = 512


class OwnAttribution(NamedTuple):
    """What the features of each stock add to its own score.

    Attributes:
        attribution: `(N, F)`, summed over the window; a row sums to `score - baseline`, up to the integral's error.
        score: `(N,)`.
        baseline: `(N,)`, the score with 0 for every feature of the stock, as of the median stock.
    """

    attribution: FloatArray
    score: FloatArray
    baseline: FloatArray


def own_attributions(subject: Subject, model: ATFTGATFAN, day: int, horizon: int, steps: int) -> OwnAttribution:
    """Return integrated gradients of every stock's score with respect to its own features.

    The path is that of `attribution.integrated_gradients`, a straight line from 0 to the window of the stock. The
    stock appears beside its session as a copy that hears its neighbours and is heard by none: so that all stocks
    move at the same time and no score depends on another stock's path. What a stock says to its neighbours and hears
    back from them (through a second layer, or their scores) stays as it is; that is where the two differ.

    Args:
        subject: Models and market.
        model: The model.
        day: Position of the session.
        horizon: Position of the horizon.
        steps: Points of Gauss-Legendre.
    """
    (encoded,) = encode_days(model, subject.market, [day])
    part = GraphPart(model, encoded)
    stocks = part.x.size(0)
    points, weights = np.polynomial.legendre.leggauss(steps)
    found = OwnAttribution(np.zeros((stocks, subject.market.x.size(2))), np.zeros(stocks), np.zeros(stocks))
    for block in torch.arange(stocks).split(STOCKS_AT_A_TIME):
        score_of = _OwnScores(subject, model, part, day, block, horizon)
        rows, total = block.numpy(), torch.zeros_like(score_of.x[0])
        for alpha, weight in zip((points + 1) / 2, weights / 2, strict=True):
            x = (alpha * score_of.x).requires_grad_(True)
            (gradient,) = torch.autograd.grad(score_of(x).sum(), x)
            total = total + weight * (gradient * score_of.x).sum(dim=0)
        with torch.no_grad():
            found.score[rows] = score_of(score_of.x).double().cpu().numpy()
            found.baseline[rows] = score_of(torch.zeros_like(score_of.x)).double().cpu().numpy()
        found.attribution[rows] = total.detach().double().cpu().numpy()
    return found


def largest_reasons(subject: Subject, day: int, horizon: int, steps: int, count: int) -> pd.DataFrame:
    """Return the features that weigh most in the score of each stock of a session, as text.

    Args:
        subject: Models and market.
        day: Position of the session.
        horizon: In sessions.
        steps: Of the integral.
        count: Reasons of a stock.

    Returns:
        `reason_1`, `reason_2`, … by code: feature, its normalised value on the session, and in brackets what it adds,
        the mean over the seed models; the largest amount first.
    """
    position = HORIZONS.index(horizon)
    made = [own_attributions(subject, model, day, position, steps).attribution for model in subject.models]
    attribution = np.mean(made, axis=0)
    present = subject.market.present[day].cpu().numpy()
    values = subject.market.x[day].double().cpu().numpy()
    largest = np.argsort(-np.abs(attribution), axis=1, kind="stable")[:, :count]
    names = subject.features["feature"].to_numpy()
    rows = {
        str(subject.codes[stock]): [
            f"{names[f]} {values[stock, f]:+.2f} ({attribution[stock, f]:+.4f})" for f in largest[stock]
        ]
        for stock in np.flatnonzero(present).tolist()
    }
    columns = [f"reason_{n}" for n in range(1, count + 1)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


class _OwnScores:
    """Scores of some stocks as a function of their windows `(L, B, F) -> (B,)`, all else as it was."""

    def __init__(
        self, subject: Subject, model: ATFTGATFAN, part: GraphPart, day: int, block: Tensor, horizon: int
    ) -> None:
        market, window = subject.market, slice(day - model.window + 1, day + 1)
        device, stocks = market.x.device, part.x.size(0)
        block = block.to(device)
        self.model, self.part, self.horizon = model, part, horizon
        self.x, self.context = market.x[window][:, block], market.context[window]
        self.present, self.levels = market.present[window][:, block], market.levels[window][:, block]
        self.at_once = torch.cat([part.present, part.present[:, block]], dim=1)
        source, target = part.edge_index
        place = torch.full((stocks,), -1, device=device).scatter(0, block, torch.arange(len(block), device=device))
        heard = place[target] >= 0
        own = place[target[heard]] + stocks
        speaker = torch.where(source[heard] == target[heard], own, source[heard])
        self.edge_index = torch.cat([part.edge_index, torch.stack([speaker, own])], dim=1)
        self.edge_attr = torch.cat([part.edge_attr, part.edge_attr[heard]])

    def __call__(self, windows: Tensor) -> Tensor:
        own = self.model.encode(windows, self.present, self.levels, self.context).hidden[0]
        hidden = torch.cat([self.part.x, own]).unsqueeze(0)
        score: Tensor = self.part.model.rank(hidden, self.at_once, self.edge_index, self.edge_attr)[0]
        return score[0, self.part.x.size(0) :, self.horizon]
