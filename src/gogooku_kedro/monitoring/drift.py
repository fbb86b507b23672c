"""How far the features of the last sessions are from those of the training part: population stability indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.typing import Array, BoolArray, FloatArray

BINS = 10
SAMPLED_WINDOWS = 12
SAMPLED_CODES = 500
SMALLEST = 1e-4
"""A share of 0 counts as this much: the index of an empty bin would be infinite."""

Values = Mapping[str, Array]
"""Feature -> its values over a window's universe (rows,), NaN = missing."""


def stability_index(expected: FloatArray, found: FloatArray) -> FloatArray:
    """Return the population stability index, sum((q - p) * ln(q / p)) over the bins of the last axis.

    Args:
        expected: Shares p of the bins.
        found: Shares q.
    """
    p, q = np.maximum(expected, SMALLEST), np.maximum(found, SMALLEST)
    index: FloatArray = ((q - p) * np.log(q / p)).sum(axis=-1)
    return index


def feature_drift(
    raw: xr.Dataset,
    in_universe: BoolArray,
    manifest: Mapping[str, Any],
    train: tuple[int, int],
    last: int,
    window: int,
    recent: tuple[xr.Dataset, BoolArray] | None = None,
) -> pd.DataFrame:
    """Return how far each family's features of the `window` sessions up to `last` are from the training part.

    Raw features are compared, as normalised ones have the same distribution on every date by construction. The bins
    are the deciles of the training part, and one of missing values; the training part is seen through twelve windows
    of the same length, of which each by itself is held against the others: this is how far a window lies when nothing
    has drifted. Features with one value per date are left out.

    Args:
        raw: Raw features `(date, code)`; may be opened lazily.
        in_universe: `(date, code)`.
        manifest: The feature manifest.
        train: First session of the training part, and the session after its last.
        last: Position of the last session.
        window: Sessions.
        recent: Raw features of later sessions on a grid of their own, and the universe there; the last of them are
            then looked at instead of those up to `last`.

    Returns:
        One row a family, the furthest first: `family`, `features`, `psi` (median over its features), `usual` (the
        largest median of a window of the training part), `furthest` (name of the feature) and `furthest_psi`. Without
        rows when the training part is shorter than the window.
    """
    columns = ["family", "features", "psi", "usual", "furthest", "furthest_psi"]
    families = {entry["name"]: entry["family"] for entry in manifest["features"] if entry["kind"] != "market"}
    latest, inside, end = (raw, in_universe, last + 1) if recent is None else (*recent, recent[0].sizes["date"])
    if train[1] - train[0] < window or end < window or not families:
        return pd.DataFrame(columns=columns)
    starts = np.unique(np.linspace(train[0], train[1] - window, SAMPLED_WINDOWS).astype(int))
    windows = [_values(raw, in_universe, list(families), slice(start, start + window)) for start in starts]
    windows.append(_values(latest, inside, list(families), slice(end - window, end)))
    rows = []
    for name, family in families.items():
        counts = _counts([values[name] for values in windows])
        known, now = counts[:-1], counts[-1]
        others = known.sum(axis=0) - known
        of_training = stability_index(_shares(others), _shares(known))
        rows.append((family, name, float(stability_index(_shares(known.sum(axis=0)), _shares(now))), of_training))
    return _by_family(pd.DataFrame(rows, columns=["family", "name", "psi", "of_training"]))[columns]


def _values(raw: xr.Dataset, in_universe: BoolArray, names: Sequence[str], span: slice) -> Values:
    step = -(-raw.sizes["code"] // SAMPLED_CODES)
    block = raw[list(names)].isel(date=span, code=slice(None, None, step)).load()
    inside = in_universe[span, ::step]
    return {name: block[name].transpose("date", "code").to_numpy()[inside] for name in names}


def _counts(windows: Sequence[Array]) -> FloatArray:
    """Rows by window and bin, the missing in the last bin; edges are deciles of all windows but the last."""
    known = np.concatenate(windows[:-1])
    known = known[np.isfinite(known)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
    counts = np.zeros((len(windows), len(edges) + 2))
    for row, values in enumerate(windows):
        finite = values[np.isfinite(values)]
        counts[row, :-1] = np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1)
        counts[row, -1] = len(values) - len(finite)
    return counts


def _shares(counts: FloatArray) -> FloatArray:
    shares: FloatArray = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    return shares


def _by_family(features: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for family, members in features.groupby("family", sort=False):
        furthest = members.iloc[int(members["psi"].to_numpy().argmax())]
        usual = float(np.median(np.stack(list(members["of_training"])), axis=0).max())
        rows.append((family, len(members), members["psi"].median(), usual, furthest["name"], furthest["psi"]))
    table = pd.DataFrame(rows, columns=["family", "features", "psi", "usual", "furthest", "furthest_psi"])
    return table.sort_values("psi", ascending=False, ignore_index=True)
