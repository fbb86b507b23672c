"""An untrained model, and sessions to try it on: the first of a market, or random numbers where there is none yet."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.labels.split import part_range
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.market import context_names, model_market
from gogooku_kedro.training.tensors import AHEAD, DayChunk

STOCKS, FEATURES, CHANNELS, CONTEXT, DAYS, NEIGHBOURS = 30, 16, 3, 3, 4, 5


class InputNames(NamedTuple):
    """What the inputs of a chunk are called: features of stocks, raw price channels, features of the market."""

    features: tuple[str, ...]
    channels: tuple[str, ...]
    context: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any], params: ModelParams) -> Self:
        """Return the names of a feature manifest, as a model with these settings reads the features."""
        context = context_names(manifest, params)
        features = tuple(name for name in manifest["columns"] if name not in context)
        return cls(features, tuple(manifest["channels"]), context)

    @classmethod
    def numbered(cls, chunk: DayChunk) -> Self:
        """Return numbers from 0, for inputs without names."""
        sizes = (chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
        return cls(*(tuple(f"{i} (counted from 0)" for i in range(size)) for size in sizes))


def untrained_model(params: ModelParams, chunk: DayChunk, seed: int) -> ATFTGATFAN:
    """Build a model as training would, for the sizes and with the scales of a chunk."""
    torch.manual_seed(seed)
    model = ATFTGATFAN(params, chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    model.fit_scales(chunk.levels, chunk.edge_index, chunk.edge_attr)
    return model


def first_chunk(
    features: xr.Dataset,
    labels: xr.Dataset,
    edges: pd.DataFrame,
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
    params: ModelParams,
    days: int,
) -> DayChunk:
    """Return the first `days` of the training part that have a whole window; no further session is loaded.

    Args:
        features: `x`, `levels`, `in_universe`.
        labels: `target`, on the same dates and codes.
        edges: The graph.
        split: First and last session of every part.
        manifest: The feature manifest.
        params: Settings of the model.
        days: Sessions of the chunk.
    """
    first = max(part_range(split, features.indexes["date"], "train")[0], params.window - 1)
    around = {"date": slice(first - params.window + 1, first + days + AHEAD)}
    market = model_market(features.isel(around), labels.isel(around), edges, manifest, params)
    return market.chunk(params.window - 1, days, params.window)


def with_variation(chunk: DayChunk, names: InputNames, seed: int) -> tuple[DayChunk, tuple[str, ...]]:
    """Put normal numbers where an input has one value throughout, so that a check can see whether it is read.

    A feature that does not vary on the sessions of a chunk (a month's indicator outside the month, a channel
    without a value) leaves weights at their start: a healthy model then looks deaf to it.

    Args:
        chunk: Sessions; it stays as it is.
        names: Of its inputs.
        seed: Seed of the numbers.

    Returns:
        The chunk with those inputs replaced, and what they are called.
    """
    generator = torch.Generator().manual_seed(seed)
    there, inputs, replaced = chunk.present, dict[str, Any](), list[str]()
    for field, what, called in (
        ("x", "feature", names.features),
        ("levels", "channel", names.channels),
        ("context", "market feature", names.context),
    ):
        values: Tensor = getattr(chunk, field).clone()
        for i, name in enumerate(called):
            known = values[..., i] if field == "context" else values[..., i][there]
            known = known[known.isfinite()]
            if len(known) and known.min() < known.max():
                continue
            normal = torch.randn(values.shape[:-1], generator=generator).to(values.device)
            values[..., i] = normal if field == "context" else torch.where(there, normal, values[..., i])
            replaced.append(f"{what} {name}")
        inputs[field] = values
    return chunk._replace(**inputs), tuple(replaced)


def random_chunk(params: ModelParams, seed: int) -> DayChunk:
    """Return four sessions of 30 stocks with 16 features, 3 raw price channels and 5 neighbours each.

    Args:
        params: Settings of the model: its window, the edge attributes, and whether there is market context.
        seed: Seed of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = DAYS + params.window - 1

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    edge_index, edge_attr = _random_edges(params.gat.edge_attributes, generator)
    return DayChunk(
        x=normal(steps, STOCKS, FEATURES),
        present=torch.ones(steps, STOCKS, dtype=torch.bool),
        levels=normal(steps, STOCKS, CHANNELS).cumsum(dim=0),
        context=normal(steps, CONTEXT if params.market_gate.enabled else 0),
        levels_ahead=normal(DAYS + max(HORIZONS) - 1, STOCKS, CHANNELS).cumsum(dim=0),
        edge_index=edge_index,
        edge_attr=edge_attr,
        target=normal(DAYS, STOCKS, len(HORIZONS)),
        first_day=params.window - 1,
        days=DAYS,
    )


def _random_edges(attributes: tuple[str, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    stock = torch.arange(STOCKS)
    shifts = 1 + torch.randperm(STOCKS - 1, generator=generator)[:NEIGHBOURS]
    source = torch.cat([stock, *((stock + shift) % STOCKS for shift in shifts)])
    target = stock.repeat(1 + NEIGHBOURS)
    day = torch.arange(DAYS).repeat_interleave(len(source)) * STOCKS
    edge_index = torch.stack([source, target]).repeat(1, DAYS) + day
    is_self = (edge_index[0] == edge_index[1]).float()
    columns = [
        is_self if name == "is_self" else torch.rand(len(day), generator=generator) * 2 - 1 for name in attributes
    ]
    return edge_index, torch.stack(columns, dim=1)
