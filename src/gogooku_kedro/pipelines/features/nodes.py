"""The panel becomes features, labels and a split; checks decide which features a model may read."""

import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro import features, labels
from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.labels.split import PARTS, split_mask
from gogooku_kedro.market.blocks import PanelBlock
from gogooku_kedro.params import FeaturesParams, GraphParams, LabelsParams, ModelParams, SplitParams

logger = logging.getLogger(__name__)


def compute_features(
    panel: xr.Dataset, neighbour_panel: xr.Dataset, events: xr.Dataset, params: FeaturesParams
) -> Iterator[PanelBlock]:
    """Compute every feature of the chosen families, block by block."""
    joined = _joined(panel, neighbour_panel, events)
    yield from features.stream_features(joined, params.families, _execution(params))


def describe_features(
    panel: xr.Dataset, neighbour_panel: xr.Dataset, events: xr.Dataset, params: FeaturesParams
) -> dict[str, Any]:
    """List the features that the data can feed: order, families, look-back, normalisation."""
    return features.feature_manifest(
        _joined(panel, neighbour_panel, events),
        params.families,
        normalisation=params.normalisation,
        normalisation_of=params.normalisation_of,
        sector_neutral=params.sector_neutral,
        clip=params.clip,
    )


def check_features(
    raw_features: xr.Dataset,
    panel: xr.Dataset,
    labels: xr.Dataset,
    split: dict[str, Any],
    candidate_manifest: dict[str, Any],
    params: FeaturesParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Check every feature; the manifest lists those that pass."""
    reasons, report = features.check_features(
        raw_features.assign_coords(sector=panel["sector"]),
        universe_mask(panel, min_history=params.min_history),
        labels,
        split,
        candidate_manifest,
        leak_cap=params.leak_cap,
        execution=_execution(params),
        **params.checks.model_dump(),
    )
    return features.without(candidate_manifest, reasons), report


def normalise_features(
    raw_features: xr.Dataset, panel: xr.Dataset, feature_manifest: dict[str, Any], params: FeaturesParams
) -> Iterator[PanelBlock]:
    """Normalise each date's cross-section; add masks, the universe and the raw price channels."""
    in_universe = universe_mask(panel, min_history=params.min_history)
    yield from features.normalise(raw_features, panel, in_universe, feature_manifest, _execution(params))


def make_labels(panel: xr.Dataset, params: LabelsParams) -> xr.Dataset:
    """Compute forward returns, missing where they could not be traded, and what training ranks."""
    return labels.make_labels(panel, HORIZONS, **params.model_dump())


def split_sessions(
    panel: xr.Dataset,
    candidate_manifest: dict[str, Any],
    split_params: SplitParams,
    labels_params: LabelsParams,
    graph_params: GraphParams,
    model_params: ModelParams,
) -> dict[str, Any]:
    """Split the sessions by date, purged; the training part begins when everything has warmed up."""
    warmup = features.first_session(
        candidate_manifest,
        graph_window=graph_params.window,
        graph_cadence=graph_params.cadence,
        model_window=model_params.window,
        residual_window=labels_params.fitted_sessions(),
    )
    sessions = pd.DatetimeIndex(panel["date"].to_numpy())
    split = labels.split_sessions(
        sessions,
        train_end=str(split_params.train_end),
        valid_end=str(split_params.valid_end),
        purge_sessions=split_params.purge_sessions,
        warmup=warmup,
        max_horizon=max(HORIZONS),
        entry=labels_params.entry,
    )
    parts = ", ".join(
        f"{part} {' to '.join(split[part])} ({split_mask(split, sessions, part).sum()})" for part in PARTS
    )
    logger.info("%d of %d sessions are warm-up; %s", warmup, len(sessions), parts)
    return split


def _execution(params: FeaturesParams) -> features.Execution:
    return features.Execution(params.engine, params.scheduler, params.workers, params.memory_mb)


def _joined(panel: xr.Dataset, neighbour_panel: xr.Dataset, events: xr.Dataset) -> xr.Dataset:
    return panel.assign({**neighbour_panel.data_vars, **events.data_vars})
