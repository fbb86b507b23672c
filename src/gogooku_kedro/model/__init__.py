"""The network: one idea a file, put together in `atft_gat_fan`."""

from gogooku_kedro.model.atft_gat_fan import ATFTGATFAN, ModelOutput
from gogooku_kedro.model.gat import AttentionEntropy, GraphAttention
from gogooku_kedro.model.levels import LevelForecast, LevelScale, fit_level_scale

__all__ = [
    "ATFTGATFAN",
    "AttentionEntropy",
    "GraphAttention",
    "LevelForecast",
    "LevelScale",
    "ModelOutput",
    "fit_level_scale",
]
