"""The network: one idea a file, put together in `atft_gat_fan`."""

from gogooku_kedro.model.atft_gat_fan import ATFTGATFAN, ModelOutput
from gogooku_kedro.model.gat import GraphAttention, effective_neighbours, normalised_entropy
from gogooku_kedro.model.levels import LevelForecast, LevelScale, fit_level_scale

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
