"""Features, labels, split and leak checks on the market panel."""

from gogooku_kedro.features.cross_section import gaussian_rank, membership, normalise, robust_z
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.labels import entry_lag, gaussian_rank_labels, make_labels
from gogooku_kedro.features.leaks import LeakError, check_features
from gogooku_kedro.features.levels import CHANNELS, level_channels
from gogooku_kedro.features.manifest import feature_manifest, manifest_hash
from gogooku_kedro.features.registry import FAMILIES, compute_features, select_features
from gogooku_kedro.features.split import split_mask, split_sessions

__all__ = [
    "CHANNELS",
    "FAMILIES",
    "Feature",
    "LeakError",
    "check_features",
    "compute_features",
    "entry_lag",
    "feature_manifest",
    "gaussian_rank",
    "gaussian_rank_labels",
    "level_channels",
    "make_labels",
    "manifest_hash",
    "membership",
    "normalise",
    "robust_z",
    "select_features",
    "split_mask",
    "split_sessions",
]
