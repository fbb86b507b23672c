"""The market as tensors that stay in the device's memory, cut into chunks of consecutive sessions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.labels.target import gaussian_rank_labels
from gogooku_kedro.training.graph_tensors import GraphTensors, graph_tensors, rows_at
from gogooku_kedro.typing import BoolArray, Float32Array, IntArray

DATES_PER_BLOCK = 64
AHEAD = max(HORIZONS)
"""Sessions after a session whose levels the model learns to foresee; no more than the longest label."""


Days = tuple[int, int]
"""First session and last session plus one, as positions among the market's sessions."""


class Place(NamedTuple):
    """Where a chunk lies in a market that is on the device already, see `DayChunk` for the fields.

    Attributes:
        market: The market.
        first_day: Index of the first of the `D` sessions.
        days: How many of the `D` sessions count.
        labelled: Whether any stock has a label on one of the sessions, by horizon.
        shape: Sessions of the chunk `D`, sessions of a window `L` and edges of a session `E`.
    """

    market: "MarketTensors"
    first_day: int
    days: int
    labelled: tuple[bool, ...]
    shape: tuple[int, int, int]

    def chunk(self) -> "DayChunk":
        """Cut the chunk."""
        length, window, edges = self.shape
        return self.market.chunk(self.first_day, length, window, self.days, edges)


class DayChunk(NamedTuple):
    """`D` consecutive sessions of the whole cross-section with the `L - 1` sessions before them.

    Attributes:
        x: `(D + L - 1, N, F)` normalised features, 0 = missing.
        present: `(D + L - 1, N)` bool.
        levels: `(D + L - 1, N, C)`, NaN = absent.
        context: `(D + L - 1, M)` features of the market as a whole.
        edge_index: `(2, D * E)` between nodes `day * N + stock`; from `D * N` to `D * N` where a session has fewer
            than `E` edges.
        edge_attr: `(D * E, A)`, 0 there.
        target: `(D, N, 4)` per-date Gaussian ranks of the label, NaN = no label.
        levels_ahead: `(D + H - 1, N, C)` levels from the session after `first_day` to the `H`-th after
            the last session, NaN = absent or beyond the last session. Label side: only the loss may read it.
        first_day: Index of the first of the `D` sessions in the market's sessions.
        days: How many of the `D` sessions count; those behind them are empty.
        labelled: Whether any stock has a label on one of the sessions, by horizon; known without asking the device.
    """

    x: Tensor
    present: Tensor
    levels: Tensor
    context: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    target: Tensor
    levels_ahead: Tensor
    first_day: int
    days: int
    labelled: tuple[bool, ...] = (True,) * len(HORIZONS)


