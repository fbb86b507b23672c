"""What single edges do to the scores, beside the attention they get and the masks of PyG's explainers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.explainers import attention_explainer, gnn_explainer
from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.explanation.subject import HeardDay, Subject, sampled
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import EncodedDay
from gogooku_kedro.typing import IntArray

EFFECTS = [f"effect_{h}d" for h in HORIZONS]
MASKS = ["attention_explainer", "gnn_explainer"]
COLUMNS = ["date", "seed", "source", "target", "attention", "lift", "correlation", *EFFECTS, *MASKS]
MIN_EDGES = 3
"""A stock with fewer incoming edges has no order of them worth a correlation."""


def edge_importance(
    subject: Subject, days: Sequence[int], number: int, edges: int, steps: int, seed: int
) -> pd.DataFrame:
    """Take edges away one by one and see what the scores of their targets do.

    On every sampled session the incoming edges of stocks in random order are taken, all of a stock's before
    those of the next, until there are `edges`. The first of these stocks is explained by PyG too.

    Args:
        subject: Models and market.
        days: Positions of the sessions to sample from.
        number: Sessions sampled.
        edges: Edges on each.
        steps: Of GNNExplainer.
        seed: Of the samples and of GNNExplainer.

    Returns:
        One row per member, session and edge: `date, seed, source, target, attention, lift, correlation`,
        `effect_1d` ... (score of the target with the edge less that without it) and the masks
        `attention_explainer` and `gnn_explainer` (shortest horizon), NaN but for the explained stocks. No
        rows for a model without graph.
    """
    rng = np.random.default_rng(seed)
    chosen = sampled(days, number, rng)
    orders = {day: rng.permutation(len(subject.codes)) for day in chosen}
    frames = []
    for member, model, day in subject.encoded(chosen):
        heard = subject.heard(model, day)
        if heard is None:
            continue
        positions = _incoming(heard, orders[day.day], edges)
        frame = _effects(model, day, heard, positions, steps, seed)
        for end in ("source", "target"):
            frame[end] = subject.codes.to_numpy(dtype=object)[frame[end]].astype(str)
        frames.append(frame.assign(date=subject.dates[day.day], seed=member)[COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def effect_agreement(table: pd.DataFrame) -> dict[str, Any]:
    """Does what gets attention have an effect? Rank correlations with the size of the effect of dropping.

    Args:
        table: From `edge_importance`.

    Returns:
        `edges` and, for every horizon, the Spearman correlation of `|effect|` with `attention` over all
        edges, and the mean of the correlations among a stock's incoming edges of a session and member
        (`attention_within_stock`); for the shortest horizon also those of either explainer's mask. None
        where there is none.
    """
    agreement: dict[str, Any] = {"edges": len(table)}
    for effect in EFFECTS:
        agreement[effect.removeprefix("effect_")] = {
            "attention": _spearman(table["attention"], table[effect].abs()),
            "attention_within_stock": _within_stock(table, "attention", effect),
        }
    for mask in MASKS:
        agreement["1d"][f"{mask}_within_stock"] = _within_stock(table, mask, EFFECTS[0])
    return agreement


def _incoming(heard: HeardDay, order: IntArray, edges: int) -> IntArray:
    between = np.flatnonzero(heard.source != heard.target)
    place = np.argsort(order)[heard.target[between]]
    return between[np.argsort(place, kind="stable")][:edges]


def _effects(
    model: ATFTGATFAN,
    day: EncodedDay,
    heard: HeardDay,
    positions: IntArray,
    steps: int,
    seed: int,
) -> pd.DataFrame:
    part = GraphPart(model, day)
    effects = part.drop_effects(torch.from_numpy(positions).to(day.hidden.device)).cpu().numpy()
    columns = ("source", "target", "attention", "lift", "correlation")
    frame = pd.DataFrame({name: getattr(heard, name)[positions] for name in columns})
    frame[EFFECTS] = effects.astype(np.float64)
    frame[MASKS] = np.nan
    if len(frame):
        explained = int(frame["target"].iloc[0])
        masks = [
            attention_explainer(part, explained, 0),
            gnn_explainer(part, explained, 0, steps, seed),
        ]
        rows = frame["target"] == explained
        for name, mask in zip(MASKS, masks, strict=True):
            frame.loc[rows, name] = mask.cpu().numpy()[positions][rows]
    return frame


def _within_stock(table: pd.DataFrame, order: str, effect: str) -> float | None:
    known = table.dropna(subset=[order])
    each = [
        _spearman(edges[order], edges[effect].abs())
        for _, edges in known.groupby(["date", "seed", "target"])
        if len(edges) >= MIN_EDGES
    ]
    defined = [value for value in each if value is not None]
    return float(np.mean(defined)) if defined else None


def _spearman(left: "pd.Series[float]", right: "pd.Series[float]") -> float | None:
    if len(left) < MIN_EDGES or left.nunique() < 2 or right.nunique() < 2:
        return None
    return float(spearmanr(left, right).statistic)
