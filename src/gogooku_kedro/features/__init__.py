"""Features, their gates, labels and split on the market panel."""

from gogooku_kedro.features.cross_section import gaussian_rank, membership, robust_z
from gogooku_kedro.features.engine import Execution, compute_features, stream_features, stream_selected
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.gates import GateError, LeakError, check_features
from gogooku_kedro.features.label_residual import market_beta, pca_loadings, residual_target
from gogooku_kedro.features.label_returns import Status, entry_lag, forward_returns
from gogooku_kedro.features.labels import gaussian_rank_labels, make_labels
from gogooku_kedro.features.levels import CHANNELS, level_channels
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
from gogooku_kedro.features.registry import FAMILIES, FEATURES, select_features
from gogooku_kedro.features.split import check_purge, part_range, split_mask, split_sessions

__all__ = [
    "CHANNELS",
    "FAMILIES",
    "FEATURES",
    "Execution",
    "Feature",
    "GateError",
    "LeakError",
    "Status",
    "check_features",
    "check_purge",
    "compute_features",
    "entry_lag",
    "feature_manifest",
    "first_session",
    "forward_returns",
    "gaussian_rank",
    "gaussian_rank_labels",
    "graph_columns",
    "level_channels",
    "make_labels",
    "market_beta",
    "market_columns",
    "membership",
    "normalise",
    "own_columns",
    "part_range",
    "pca_loadings",
    "residual_target",
    "robust_z",
    "select_features",
    "split_mask",
    "split_sessions",
    "stream_features",
    "stream_selected",
    "warmup",
    "without",
]