@dataclass(frozen=True)
class MarketTensors:
    """Features, levels, labels and graph of a market, aligned on sessions `T` and stocks `N`.

    All tensors are contiguous. The order of additions in a matrix product, and with it the last bit of a
    score, depends on the strides of its operands and on some processors on their alignment in memory; with
    one layout for the market and for every chunk a score cannot depend on where the data end.

    Attributes:
        x: `(T, N, F)`.
        present: `(T, N)` bool, the stock belongs to the cross-section of the session.
        levels: `(T, N, C)`, NaN = absent.
        context: `(T, M)` features of the market as a whole, 0 = missing.
        target: `(T, N, 4)` per-date Gaussian ranks, NaN = no label.
        graph: Edges by as-of date.
        context_columns: `(M,)` positions of the context among all `F + M` features.
    """

    x: Tensor
    present: Tensor
    levels: Tensor
    context: Tensor
    target: Tensor
    graph: GraphTensors
    context_columns: Tensor

    def __post_init__(self) -> None:
        """Hold the layout.

        Raises:
            ValueError: If a tensor is not contiguous.
        """
        for part in (self, self.graph):
            for field in fields(part):
                value = getattr(part, field.name)
                if isinstance(value, Tensor) and not value.is_contiguous():
                    raise ValueError(
                        f"{type(part).__name__}.{field.name} has strides {value.stride()} for the shape "
                        f"{tuple(value.shape)}: pass it through .contiguous()"
                    )

    def to(self, device: torch.device) -> Self:
        """Return the same market in the memory of `device`."""
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))

    @cached_property
    def labelled(self) -> BoolArray:
        """Whether any stock has a label, `(T, 4)`, in the host's memory whatever the device."""
        return np.asarray((~self.target.isnan()).any(dim=1).cpu().numpy())

    def latest_day(self) -> int:
        """Return the position of the last session that has a cross-section."""
        return int(self.present.any(dim=1).nonzero()[-1])

    def chunk(
        self,
        first_day: int,
        days: int,
        window: int,
        counted: int | None = None,
        edges: int | None = None,
        device: torch.device | None = None,
    ) -> DayChunk:
        """Sessions `first_day` to `first_day + days - 1` with the window before each of them.

        Sessions beyond the last session are absent stocks, so that every chunk has the same shape. Every chunk
        is a copy in memory of its own, so that all have the same layout too.

        Args:
            first_day: Index of the first session.
            days: Sessions of the chunk `D`.
            window: Sessions of a window `L`.
            counted: How many of the sessions count; those behind them are empty, as if beyond the last session.
                None counts all.
            edges: Length of a session's list of edges; None takes the largest number of edges of the market.
            device: Where the chunk is copied to; None stays in the memory of the market.

        Raises:
            ValueError: If the window would begin before the first session, or a session has more edges.
        """
        start, stop = first_day - window + 1, first_day + days
        counted = days if counted is None else counted
        edges = self.graph.most_edges(0, len(self.present)) if edges is None else edges
        here = slice(None, first_day + counted)
        ahead = slice(None, first_day + counted + AHEAD)
        if start < 0:
            raise ValueError(
                f"day {first_day} has no window of {window} sessions before it; the first usable day is {window - 1}"
            )
        present = _rows(self.present[here], start, stop, False)
        edge_index, edge_attr = self.graph.edges(first_day, present[window - 1 :], edges, counted)
        return DayChunk(
            _rows(self.x[here], start, stop, 0.0, device),
            present if device is None else present.to(device),
            _rows(self.levels[here], start, stop, torch.nan, device),
            _rows(self.context[here], start, stop, 0.0, device),
            edge_index if device is None else edge_index.to(device),
            edge_attr if device is None else edge_attr.to(device),
            _rows(self.target[here], first_day, stop, torch.nan, device),
            _rows(self.levels[ahead], first_day + 1, stop + AHEAD, torch.nan, device),
            first_day,
            counted,
            self.labels_of(first_day, counted),
        )

    def labels_of(self, first_day: int, days: int) -> tuple[bool, ...]:
        """Whether any stock has a label on one of the sessions, by horizon."""
        return tuple(bool(known.any()) for known in self.labelled[first_day : first_day + days].T)

    def chunk_at(self, first_day: Tensor, counted: Tensor, shape: tuple[int, int, int]) -> DayChunk:
        """Chunk as of `chunk`, of sessions that only the device knows: a CUDA graph cuts another one at every replay.

        Args:
            first_day: Index of the first session, a scalar.
            counted: How many of the sessions count, a scalar.
            shape: Sessions of the chunk `D`, of a window `L` and edges of a session, as of `Place`.
        """
        days, window, edges = shape
        start, stop, tokens = first_day - window + 1, first_day + counted, days + window - 1
        present = rows_at(self.present, start, tokens, stop, False)
        edge_index, edge_attr = self.graph.edges_at(first_day, counted, present[window - 1 :], edges)
        return DayChunk(
            rows_at(self.x, start, tokens, stop, 0.0),
            present,
            rows_at(self.levels, start, tokens, stop, torch.nan),
            rows_at(self.context, start, tokens, stop, 0.0),
            edge_index,
            edge_attr,
            rows_at(self.target, first_day, days, stop, torch.nan),
            rows_at(self.levels, first_day + 1, days + AHEAD - 1, stop + AHEAD, torch.nan),
            -1,
            days,
        )

    def fingerprint(self) -> str:
        """SHA-256 over every number the model can see; equal markets have equal fingerprints."""
        digest = hashlib.sha256()
        tensors = [self.x, self.present, self.levels, self.context, self.target]
        tensors += [self.graph.edge_index, self.graph.edge_attr, self.graph.offset, self.graph.graph_of_day]
        for tensor in tensors:
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return digest.hexdigest()


