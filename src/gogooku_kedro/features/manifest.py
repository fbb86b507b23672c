"""The feature manifest: what the columns of x are, and the hash that a model remembers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.normalise import CHANNELS, METHODS
from gogooku_kedro.features.registry import FEATURES, check_known, select_features

SUFFIX = {"gaussian_rank": "rank", "robust_z": "z", "past_z": "past_z"}
MASK = "missing_{family}"
GRAPH_FAMILY = "neighbours"


def feature_manifest(
    panel: xr.Dataset,
    families: Sequence[str],
    *,
    normalisation: str,
    normalisation_of: Mapping[str, str],
    sector_neutral: Sequence[str],
    clip: float,
) -> dict[str, Any]:
    """Describe the features that `compute_features(panel, families)` yields, in the same order.

    Args:
        panel: The panel, with events and neighbours.
        families: Chosen families.
        normalisation: `gaussian_rank` or `robust_z`, for families not named in `normalisation_of`.
        normalisation_of: A family's own method.
        sector_neutral: Families whose features lose the median of the stock's sector first.
        clip: Normalised values beyond it are set to it.

    Returns:
        JSON-ready dict: `features` (name, column, family, kind, needs, lookback, formula, source,
        normalisation, sector_neutral), `masks` (families with a column `missing_FAMILY`), `columns`
        (of x, in order: features, then masks), `channels`, `families` (kept, in order), `dropped`
        (family, or single feature, to reason), `n_features`, `n_market` (those with one value per
        date), `warmup` (longest look-back in sessions), `clip`, `hash` (sha256 over columns,
        families, look-back and clip).

    Raises:
        ValueError: A family or a method is unknown, a family is named twice, `clip` is not positive, or
            no feature is left.
    """
    check_known(normalisation_of, "normalisation_of")
    check_known(sector_neutral, "sector_neutral")
    for method in (normalisation, *normalisation_of.values()):
        if method not in METHODS:
            raise ValueError(f"features.normalisation = {method!r}: choose one of {list(METHODS)}")
    if not clip > 0:
        raise ValueError(f"features.clip = {clip}: give a positive number")
    selection = select_features(panel, families)
    entries = [
        _entry(feature, normalisation_of.get(feature.family, normalisation), feature.family in sector_neutral)
        for feature in selection.features
    ]
    return _manifest(entries, selection.dropped, clip)


def without(manifest: Mapping[str, Any], dropped: Mapping[str, str]) -> dict[str, Any]:
    """Return the manifest without some features, with the reasons under `dropped`.

    Raises:
        ValueError: No feature is left.
    """
    kept = [entry for entry in manifest["features"] if entry["name"] not in dropped]
    if not kept:
        raise ValueError(f"features.checks: no feature is left ({dict(dropped)}); look at features.families")
    return _manifest(kept, {**manifest["dropped"], **dropped}, manifest["clip"])


def market_columns(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of x that have one value per date: the state of the market as a whole."""
    return tuple(entry["column"] for entry in manifest["features"] if entry["kind"] == "market")


def graph_columns(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of x that are made from the graph: the family `neighbours` and its mask."""
    named = [entry["column"] for entry in manifest["features"] if entry["family"] == GRAPH_FAMILY]
    masks = [MASK.format(family=family) for family in manifest["masks"] if family == GRAPH_FAMILY]
    return (*named, *masks)


def own_columns(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of x that say something of one stock by itself: neither graph, market nor mask."""
    return tuple(
        entry["column"]
        for entry in manifest["features"]
        if entry["family"] != GRAPH_FAMILY and entry["kind"] != "market"
    )


def _manifest(entries: Sequence[dict[str, Any]], dropped: Mapping[str, str], clip: float) -> dict[str, Any]:
    families = list(dict.fromkeys(entry["family"] for entry in entries))
    columns = [entry["column"] for entry in entries] + [MASK.format(family=family) for family in families]
    clashes = sorted(set(columns) & set(FEATURES))
    if clashes:
        raise ValueError(f"raw and normalised features share the names {clashes}; rename one of each")
    return {
        "features": list(entries),
        "masks": families,
        "columns": columns,
        "channels": list(CHANNELS),
        "families": families,
        "dropped": dict(dropped),
        "n_features": len(entries),
        "n_market": sum(entry["kind"] == "market" for entry in entries),
        "warmup": max(entry["lookback"] for entry in entries),
        "clip": clip,
        "hash": _hash(entries, clip),
    }


def _entry(feature: Feature, method: str, sector_neutral: bool) -> dict[str, Any]:
    if feature.kind == "market":
        method, sector_neutral = "past_z", False
    suffix = ("sector_" if sector_neutral else "") + SUFFIX[method]
    return {
        "name": feature.name,
        "column": f"{feature.name}_{suffix}",
        "family": feature.family,
        "kind": feature.kind,
        "needs": list(feature.needs),
        "lookback": feature.lookback,
        "formula": feature.formula,
        "source": feature.source,
        "normalisation": method,
        "sector_neutral": sector_neutral,
    }


def _hash(entries: Sequence[Mapping[str, Any]], clip: float) -> str:
    identity = {
        "features": [[entry["column"], entry["family"], entry["lookback"]] for entry in entries],
        "clip": float(clip),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def warmup(manifest: Mapping[str, Any], graph_window: int) -> int:
    """Return the sessions before every feature can have a value.

    Args:
        manifest: From `feature_manifest`.
        graph_window: Sessions before the first graph; features of the family `neighbours` start from there.
    """
    return max(
        int(entry["lookback"]) + (graph_window if entry["family"] == GRAPH_FAMILY else 0)
        for entry in manifest["features"]
    )


def first_session(
    manifest: Mapping[str, Any], *, graph_window: int, graph_cadence: int, model_window: int, residual_window: int
) -> int:
    """Return the position of the first session that a model may be trained on.

    Args:
        manifest: From `feature_manifest`.
        graph_window: Sessions before the first graph.
        graph_cadence: Sessions between two graphs.
        model_window: Sessions that a stock looks back over.
        residual_window: Sessions of past returns behind residual targets; 0 when returns are learned.
    """
    computed = warmup(manifest, graph_window)
    return max(computed + max(model_window, graph_cadence), residual_window)
