"""A tiny market and models whose scores are known functions of it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
import xarray as xr
from torch import Tensor, nn
from torch_geometric.utils import scatter

from gogooku_kedro.explanation import Subject
from gogooku_kedro.explanation.subject import FACTS
from gogooku_kedro.model import GraphAttention
from gogooku_kedro.model.atft_gat_fan import StockState
from gogooku_kedro.model.convolution import NeighbourSum
from gogooku_kedro.training import market_tensors
from gogooku_kedro.training.graph_tensors import graph_tensors
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, tables
from tests.training.short import network

FAMILY_OF = {"a": "first", "b": "first", "c": "second", "d": "third"}


class HandMade(nn.Module):
    """Score = own · x_i + heard · Σ_j α_ij x_j of the day, α_ij ∝ the attribute of the edge.

    Args:
        own: Weight of each feature of the stock.
        heard: Weight of each feature of the mean neighbour.
        selection: Selection weights that every token has.
    """

    def __init__(self, own: Sequence[float], heard: Sequence[float], selection: Sequence[float] | None = None) -> None:
        super().__init__()
        self.own, self.heard = torch.tensor(own), torch.tensor(heard)
        self.selection = None if selection is None else torch.tensor(selection)
        self.window, self.levels, self.market_gate = 3, None, None
        self.gat, self.peers = nn.Module(), NeighbourSum()
        self.gat.learned, self.gat.layers = None, []

    def encode(self, x: Tensor, present: Tensor, levels: Tensor, context: Tensor) -> StockState:
        selection = None if self.selection is None else self.selection.expand(x.shape)
        return StockState(x[self.window - 1 :], selection, present, None)

    def rank(self, hidden: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Any:
        h, target, weight = hidden.flatten(0, 1), edge_index[1], edge_attr[:, 0].abs()
        total = scatter(weight, target, dim=0, dim_size=len(h))[target]
        alpha = torch.where(total > 0, weight / total.clamp_min(1e-12), 0.0)
        score = h @ self.own + self.peers(h, edge_index, alpha) @ self.heard
        sign = torch.where(edge_attr[:, 0] < 0, -1.0, 1.0)
        is_self = edge_index[0] == edge_index[1]
        attention = GraphAttention(edge_index, alpha[:, None], weight, sign, is_self, score.new_zeros(()))
        scores = score[:, None].expand(-1, 4).unflatten(0, present.shape)
        return scores, scores.unsqueeze(-1).expand(-1, -1, -1, 3), attention


def subject(
    *models: nn.Module,
    data: tuple[xr.Dataset, xr.Dataset, pd.DataFrame] | None = None,
) -> Subject:
    """Models beside the tiny market, with seeds 0, 1, ..."""
    features, labels, edges = tables() if data is None else data
    dates, codes = features.indexes["date"], features.indexes["code"]
    return Subject(
        models,
        tuple(range(len(models))),
        market_tensors(features, labels, edges, ATTRIBUTES),
        graph_tensors(edges, dates, codes, FACTS),
        pd.DataFrame({"feature": list(FAMILY_OF), "family": list(FAMILY_OF.values())}),
        pd.DatetimeIndex(dates),
        codes,
    )


def real_model(seed: int = 0, **changes: Any) -> nn.Module:
    """ATFT-GAT-FAN for the tiny market, untrained, in evaluation mode."""
    market = market_tensors(*tables(), ATTRIBUTES)
    model = network(market, model_params(**changes), seed)
    model.fit_scales(market.levels[:40], *market.graph.of_days(5, 40))
    return model.eval()


def edge_table(asof: pd.Timestamp, edges: dict[tuple[str, str], float]) -> pd.DataFrame:
    """A graph from `(source, target) -> correlation`."""
    source, target = zip(*edges, strict=True)
    own = [float(s == t) for s, t in edges]
    correlation = list(edges.values())
    return pd.DataFrame(
        {
            "asof": asof,
            "source": source,
            "target": target,
            "correlation": correlation,
            "abs_correlation": [abs(c) for c in correlation],
            "same_sector": own,
            "is_self": own,
        }
    )
