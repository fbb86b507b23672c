"""The panel becomes features, labels and a split, and the features are checked for leaks."""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro import features as library
from gogooku_kedro.params import (
    HORIZONS,
    FeaturesParams,
    GraphParams,
    LabelsParams,
    ModelParams,
    SplitParams,
)


def compute_features(panel: xr.Dataset, params: FeaturesParams) -> xr.Dataset:
    """Compute every feature of the chosen families."""
    return library.compute_features(panel, params.families)


def describe_features(panel: xr.Dataset, params: FeaturesParams) -> dict[str, Any]:
    """Write the manifest: order, families, look-back and hash."""
    return library.feature_manifest(
        panel, params.families, normalisation=params.normalisation, clip=params.clip
    )


def normalise_features(raw_features: xr.Dataset, panel: xr.Dataset, params: FeaturesParams) -> xr.Dataset:
    """Normalise each date's cross-section; add its members and the level-like channels."""
    member = library.membership(panel, min_history=params.min_history)
    x = library.normalise(raw_features, member, params.normalisation, params.clip)
    return xr.Dataset({"x": x, "levels": library.level_channels(panel), "member": member})


def make_labels(panel: xr.Dataset, params: LabelsParams) -> xr.Dataset:
    """Compute forward returns of every horizon, missing where they could not be traded."""
    return library.make_labels(panel, HORIZONS, params.entry)


def split_sessions(
    panel: xr.Dataset,
    feature_manifest: dict[str, Any],
    split: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    model: ModelParams,
) -> dict[str, Any]:
    """Split the sessions by date, purged; the training part begins when everything has warmed up."""
    warmup = max(feature_manifest["warmup"] + model.window, graph.window + graph.cadence)
    return dict(
        library.split_sessions(
            panel["date"].to_numpy(),
            train_end=str(split.train_end),
            valid_end=str(split.valid_end),
            purge_sessions=split.purge_sessions,
            warmup=warmup,
            max_horizon=max(HORIZONS),
            entry=labels.entry,
        )
    )


def check_leaks(
    features: xr.Dataset, labels: xr.Dataset, split: dict[str, Any], params: FeaturesParams
) -> pd.DataFrame:
    """Fail the run when one feature alone knows too much of a label."""
    return library.check_features(features["x"], labels, split, params.leak_cap)