def cut(batch: DayChunk | Place) -> DayChunk:
    """Return a chunk, or cut it where it lies."""
    return batch.chunk() if isinstance(batch, Place) else batch


def market_tensors(
    features: xr.Dataset,
    labels: xr.Dataset,
    edges: pd.DataFrame,
    edge_attributes: tuple[str, ...],
    context_names: Sequence[str] = (),
) -> MarketTensors:
    """Put features, labels and graph into tensors.

    Args:
        features: `x` (date, code, feature), `levels` (date, code, channel), `in_universe` (date, code).
        labels: `target` (date, code, horizon), on the same dates and codes; ranked over the cross-section.
        edges: Long table `asof, source, target` and the attributes.
        edge_attributes: Columns of `edges` that the model reads, in this order.
        context_names: Features with one value per date, the same for all of a date: they leave `x` and
            become `context`.

    Raises:
        ValueError: If labels and features are not on the same sessions and stocks, an edge attribute or a
            feature of the context is missing, or the latter differs between the stocks of a date.
    """
    for dim in ("date", "code"):
        if not features.indexes[dim].equals(labels.indexes[dim]):
            raise ValueError(
                f"features and labels disagree along {dim!r}: rebuild both with `kedro run --pipelines=features`"
            )
    in_universe = features["in_universe"].transpose("date", "code")
    target = gaussian_rank_labels(labels["target"], in_universe).transpose("date", "code", "horizon")
    x, context, columns = _split_context(features["x"].transpose("date", "code", "feature"), in_universe, context_names)
    return MarketTensors(
        torch.from_numpy(x),
        torch.from_numpy(in_universe.to_numpy().astype(bool)),
        torch.from_numpy(_values(features["levels"].transpose("date", "code", "channel"))),
        torch.from_numpy(context),
        torch.from_numpy(_values(target)),
        graph_tensors(edges, features.indexes["date"], features.indexes["code"], edge_attributes),
        torch.from_numpy(columns),
    )


def _split_context(
    x: xr.DataArray, in_universe: xr.DataArray, names: Sequence[str]
) -> tuple[Float32Array, Float32Array, IntArray]:
    columns = x.indexes["feature"]
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(
            f"features of the market as a whole {missing} are not among the features: rebuild them with "
            f"`kedro run --pipelines=features`"
        )
    if not names:
        values = _values(x)
        return values, np.ascontiguousarray(values[:, 0, :0]), np.empty(0, np.int64)
    here = in_universe.to_numpy().astype(bool)
    positions = columns.get_indexer(list(names))
    of_stocks = np.delete(np.arange(len(columns)), positions)
    others, context = np.empty((*here.shape, len(of_stocks)), np.float32), np.empty((len(here), len(names)), np.float32)
    differs = np.zeros(len(names), bool)
    for start in range(0, len(here), DATES_PER_BLOCK):  # of a lazily opened store one block is in memory beside x
        rows = slice(start, start + DATES_PER_BLOCK)
        values, inside = x[rows].to_numpy(), here[rows]
        others[rows] = values[..., of_stocks]
        of_market = values[..., positions]  # (D, N, M)
        first_present = inside.argmax(axis=1)
        context[rows] = of_market[np.arange(len(inside)), first_present] * inside.any(axis=1, keepdims=True)
        differs |= ((of_market != context[rows, None]) & inside[..., None]).any(axis=(0, 1))
    varying = [name for name, different in zip(names, differs, strict=True) if different]
    if varying:
        raise ValueError(
            f"features of the market as a whole {varying} differ between the stocks "
            f"of a date: rebuild the features with `kedro run --pipelines=features`"
        )
    return others, context, positions.astype(np.int64)


def _values(array: xr.DataArray) -> Float32Array:
    return np.ascontiguousarray(array.to_numpy(), dtype=np.float32)


def _rows(values: Tensor, start: int, stop: int, beyond: float | bool, device: torch.device | None = None) -> Tensor:
    """Copy of the sessions `start` to `stop - 1`; those after the last one hold `beyond`."""
    known = values[start:stop]
    rows = values.new_full((stop - start, *values.shape[1:]), beyond, device=device or values.device)
    rows[: len(known)].copy_(known, non_blocking=True)
    return rows
