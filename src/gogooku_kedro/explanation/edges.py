"""What single edges do to the scores, beside the attention they get and the masks of PyG's explainers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch_geometric.explain import AttentionExplainer, Explainer, GNNExplainer, ModelConfig

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.explanation.subject import AttendedEdges, Subject, sampled
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.model.convolution import AttentiveConvolution
from gogooku_kedro.training.predict import EncodedDay
from gogooku_kedro.typing import IntArray

EFFECTS = [f"effect_{h}d" for h in HORIZONS]
MASKS = ["attention_explainer", "gnn_explainer"]
COLUMNS = ["date", "seed", "source", "target", "attention", "lift", "correlation", *EFFECTS, *MASKS]
MIN_EDGES = 3
"""A stock with fewer incoming edges has no order of them worth a correlation."""

SCORES = ModelConfig(mode="regression", task_level="node", return_type="raw")
EDGE_SIZE, EDGE_ENTROPY, LEARNING_RATE = 0.002, 0.0005, 0.1
"""GNNExplainer's penalties on the size and the indecision of its mask, where scores differ by about one."""


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
        One row per seed model, session and edge: `date, seed, source, target, attention, lift, correlation`,
        `effect_1d` ... (score of the target with the edge less that without it) and the masks
        `attention_explainer` and `gnn_explainer` (shortest horizon), NaN but for the explained stocks. No
        rows for a model without graph.
    """
    rng = np.random.default_rng(seed)
    chosen = sampled(days, number, rng)
    orders = {day: rng.permutation(len(subject.codes)) for day in chosen}
    frames = []
    for model_seed, model, day in subject.encoded(chosen):
        attended = subject.attended(model, day)
        if attended is None:
            continue
        positions = _incoming(attended, orders[day.day], edges)
        frame = _effects(model, day, attended, positions, steps, seed)
        for end in ("source", "target"):
            frame[end] = subject.codes.to_numpy(dtype=object)[frame[end]].astype(str)
        frames.append(frame.assign(date=subject.dates[day.day], seed=model_seed)[COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def effect_agreement(table: pd.DataFrame) -> dict[str, Any]:
    """Does what gets attention have an effect? Rank correlations with the size of the effect of dropping.

    Args:
        table: From `edge_importance`.

    Returns:
        `edges` and, for every horizon, the Spearman correlation of `|effect|` with `attention` over all
        edges, and the mean of the correlations among a stock's incoming edges of a session and seed
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


def gnn_explainer(part: GraphPart, stock: int, horizon: int, steps: int, seed: int) -> Tensor:
    """Mask of GNNExplainer (Ying et al. 2019): the edges that suffice for the score of a stock.

    Args:
        part: Graph part of a model on a session.
        stock: Position of the stock.
        horizon: Position of the horizon.
        steps: Steps of the optimisation of the mask.
        seed: Seed of the mask's start.

    Returns:
        `(E,)` in [0, 1]; 0 for edges that cannot reach the stock.
    """
    algorithm = GNNExplainer(steps, LEARNING_RATE, edge_size=EDGE_SIZE, edge_ent=EDGE_ENTROPY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _edge_mask(algorithm, part, stock, horizon)


def attention_explainer(part: GraphPart, stock: int, horizon: int) -> Tensor:
    """Mask of PyG's AttentionExplainer: the largest attention over heads and layers, `(E,)`.

    NaN where the convolution has no attention (`sage`, `gin`).
    """
    gat = part.model.gat
    if gat is None or not isinstance(gat.layers[0].conv, AttentiveConvolution):
        return torch.full_like(part.edge_attr[:, 0], torch.nan)
    return _edge_mask(AttentionExplainer(reduce="max"), part, stock, horizon)


class _OneHorizon(nn.Module):
    """Scores of one horizon in units of their dispersion, so that the penalties weigh the same for all."""

    def __init__(self, part: GraphPart, horizon: int) -> None:
        super().__init__()
        self.part, self.horizon = part, horizon
        present = part.present[0]
        deviation = part.scores()[present, horizon].std(correction=0)
        self.scale = float(deviation.clamp_min(torch.finfo(deviation.dtype).tiny))

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        score: Tensor = self.part(x, edge_index, edge_attr)
        return score[:, self.horizon : self.horizon + 1] / self.scale


def _edge_mask(algorithm: AttentionExplainer | GNNExplainer, part: GraphPart, stock: int, horizon: int) -> Tensor:
    explainer = Explainer(
        _OneHorizon(part, horizon),
        algorithm,
        explanation_type="model",
        edge_mask_type="object",
        model_config=SCORES,
    )
    explanation = explainer(part.x, part.edge_index, edge_attr=part.edge_attr, index=stock)
    mask: Tensor = explanation.edge_mask.detach()
    return mask


def _incoming(attended: AttendedEdges, order: IntArray, edges: int) -> IntArray:
    between = np.flatnonzero(attended.source != attended.target)
    place = np.argsort(order)[attended.target[between]]
    return between[np.argsort(place, kind="stable")][:edges]


def _effects(
    model: ATFTGATFAN,
    day: EncodedDay,
    attended: AttendedEdges,
    positions: IntArray,
    steps: int,
    seed: int,
) -> pd.DataFrame:
    part = GraphPart(model, day)
    effects = part.drop_effects(torch.from_numpy(positions).to(day.hidden.device)).cpu().numpy()
    columns = ("source", "target", "attention", "lift", "correlation")
    frame = pd.DataFrame({name: getattr(attended, name)[positions] for name in columns})
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
