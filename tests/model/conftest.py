"""A small model and a random market chunk: D = 3 days, N = 6 stocks, 5 features, 2 channels, 3 of context."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams

DAYS, STOCKS, FEATURES, CHANNELS, CONTEXT, WINDOW = 3, 6, 5, 2, 3, 6


def model_params(**changes: Any) -> ModelParams:
    """Settings of a small model; `fan={"enabled": False}` and the like change a section."""
    settings: dict[str, Any] = {
        "hidden_size": 8,
        "window": WINDOW,
        "dropout": 0.0,
        "feature_dropout": 0.0,
        "quantiles": [0.1, 0.5, 0.9],
        "market_gate": {"enabled": True, "temperature": 2.0},
        "vsn": {"enabled": True, "feature_size": 4},
        "temporal": {"heads": 2},
        "fan": {"enabled": True, "top_k": 2, "predictor_size": 4},
        "san": {"enabled": True, "slices": 3, "predictor_size": 4},
        "linear_path": {"enabled": False, "neighbours": True},
        "gat": {
            "enabled": True,
            "conv": "gatv2",
            "layers": 1,
            "heads": 2,
            "edge_attributes": ["correlation", "abs_correlation", "same_sector", "is_self"],
            "edge_dropout": 0.0,
            "difference": True,
            "neutralise_scores": True,
            "diffusion": {"enabled": False, "hops": 2, "restart": 0.2},
            "learned_graph": {"enabled": False, "k": 2, "perspectives": 2, "penalty": 0.01},
            "use_in_training": True,
            "regularization": {
                "enabled": False,
                "edge_weight_penalty": 0.0,
                "attention_entropy_penalty": 0.0,
            },
        },
    }
    for section, change in changes.items():
        settings[section] = settings[section] | change if isinstance(change, dict) else change
    return ModelParams.model_validate(settings)


class Chunk(NamedTuple):
    x: Tensor
    present: Tensor
    levels: Tensor
    context: Tensor
    edge_index: Tensor
    edge_attr: Tensor


def ring_edges(days: int, stocks: int) -> tuple[Tensor, Tensor]:
    """Every stock hears its left neighbour (positively) and its right one (negatively), and itself."""
    stock = torch.arange(stocks)
    source = torch.cat([(stock - 1) % stocks, (stock + 1) % stocks, stock])
    target = stock.repeat(3)
    correlation = torch.tensor([0.6, -0.4, 1.0]).repeat_interleave(stocks)
    is_self = (source == target).float()
    attr = torch.stack([correlation, correlation.abs(), is_self, is_self], dim=1)
    offset = (torch.arange(days) * stocks).repeat_interleave(3 * stocks)
    edge_index = torch.stack([source, target]).repeat(1, days) + offset
    return edge_index, attr.repeat(days, 1)


def random_chunk(days: int = DAYS, stocks: int = STOCKS, seed: int = 0, absent: float = 0.0) -> Chunk:
    """A chunk with one stock absent on some days of its window and another without any levels.

    `absent` is the share of the other stock-days that are taken out at random.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = days + WINDOW - 1
    x = torch.randn(steps, stocks, FEATURES, generator=generator)
    levels = torch.randn(steps, stocks, CHANNELS, generator=generator).cumsum(0)
    present = torch.ones(steps, stocks, dtype=torch.bool)
    present[1:3, 1] = False
    present &= torch.rand(steps, stocks, generator=generator) >= absent
    levels[~present] = torch.nan
    levels[:, 2, 0] = torch.nan
    context = torch.randn(steps, CONTEXT, generator=generator)
    return Chunk(x, present, levels, context, *ring_edges(days, stocks))


@pytest.fixture
def chunk() -> Chunk:
    return random_chunk()


def build(seed: int = 0, **changes: Any) -> ATFTGATFAN:
    """A model in evaluation mode with market gate and linear path away from their starts, where they do nothing."""
    torch.manual_seed(seed)
    model = ATFTGATFAN(model_params(**changes), FEATURES, CHANNELS, CONTEXT).eval()
    if model.market_gate is not None:
        torch.nn.init.normal_(model.market_gate.weight)
    if model.linear_path is not None:
        torch.nn.init.normal_(model.linear_path.weight)
    return model
