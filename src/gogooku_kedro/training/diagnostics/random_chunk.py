"""A chunk of days of random numbers, to try a model on where there is no market yet."""

import torch
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.tensors import DayChunk

STOCKS, FEATURES, CHANNELS, CONTEXT, DAYS, NEIGHBOURS = 30, 16, 3, 3, 4, 5


def random_chunk(params: ModelParams, seed: int) -> DayChunk:
    """Four days of 30 stocks with 16 features, 3 level-like channels and 5 neighbours each.

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
