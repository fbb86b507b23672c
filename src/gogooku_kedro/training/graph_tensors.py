"""The graphs of a market as tensors: all edges one after the other, and the edges of consecutive sessions."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from gogooku_kedro.graph import asof_index
from gogooku_kedro.typing import IntArray


@dataclass(frozen=True)
class GraphTensors:
    """All graphs one after the other, with the graph of every session.

    Attributes:
        edge_index: `(2, E)` stock positions, grouped by as-of date.
        edge_attr: `(E, A)`.
        offset: `(G + 1,)`, edges of graph `g` are `offset[g]:offset[g + 1]`.
        graph_of_day: `(T,)`, last graph whose as-of date is not after the session, -1 = none yet.
    """

    edge_index: Tensor
    edge_attr: Tensor
    offset: Tensor
    graph_of_day: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the same graphs in the memory of `device`."""
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))

    def of_days(self, first_day: int, stop_day: int) -> tuple[Tensor, Tensor]:
        """Edges `(2, E)` between stocks and attributes `(E, A)` of the graphs in force on the sessions.

        Args:
            first_day: Index of the first session.
            stop_day: Index of the last session plus one.
        """
        graphs = self.graph_of_day[first_day:stop_day]
        graphs = graphs[graphs >= 0]
        if not len(graphs):
            return self.edge_index[:, :0], self.edge_attr[:0]
        edges = slice(int(self.offset[graphs[0]]), int(self.offset[graphs[-1] + 1]))
        return self.edge_index[:, edges], self.edge_attr[edges]

    @cached_property
    def edges_of_day(self) -> IntArray:
        """Number of edges in force on each session, `(T,)`, in the host's memory whatever the device."""
        of_graph = np.append(np.diff(self.offset.cpu().numpy()), 0)  # the last one: no graph yet
        return np.asarray(of_graph[self.graph_of_day.cpu().numpy()])

    def most_edges(self, first_day: int, stop_day: int) -> int:
        """Largest number of edges in force on one of the sessions."""
        return int(self.edges_of_day[first_day:stop_day].max(initial=0))

    def edges(
        self, first_day: int, present: Tensor, length: int | None = None, counted: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Edges of consecutive sessions between stocks that are present on the session.

        Every session has a list of the same length; what is not an edge in it, for want of edges or because a
        stock is absent, goes from node `D * N` to itself. No size depends on what is in the device's memory, so
        nothing is read back from it.

        Args:
            first_day: Index of the first session.
            present: `(D, N)` bool.
            length: Length of the list of a session; None takes the largest number of edges on one of these.
            counted: How many of the sessions have a graph; those behind them are empty. None counts all.

        Returns:
            `edge_index` `(2, D * length)` between nodes `day * N + stock`, and `edge_attr` `(D * length, A)`.

        Raises:
            ValueError: If a session has more than `length` edges.
        """
        days = len(present)
        stop = first_day + (days if counted is None else counted)
        most = self.most_edges(first_day, stop)
        length = most if length is None else length
        if most > length:
            raise ValueError(f"a session from {first_day} on has {most} edges, and its list has room for {length}")
        graph = self.graph_of_day[first_day:stop]
        return self._of_graphs(F.pad(graph, (0, days - len(graph)), value=-1), present, length)

    def edges_at(self, first_day: Tensor, counted: Tensor, present: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Edges as of `edges`, of sessions that only the device knows; their number is not checked.

        Args:
            first_day: Index of the first session, a scalar.
            counted: How many of the sessions have a graph, a scalar.
            present: `(D, N)` bool.
            length: Length of the list of a session.
        """
        graph = rows_at(self.graph_of_day, first_day, len(present), first_day + counted, -1)
        return self._of_graphs(graph, present, length)

    def _of_graphs(self, graph: Tensor, present: Tensor, length: int) -> tuple[Tensor, Tensor]:
        days, stocks = present.shape
        start, end = self.offset[graph.clamp_min(0)], self.offset[(graph + 1).clamp(0, len(self.offset) - 1)]
        count = torch.where(graph >= 0, end - start, 0)
        within = torch.arange(length, device=graph.device)
        edge = (start.unsqueeze(1) + within).clamp_max(self.edge_attr.size(0) - 1).flatten()  # (D * length,)
        day = torch.arange(days, device=graph.device).repeat_interleave(length)
        nodes = self.edge_index.index_select(1, edge) + day * stocks
        exists = (within < count.unsqueeze(1)).flatten() & present.flatten()[nodes].all(dim=0)
        attributes = self.edge_attr.index_select(0, edge)
        return torch.where(exists, nodes, days * stocks), torch.where(exists.unsqueeze(1), attributes, 0.0)


def graph_tensors(edges: pd.DataFrame, dates: pd.Index, codes: pd.Index, attributes: tuple[str, ...]) -> GraphTensors:
    """Put an edge table into tensors; edges of stocks outside `codes` are left out.

    Raises:
        ValueError: If an attribute is missing from the table, naming `model.gat.edge_attributes`.
    """
    missing = [name for name in attributes if name not in edges]
    if missing:
        raise ValueError(
            f"model.gat.edge_attributes: {missing} not in the graph, which has "
            f"{[c for c in edges if c not in ('asof', 'source', 'target')]}; list only these"
        )
    source = codes.get_indexer(pd.Index(edges["source"].astype(str)))
    target = codes.get_indexer(pd.Index(edges["target"].astype(str)))
    known = (source >= 0) & (target >= 0)
    asof = pd.DatetimeIndex(edges["asof"])[known]
    order = np.lexsort((source[known], target[known], asof.asi8))
    _, first = np.unique(asof.asi8[order], return_index=True)
    asof_dates = asof[order][first]
    values = np.ascontiguousarray(edges.loc[known, list(attributes)].to_numpy(np.float32)[order])
    return GraphTensors(
        torch.from_numpy(np.stack([source[known][order], target[known][order]])),
        torch.from_numpy(values),
        torch.from_numpy(np.append(first, len(order)).astype(np.int64)),
        torch.from_numpy(np.asarray(asof_index(asof_dates, pd.DatetimeIndex(dates)), np.int64)),
    )


def existing(edge_index: Tensor, edge_attr: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """Leave what is not an edge out of a list of constant length, see `GraphTensors.edges`.

    The size of the result depends on the numbers: it is for evaluation, not for a training step.
    """
    exists = edge_index[1] < n_nodes
    return edge_index[:, exists], edge_attr[exists]


def rows_at(values: Tensor, first: Tensor, number: int, stop: Tensor, beyond: float | bool) -> Tensor:
    """Copy of `number` sessions from `first` on; those from `stop` or the last one on hold `beyond`."""
    position = first + torch.arange(number, device=values.device)
    known = (position < stop) & (position < len(values))
    rows = values.index_select(0, position.clamp(0, len(values) - 1))
    return torch.where(known.view(-1, *[1] * (values.dim() - 1)), rows, beyond)
