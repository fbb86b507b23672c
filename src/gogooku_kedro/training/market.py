"""The market as tensors that stay in the device's memory, cut into chunks of consecutive days."""

import hashlib
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from gogooku_kedro.features import gaussian_rank_labels
from gogooku_kedro.graph import asof_index


class DayChunk(NamedTuple):
    """``D`` consecutive days of the whole cross-section with the ``L - 1`` days before them.

    Attributes:
        x: ``(D + L - 1, N, F)`` normalised features, 0 = missing.
        present: ``(D + L - 1, N)`` bool.
        levels: ``(D + L - 1, N, C)``, NaN = absent.
        edge_index: ``(2, E)`` between nodes ``day * N + stock``.
        edge_attr: ``(E, A)``.
        target: ``(D, N, 4)`` per-date Gaussian ranks of the label, NaN = no label.
        first_day: Index of the first of the ``D`` days in the market's sessions.
    """

    x: Tensor
    present: Tensor
    levels: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    target: Tensor
    first_day: int


@dataclass(frozen=True)
class GraphTensors:
    """All graphs one after the other, with the graph of every day.

    Attributes:
        edge_index: ``(2, E)`` stock positions, grouped by as-of date.
        edge_attr: ``(E, A)``.
        offset: ``(G + 1,)``, edges of graph ``g`` are ``offset[g]:offset[g + 1]``.
        graph_of_day: ``(T,)``, last graph whose as-of date is not after the day, -1 = none yet.
    """

    edge_index: Tensor
    edge_attr: Tensor
    offset: Tensor
    graph_of_day: Tensor

    def edges(self, first_day: int, present: Tensor) -> tuple[Tensor, Tensor]:
        """Edges of consecutive days between stocks that are present on the day.

        Args:
            first_day: Index of the first day.
            present: ``(D, N)`` bool.

        Returns:
            ``edge_index`` ``(2, E)`` between nodes ``day * N + stock``, and ``edge_attr`` ``(E, A)``.
        """
        days, stocks = present.shape
        graph = self.graph_of_day[first_day : first_day + days]
        day = torch.arange(len(graph), device=graph.device)[graph >= 0]
        graph = graph[graph >= 0]
        start, count = self.offset[graph], self.offset[graph + 1] - self.offset[graph]
        day_of_edge = day.repeat_interleave(count)
        within = torch.arange(len(day_of_edge), device=graph.device) - (
            count.cumsum(0) - count
        ).repeat_interleave(count)
        edge = start.repeat_interleave(count) + within
        nodes = self.edge_index[:, edge] + day_of_edge * stocks
        both = present.flatten()[nodes].all(dim=0)
        return nodes[:, both], self.edge_attr[edge[both]]


@dataclass(frozen=True)
class MarketTensors:
    """Features, levels, labels and graph of a market, aligned on sessions ``T`` and stocks ``N``.

    Attributes:
        x: ``(T, N, F)``.
        present: ``(T, N)`` bool, the stock belongs to the cross-section of the day.
        levels: ``(T, N, C)``, NaN = absent.
        target: ``(T, N, 4)`` per-date Gaussian ranks, NaN = no label.
        graph: Edges by as-of date.
    """

    x: Tensor
    present: Tensor
    levels: Tensor
    target: Tensor
    graph: GraphTensors

    def to(self, device: torch.device) -> Self:
        """The same market in the memory of ``device``."""
        moved = {f.name: getattr(self.graph, f.name).to(device) for f in fields(self.graph)}
        return type(self)(
            self.x.to(device),
            self.present.to(device),
            self.levels.to(device),
            self.target.to(device),
            GraphTensors(**moved),
        )

    def chunk(self, first_day: int, days: int, window: int) -> DayChunk:
        """Days ``first_day`` to ``first_day + days - 1`` with the window before each of them.

        Days beyond the last session are absent stocks, so that every chunk has the same shape.

        Raises:
            ValueError: If the window would begin before the first session.
        """
        start, stop = first_day - window + 1, first_day + days
        if start < 0:
            raise ValueError(
                f"day {first_day} has no window of {window} sessions before it; "
                f"the first usable day is {window - 1}"
            )
        present = _padded(self.present[start:stop], stop - start, False)
        edge_index, edge_attr = self.graph.edges(first_day, present[window - 1 :])
        return DayChunk(
            _padded(self.x[start:stop], stop - start, 0.0),
            present,
            _padded(self.levels[start:stop], stop - start, torch.nan),
            edge_index,
            edge_attr,
            _padded(self.target[first_day:stop], days, torch.nan),
            first_day,
        )

    def fingerprint(self) -> str:
        """SHA-256 over every number the model can see; equal markets have equal fingerprints."""
        digest = hashlib.sha256()
        tensors = [self.x, self.present, self.levels, self.target]
        tensors += [self.graph.edge_index, self.graph.edge_attr, self.graph.graph_of_day]
        for tensor in tensors:
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return digest.hexdigest()


def market_tensors(
    features: xr.Dataset, labels: xr.Dataset, edges: pd.DataFrame, edge_attributes: tuple[str, ...]
) -> MarketTensors:
    """Put features, labels and graph into tensors.

    Args:
        features: ``x`` (date, code, feature), ``levels`` (date, code, channel), ``member`` (date, code).
        labels: ``target`` (date, code, horizon), on the same dates and codes; ranked over members.
        edges: Long table ``asof, source, target`` and the attributes.
        edge_attributes: Columns of ``edges`` that the model reads, in this order.

    Raises:
        ValueError: If labels and features are not on the same sessions and stocks, or an edge attribute
            is missing.
    """
    for dim in ("date", "code"):
        if not features.indexes[dim].equals(labels.indexes[dim]):
            raise ValueError(
                f"features and labels disagree along {dim!r}: rebuild both with "
                f"`kedro run --pipelines=features`"
            )
    member = features["member"].transpose("date", "code")
    target = gaussian_rank_labels(labels["target"], member).transpose("date", "code", "horizon")
    return MarketTensors(
        torch.from_numpy(_values(features["x"].transpose("date", "code", "feature"))),
        torch.from_numpy(member.to_numpy().astype(bool)),
        torch.from_numpy(_values(features["levels"].transpose("date", "code", "channel"))),
        torch.from_numpy(_values(target)),
        graph_tensors(edges, features.indexes["date"], features.indexes["code"], edge_attributes),
    )


def graph_tensors(
    edges: pd.DataFrame, dates: pd.Index, codes: pd.Index, attributes: tuple[str, ...]
) -> GraphTensors:
    """Put an edge table into tensors; edges of stocks outside ``codes`` are left out.

    Raises:
        ValueError: If an attribute is missing from the table, naming ``model.gat.edge_attributes``.
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
    values = edges.loc[known, list(attributes)].to_numpy(np.float32)[order]
    return GraphTensors(
        torch.from_numpy(np.stack([source[known][order], target[known][order]])),
        torch.from_numpy(values),
        torch.from_numpy(np.append(first, len(order)).astype(np.int64)),
        torch.from_numpy(np.asarray(asof_index(asof_dates, pd.DatetimeIndex(dates)), np.int64)),
    )


def _values(array: xr.DataArray) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(array.to_numpy(), dtype=np.float32)


def _padded(part: Tensor, length: int, value: float | bool) -> Tensor:
    missing = length - part.size(0)
    if missing == 0:
        return part
    return torch.cat([part, part.new_full((missing, *part.shape[1:]), value)])
