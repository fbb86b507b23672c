"""Features on the market panel: families, registry, engine, checks, normalisation."""

from gogooku_kedro.features.checks import GateError, LeakError, check_features
from gogooku_kedro.features.engine import Execution, compute_features, stream_features, stream_selected
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.manifest import (
    feature_manifest,
    first_session,
    graph_columns,
    market_columns,
    own_columns,
    warmup,
    without,
)
from gogooku_kedro.features.normalise import normalise
from gogooku_kedro.features.price_channels import CHANNELS, level_channels
from gogooku_kedro.features.registry import FAMILIES, FEATURES, select_features

__all__ = [
    "CHANNELS",
    "FAMILIES",
    "FEATURES",
    "Execution",
    "Feature",
    "GateError",
    "LeakError",
    "check_features",
    "compute_features",
    "feature_manifest",
    "first_session",
    "graph_columns",
    "level_channels",
    "market_columns",
    "normalise",
    "own_columns",
    "select_features",
    "stream_features",
    "stream_selected",
    "warmup",
    "without",
]
