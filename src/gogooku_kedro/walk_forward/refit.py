"""One walk-forward fold as a market of its own: what is fitted is fitted anew, the future is cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.features import Execution, LeakError, check_features, normalise, without
from gogooku_kedro.labels.split import Split
from gogooku_kedro.market.blocks import assemble
from gogooku_kedro.params import FeaturesParams


@dataclass(frozen=True)
class Fold:
    """A fold and all that a model of it may read; nothing is dated after the end of its test part.

    Attributes:
        number: 1 for the oldest fold.
        split: Dates of its parts, as from `split_sessions`.
        features: `x`, `levels`, `in_universe`, as from `normalise`.
        labels: `ret`, `status`, `target`, as from `make_labels`. Those of the last test sessions were
            priced after the end of the test part: they measure, they fit nothing.
        graph_edges: Edges by as-of date.
        manifest: The features that pass the checks of this fold.
    """

    number: int
    split: Split
    features: xr.Dataset
    labels: xr.Dataset
    graph_edges: pd.DataFrame
    manifest: dict[str, Any]


@dataclass(frozen=True)
class History:
    """What the data stages leave, all sessions: the source that folds are cut from.

    Attributes:
        raw_features: From `compute_features`; may be opened lazily.
        panel: Market panel.
        labels: From `make_labels`.
        graph_edges: asof, source, target and attributes.
        candidate_manifest: Manifest before the checks.
    """

    raw_features: xr.Dataset
    panel: xr.Dataset
    labels: xr.Dataset
    graph_edges: pd.DataFrame
    candidate_manifest: Mapping[str, Any]

    def fold(self, number: int, split: Split, features_params: FeaturesParams) -> Fold:
        """Fit on a fold what is fitted on data before training, and cut off what comes after it.

        Fitted anew, on the training and the validation part of the fold: the checks, and with them the
        manifest and its hash. A feature that falls at one is left out of this fold, whatever
        `features.checks.on_failure` says: a stretch of history may lack what the whole has. Normalisation
        looks at each date by itself, or for a feature with one value per date at its past; it is computed
        anew because the columns may differ. The scales of the raw price channels and of the edges are fitted by
        the training itself (`fit_ensemble`), on the fold's training part.

        Shared by all folds: raw features, betas and loadings behind residual targets, and graphs. They are
        functions of the past: a graph of as-of date a reads returns up to a, and its dates are counted from
        the first session, so that the graphs a fold would build by itself are those of the whole
        history up to its end, bit for bit. They are cut off there, not built again.

        Args:
            number: 1 for the oldest fold.
            split: One entry of `walk_forward_splits`.
            features_params: Section `features`.

        Raises:
            LeakError: A feature predicts a label of the fold too well; the message names the fold.
        """
        known = {"date": slice(None, split["test"][1])}
        raw, market, outcome = (data.sel(known) for data in (self.raw_features, self.panel, self.labels))
        in_universe = universe_mask(market, min_history=features_params.min_history)
        execution = Execution(
            features_params.engine, features_params.scheduler, features_params.workers, features_params.memory_mb
        )
        try:
            reasons, _ = check_features(
                raw.assign_coords(sector=market["sector"]),
                in_universe,
                outcome,
                split,
                self.candidate_manifest,
                leak_cap=features_params.leak_cap,
                execution=execution,
                **features_params.checks.model_dump() | {"on_failure": "drop"},
            )
        except LeakError as error:
            raise LeakError(f"fold {number}, up to {split['valid'][1]}: {error}") from error
        manifest = without(self.candidate_manifest, reasons)
        return Fold(
            number=number,
            split=split,
            features=assemble(normalise(raw, market, in_universe, manifest, execution)),
            labels=outcome,
            graph_edges=self.graph_edges[self.graph_edges["asof"] <= pd.Timestamp(split["test"][1])],
            manifest=manifest,
        )
