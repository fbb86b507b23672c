"""Features on the market panel: families, registry, engine, checks, normalisation."""

from gogooku_kedro.features.checks import CheckError, LeakError, check_features
from gogooku_kedro.features.engine import Execution, compute_features, compute_last, stream_features, stream_selected
from gogooku_kedro.features.manifest import (
    feature_manifest,
    first_session,
    graph_columns,
    market_columns,
    own_columns,
    without,
)
from gogooku_kedro.features.normalise import normalise
from gogooku_kedro.features.registry import FAMILIES, FEATURES

__all__ = [
    "FAMILIES",
    "FEATURES",
    "CheckError",
    "Execution",
    "LeakError",
    "check_features",
    "compute_features",
    "compute_last",
    "feature_manifest",
    "first_session",
    "graph_columns",
    "market_columns",
    "normalise",
    "own_columns",
    "stream_features",
    "stream_selected",
    "without",
]
