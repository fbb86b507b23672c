"""The network: one layer a file, put together in :mod:`gogooku_kedro.model.atft_gat_fan`."""

from gogooku_kedro.model.atft_gat_fan import ATFTGATFAN, ModelOutput
from gogooku_kedro.model.attention import GraphAttention, effective_neighbours, normalised_entropy
from gogooku_kedro.model.level_forecast import LevelForecast
from gogooku_kedro.model.levels import LevelScale, fit_level_scale

__all__ = [
    "ATFTGATFAN",
    "GraphAttention",
    "LevelForecast",
    "LevelScale",
    "ModelOutput",
    "effective_neighbours",
    "fit_level_scale",
    "normalised_entropy",
]
