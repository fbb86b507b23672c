"""The graph network and the heads over fixed states: what is asked again and again with other edges."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.graph_tensors import existing
from gogooku_kedro.training.predict import EncodedDay

NODES_AT_A_TIME = 2**15
"""Stocks, copies of a session counted, that are scored in one pass."""


class GraphPart(nn.Module):
    """Score the stocks of one session from their states, as `model(x, edge_index, edge_attr)`.

    That is the call PyG's explainers make. Edges that a model found itself are edges like the others here:
    they are looked up once, and stay when an edge is taken away.

    Args:
        model: The model.
        day: Its encoding of the session.

    Shapes:
        - **x**: `(N, hidden_size)`
        - **edge_index**: `(2, E)`
        - **edge_attr**: `(E, A)`
        - **output**: `(N, 4)`
    """

    def __init__(self, model: ATFTGATFAN, day: EncodedDay) -> None:
        super().__init__()
        self.x, self.present = day.hidden[0], day.present
        self.edge_index, self.edge_attr = day.edge_index, day.edge_attr
        self.model = deepcopy(model).requires_grad_(False).eval()
        if self.model.gat is not None and self.model.gat.learned is not None:
            with torch.no_grad():
                hidden, _ = self.model.split_state(day.hidden.float())
                edge_index, edge_attr, _ = self.model.gat.learned(hidden, day.present, day.edge_index, day.edge_attr)
            self.edge_index, self.edge_attr = existing(edge_index, edge_attr, day.present.numel())
            self.model.gat.learned = None

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Return the scores of the session."""
        score: Tensor = self.model.rank(x.unsqueeze(0), self.present, edge_index, edge_attr)[0]
        return score[0]

    def scores(self) -> Tensor:
        """The scores with all edges, `(N, 4)`."""
        with torch.no_grad():
            score: Tensor = self(self.x, self.edge_index, self.edge_attr)
        return score

    def drop_effects(self, edges: Tensor) -> Tensor:
        """What each edge adds to the score of its target: the score with it less the score without it.

        Every edge is taken away by itself; attention then spreads over those that are left, as it would in
        a graph without it. Many copies of the session, each without one edge, are scored in one pass.

        Args:
            edges: `(M,)` positions in `edge_index`.

        Returns:
            `(M, 4)`.
        """
        target = self.edge_index[1, edges]
        without = [self._without(block.unsqueeze(1)) for block in edges.split(self._copies())]
        if not without:
            return self.x.new_zeros((0, 4))
        copy = torch.arange(len(edges), device=edges.device)
        effects: Tensor = self.scores()[target] - torch.cat(without)[copy, target]
        return effects

    def peers_effect(self, stock: int) -> Tensor:
        """What all neighbours together add to a stock's scores, `(4,)`: only its self loop is left."""
        source, target = self.edge_index
        incoming = ((target == stock) & (source != stock)).nonzero().flatten()
        if not len(incoming):
            return self.x.new_zeros(4)
        effect: Tensor = self.scores()[stock] - self._without(incoming.unsqueeze(0))[0, stock]
        return effect

    def _copies(self) -> int:
        return max(1, NODES_AT_A_TIME // self.x.size(0))

    def _without(self, dropped: Tensor) -> Tensor:
        """Scores `(B, N, 4)` of `B` copies of the session, copy `b` without the edges `dropped[b]`."""
        copies, (stocks, _) = dropped.size(0), self.x.shape
        kept = torch.ones(copies, self.edge_index.size(1), dtype=torch.bool, device=self.x.device)
        kept.scatter_(1, dropped, False)
        offset = (torch.arange(copies, device=self.x.device) * stocks).view(1, -1, 1)
        edge_index = (self.edge_index.unsqueeze(1) + offset)[:, kept]
        edge_attr = self.edge_attr.expand(copies, -1, -1)[kept]
        hidden, present = self.x.expand(copies, -1, -1), self.present.expand(copies, -1)
        with torch.no_grad():
            score: Tensor = self.model.rank(hidden, present, edge_index, edge_attr)[0]
        return score
