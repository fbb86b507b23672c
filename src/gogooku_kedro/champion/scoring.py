"""Score sessions of a stored market with an ensemble and the settings it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.training import Ensemble, build_market, first_read, predict_market, without_labels


def score_sessions(
    ensemble: Ensemble,
    features: xr.Dataset,
    edges: pd.DataFrame,
    manifest: Mapping[str, Any],
    sessions: pd.DatetimeIndex,
    device: str,
) -> pd.DataFrame:
    """Return scores and quantiles of sessions as from `predict_market`, bit for bit as on the whole market.

    Models score with the settings they were trained with, whatever the configuration says now; the refits score where
    there are some. No label is read.

    Args:
        ensemble: The trained models.
        features: `x`, `levels`, `in_universe` `(date, code, ...)`; what comes before the windows is not read.
        edges: The graph, a long table `asof, source, target` and the attributes.
        manifest: The feature manifest.
        sessions: Of the features, in order.
        device: `cpu` or `cuda`.

    Raises:
        ValueError: The models read other features, a session is unknown, or has no whole window before it.
    """
    ensemble.seed_models[0].check_features(manifest["hash"])
    dates = pd.DatetimeIndex(features.indexes["date"])
    rows = dates.get_indexer(sessions)
    if not len(rows) or (rows < 0).any():
        first = f"{sessions[rows < 0][0]:%Y-%m-%d} is none" if len(rows) else "none is asked for"
        raise ValueError(f"sessions of the features are to be scored, and {first}; they end on {dates[-1]:%Y-%m-%d}")
    start = first_read(int(rows.min()), ensemble.params.window)
    near = features.drop_vars(["raw", "raw_feature"], errors="ignore").isel(date=slice(start, int(rows.max()) + 1))
    market = build_market(near.load(), without_labels(near), edges, manifest, ensemble.params)
    scored, _ = predict_market(ensemble, market, ensemble.params, {"test": (rows - start).tolist()}, device)
    return scored
