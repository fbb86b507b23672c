"""The panel becomes features, labels and a split; gates decide which features a model may read."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro import features as library
from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.labels import split as split_lib
from gogooku_kedro.labels import target
from gogooku_kedro.market.blocks import PanelBlock
from gogooku_kedro.params import FeaturesParams, GraphParams, LabelsParams, ModelParams, SplitParams


def compute_features(
    panel: xr.Dataset, peer_panel: xr.Dataset, events: xr.Dataset, params: FeaturesParams
) -> Iterator[PanelBlock]:
    """Compute every feature of the chosen families, block by block."""
    joined = _joined(panel, peer_panel, events)
    yield from library.stream_features(joined, params.families, _execution(params))


def describe_features(
    panel: xr.Dataset, peer_panel: xr.Dataset, events: xr.Dataset, params: FeaturesParams
) -> dict[str, Any]:
    """List the features that the data can feed: order, families, look-back, normalisation."""
    return library.feature_manifest(
        _joined(panel, peer_panel, events),
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
    """Hold every feature against the gates; the manifest lists those that pass."""
    reasons, report = library.check_features(
        raw_features.assign_coords(sector=panel["sector"]),
        universe_mask(panel, min_history=params.min_history),
        labels,
        split,
        candidate_manifest,
        leak_cap=params.leak_cap,
        execution=_execution(params),
        **params.checks.model_dump(),
    )
    return library.without(candidate_manifest, reasons), report


def normalise_features(
    raw_features: xr.Dataset, panel: xr.Dataset, feature_manifest: dict[str, Any], params: FeaturesParams
) -> Iterator[PanelBlock]:
    """Normalise each date's cross-section; add masks, members and the level-like channels."""
    in_universe = universe_mask(panel, min_history=params.min_history)
    yield from library.normalise(raw_features, panel, in_universe, feature_manifest, _execution(params))


def make_labels(panel: xr.Dataset, params: LabelsParams) -> xr.Dataset:
    """Compute forward returns, missing where they could not be traded, and what training ranks."""
    return target.make_labels(panel, HORIZONS, **params.model_dump())


def split_sessions(
    panel: xr.Dataset,
    candidate_manifest: dict[str, Any],
    split: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    model: ModelParams,
) -> dict[str, Any]:
    """Split the sessions by date, purged; the training part begins when everything has warmed up."""
    warmup = library.first_session(
        candidate_manifest,
        graph_window=graph.window,
        graph_cadence=graph.cadence,
        model_window=model.window,
        residual_window=labels.fitted_sessions(),
    )
    return dict(
        split_lib.split_sessions(
            panel["date"].to_numpy(),
            train_end=str(split.train_end),
            valid_end=str(split.valid_end),
            purge_sessions=split.purge_sessions,
            warmup=warmup,
            max_horizon=max(HORIZONS),
            entry=labels.entry,
        )
    )


def _execution(params: FeaturesParams) -> library.Execution:
    return library.Execution(params.engine, params.scheduler, params.workers, params.memory_mb)


def _joined(panel: xr.Dataset, peer_panel: xr.Dataset, events: xr.Dataset) -> xr.Dataset:
    return panel.assign({**peer_panel.data_vars, **events.data_vars})
