"""The feature manifest: what the columns of x are, and the hash that a model remembers."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import xarray as xr

from gogooku_kedro.features.levels import CHANNELS
from gogooku_kedro.features.registry import select_features


def feature_manifest(
    panel: xr.Dataset, families: Sequence[str], *, normalisation: str, clip: float
) -> dict[str, Any]:
    """Describe the features that `compute_features(panel, families)` yields, in the same order.

    Returns:
        JSON-ready dict: `features` (name, family, needs, lookback, formula), `channels`, `families`
        (kept, in order), `dropped` (family, or single feature, to reason), `n_features`, `warmup`
        (longest look-back in sessions), `clip`, `normalisation`, `hash` (sha256 over names, order,
        families, look-back, normalisation and clip).

    Raises:
        ValueError: A family is unknown or named twice, or no feature is left.
    """
    selection = select_features(panel, families)
    entries = [
        {
            "name": feature.name,
            "family": feature.family,
            "needs": list(feature.needs),
            "lookback": feature.lookback,
            "formula": feature.formula,
        }
        for feature in selection.features
    ]
    return {
        "features": entries,
        "channels": list(CHANNELS),
        "families": list(dict.fromkeys(feature.family for feature in selection.features)),
        "dropped": selection.dropped,
        "n_features": len(entries),
        "warmup": max(feature.lookback for feature in selection.features),
        "clip": clip,
        "normalisation": normalisation,
        "hash": manifest_hash(entries, normalisation=normalisation, clip=clip),
    }


def manifest_hash(entries: Sequence[dict[str, Any]], *, normalisation: str, clip: float) -> str:
    """Return the sha256 (hex) of names, order, families, look-back and normalisation."""
    identity = {
        "features": [[entry["name"], entry["family"], entry["lookback"]] for entry in entries],
        "normalisation": normalisation,
        "clip": float(clip),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
