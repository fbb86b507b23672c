"""The network of `conf/base` at other sizes, and random chunks of days for it."""

from pathlib import Path

import torch
from omegaconf import OmegaConf

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import DayChunk

CHANNELS, CONTEXT, DEGREE = 5, 35, 12
"""Raw price channels, features of the market, and edges into a stock with its self loop."""

SETTINGS = Path(__file__).parents[1] / "conf" / "base" / "parameters.yml"


def model_params(hidden: int, window: int, feature_size: int = 4) -> ModelParams:
    """Settings of `conf/base` at another width and window, without dropout."""
    written = OmegaConf.load(SETTINGS)["model"]
    sizes = {"hidden_size": hidden, "window": window, "dropout": 0.0, "vsn": {"feature_size": feature_size}}
    slices = {"san": {"slices": window // 5}, "gat": {"edge_dropout": 0.0}}
    merged = OmegaConf.to_container(OmegaConf.merge(written, sizes, slices))
    return ModelParams.model_validate(merged)


def network(params: ModelParams, features: int) -> ATFTGATFAN:
    """A network with the same weights at every call."""
    torch.manual_seed(0)
    return ATFTGATFAN(params, features, CHANNELS, CONTEXT)


def chunk(stocks: int, days: int, window: int, features: int) -> DayChunk:
    """Random days in which every stock is there and has edges from `DEGREE` stocks, itself among them."""
    steps, horizon = days + window - 1, max(HORIZONS)
    stock = torch.arange(stocks)
    source = torch.cat([torch.randint(0, stocks, ((DEGREE - 1) * stocks,)), stock])
    edges = torch.stack([source, stock.repeat(DEGREE)])
    offset = (torch.arange(days) * stocks).repeat_interleave(edges.size(1))
    attributes = torch.rand(edges.size(1), 4)
    return DayChunk(
        x=torch.randn(steps, stocks, features),
        present=torch.ones(steps, stocks, dtype=torch.bool),
        levels=torch.randn(steps, stocks, CHANNELS).cumsum(0),
        context=torch.randn(steps, CONTEXT),
        edge_index=edges.repeat(1, days) + offset,
        edge_attr=attributes.repeat(days, 1),
        target=torch.randn(days, stocks, len(HORIZONS)),
        levels_ahead=torch.randn(days + horizon - 1, stocks, CHANNELS).cumsum(0),
        first_day=window - 1,
        days=days,
    )
