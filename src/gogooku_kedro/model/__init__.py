"""The network: one layer a file, put together in :mod:`gogooku_kedro.model.atft_gat_fan`."""

from gogooku_kedro.model.atft_gat_fan import ATFTGATFAN, ModelOutput
from gogooku_kedro.model.gat import GraphAttention, normalised_entropy
from gogooku_kedro.model.levels import LevelScale, fit_level_scale

__all__ = [
    "ATFTGATFAN",
    "GraphAttention",
    "LevelScale",
    "ModelOutput",
    "fit_level_scale",
    "normalised_entropy",
]
