"""Checks of the features: empty, constant, duplicate, and too good to be true."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.cross_section import MIN_CROSS_SECTION, gaussian_rank
from gogooku_kedro.arrays.groups import group_ids
from gogooku_kedro.features.engine import LOCAL, Execution
from gogooku_kedro.features.normalise import Entries, block_scores, dates_per_block, per_date_scores
from gogooku_kedro.labels.split import split_mask
from gogooku_kedro.typing import Array

logger = logging.getLogger(__name__)

COMPARED = 96  # sessions, spread over train and valid, on which features are compared pairwise
CHANCE = 4.0  # standard errors of a correlation of 0: what chance alone does not reach among thousands of features

OnFailure = Literal["fail", "drop"]


class CheckError(ValueError):
    """A feature that no model should read."""


class LeakError(CheckError):
    """A feature predicts a label better than any feature without a leak could."""


def check_features(
    raw: xr.Dataset,
    in_universe: xr.DataArray,
    labels: xr.Dataset,
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    leak_cap: float,
    constant_share: float,
    duplicate_correlation: float,
    on_failure: OnFailure,
    execution: Execution = LOCAL,
) -> tuple[dict[str, str], pd.DataFrame]:
    """Check every feature in four ways on the train and valid parts; the test part is never read.

    Empty: no stock of the universe ever has a value. Constant: fewer than two different values
    of more than `constant_share` of the dates (for a feature with one value per date: over all
    dates). Duplicate: its normalised values correlate by more than `duplicate_correlation`, in
    absolute value, with those of a feature before it. Leak: |mean daily rank IC| with a label above
    `leak_cap`, over the stocks that have both, however few of the universe they are; a few stocks on a few
    dates reach that by chance, so it must also lie beyond four standard errors. A leak always stops the run,
    whatever `on_failure` says.

    Args:
        raw: From `compute_features`; may be opened lazily. The coordinate `sector` (code) when a
            family is sector-neutral.
        in_universe: bool `(date, code)`.
        labels: Dataset with `ret` `(date, code, horizon)`.
        split: From `split_sessions`.
        manifest: From `feature_manifest`: the features and their normalisation.
        leak_cap: In (0, 1].
        constant_share: Share of dates, in [0, 1).
        duplicate_correlation: In (0, 1].
        on_failure: `fail` raises for the first three checks, `drop` reports the features to drop.
        execution: Threads and memory; neither changes a value.

    Returns:
        Feature to reason, for those that fail the first three checks; and one row per feature and
        horizon: feature, family, horizon, rank_ic (train and valid together), rank_ic_train,
        rank_ic_valid, days (with an IC), pairs (stock-days behind it), constant_share, missing_share (of the
        universe), failed_check (reason, or ""). NaN where no session has a rank IC, as for features with one
        value per date.

    Raises:
        LeakError: The message names the features, the horizons and the values.
        CheckError: A feature fails another check and `on_failure` is `fail`.
        ValueError: A bound is out of range.
    """
    _check_bounds(leak_cap, constant_share, duplicate_correlation)
    measured = _measure(raw, in_universe, labels, split, manifest["features"], execution)
    report = _report(measured, manifest, labels["horizon"].values)
    leaks = report[(report["rank_ic"].abs() > leak_cap) & _beyond_chance(report)]
    if len(leaks):
        raise LeakError(_leak_message(leaks, leak_cap))
    reasons = _reasons(measured, manifest, constant_share, duplicate_correlation)
    report["failed_check"] = [reasons.get(name, "") for name in report["feature"]]
    if reasons and on_failure == "fail":
        listed = "; ".join(f"'{name}' {reason}" for name, reason in reasons.items())
        raise CheckError(
            f"features.checks: {listed}. Leave the feature or its family out, or write "
            "features.checks.on_failure: drop to go on without them"
        )
    for name, reason in reasons.items():
        logger.info("Feature '%s' is dropped: %s", name, reason)
    return reasons, report


class _Measured:
    """What the checks look at, collected date by date."""

    def __init__(self, n_features: int, n_horizons: int, n_sessions: int) -> None:
        self.rank_ic = np.full((n_sessions, n_features, n_horizons), np.nan, dtype=np.float32)
        self.pairs = np.zeros((n_features, n_horizons))
        self.in_train = np.zeros(n_sessions, dtype=bool)
        self.flat_sessions = np.zeros(n_features)
        self.present = np.zeros(n_features)
        self.cells = 0
        self.gram = np.zeros((n_features, n_features))


def _measure(
    raw: xr.Dataset,
    in_universe: xr.DataArray,
    labels: xr.Dataset,
    split: Mapping[str, Any],
    entries: Entries,
    execution: Execution,
) -> _Measured:
    dates = raw["date"].values
    train, valid = split_mask(split, dates, "train"), split_mask(split, dates, "valid")
    sessions = np.flatnonzero(train | valid)
    compared = set(sessions[:: max(1, len(sessions) // COMPARED)].tolist())
    ret = labels["ret"].transpose("date", "code", "horizon")
    measured = _Measured(len(entries), ret.sizes["horizon"], len(sessions))
    measured.in_train = train[sessions]
    inside = in_universe.transpose("date", "code").values
    ids = group_ids(raw["sector"].values) if "sector" in raw.coords else np.zeros(inside.shape[1], np.int64)
    over_time = per_date_scores(raw, entries)
    done = 0
    for rows in _runs(sessions, dates_per_block(inside.shape[1], len(entries), execution)):
        among = inside[rows]
        x = block_scores(raw, rows, among, ids, entries, over_time, execution.threads)
        known = np.where(among[..., None], ret[rows].values, np.nan)
        measured.rank_ic[done : done + len(among)], pairs = _rank_ic(x, known)
        measured.pairs += pairs
        _count(measured, x, among)
        for session in compared.intersection(range(rows.start, rows.stop)):
            scores = np.nan_to_num(x[:, session - rows.start])
            measured.gram += scores @ scores.T
        done += len(among)
    _count_over_time(measured, entries, over_time, sessions)
    return measured


def _runs(sessions: npt.NDArray[np.intp], longest: int) -> list[slice]:
    """Consecutive sessions in slices that end at multiples of `longest`, as the stored chunks do."""
    breaks = (np.diff(sessions) != 1) | (sessions[1:] % longest == 0)
    parts = np.split(sessions, np.flatnonzero(breaks) + 1)
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]


def _rank_ic(x: Array, ret: Array) -> tuple[Array, Array]:
    """Correlate the scores `(feature, date, code)` with the ranked `(date, code, horizon)` returns.

    Every sum is over the stocks that have both. Returns `(date, feature, horizon)`, and the stocks behind it,
    added over the dates, `(feature, horizon)`.
    """
    ranked = np.moveaxis(gaussian_rank(np.moveaxis(ret, 1, -1)), -1, 1).astype(np.float32)
    known, y = np.isfinite(ranked).astype(np.float32), np.nan_to_num(ranked)
    scores = np.moveaxis(x, 0, 1)
    present = np.isfinite(scores)
    filled = np.where(present, scores, np.float32(0))
    # Matrices side by side: what is slow is to read the scores, so that they are read once for several sums.
    sum_x, sum_xy = np.split(filled @ np.concatenate([known, y], axis=-1), 2, axis=-1)
    n, sum_y, sum_yy = np.split(present.astype(np.float32) @ np.concatenate([known, y, y * y], axis=-1), 3, axis=-1)
    sum_xx = np.square(filled, out=filled) @ known
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = sum_xy - sum_x * sum_y / n
        variance_x, variance_y = sum_xx - sum_x**2 / n, sum_yy - sum_y**2 / n
        ic = covariance / np.sqrt(variance_x * variance_y)
    usable = (n >= MIN_CROSS_SECTION) & (variance_x > 1e-6 * n) & (variance_y > 1e-6 * n)
    return np.where(usable, ic, np.nan), np.where(usable, n, 0).sum(axis=0, dtype=np.float64)


def _count(measured: _Measured, x: Array, inside: Array) -> None:
    present = np.isfinite(x)
    least = np.where(present, x, np.inf).min(axis=-1)
    most = np.where(present, x, -np.inf).max(axis=-1)
    measured.flat_sessions += (~(most > least)).sum(axis=1)
    measured.present += present.sum(axis=(1, 2))
    measured.cells += int(inside.sum())


def _count_over_time(
    measured: _Measured, entries: Entries, over_time: Mapping[str, Array], sessions: npt.NDArray[np.intp]
) -> None:
    for position, entry in enumerate(entries):
        if entry["kind"] == "market":
            series = over_time[entry["name"]][sessions]
            varies = np.nanstd(series) > 0 if np.isfinite(series).any() else False
            measured.flat_sessions[position] = 0 if varies else len(sessions)
            measured.rank_ic[:, position], measured.pairs[position] = np.nan, 0


def _reasons(
    measured: _Measured, manifest: Mapping[str, Any], constant_share: float, duplicate: float
) -> dict[str, str]:
    entries, sessions = manifest["features"], len(measured.rank_ic)
    norm = np.sqrt(np.diag(measured.gram))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num(measured.gram / np.outer(norm, norm))
    reasons: dict[str, str] = {}
    for position, entry in enumerate(entries):
        flat = measured.flat_sessions[position] / max(sessions, 1)
        twins = [
            earlier
            for earlier in np.flatnonzero(np.abs(correlation[position, :position]) > duplicate)
            if entries[earlier]["name"] not in reasons
        ]
        if measured.present[position] == 0:
            reasons[entry["name"]] = "has no value for any stock of the universe on train and valid"
        elif flat > constant_share:
            reasons[entry["name"]] = f"does not vary on {flat:.1%} of the train and valid dates"
        elif twins:
            value = correlation[position, twins[0]]
            reasons[entry["name"]] = f"duplicates '{entries[twins[0]]['name']}' (correlation {value:+.5f})"
    return reasons


def _report(measured: _Measured, manifest: Mapping[str, Any], horizons: Array) -> pd.DataFrame:
    entries, sessions = manifest["features"], max(len(measured.rank_ic), 1)
    repeat = len(horizons)
    return pd.DataFrame(
        {
            "feature": np.repeat([entry["name"] for entry in entries], repeat),
            "family": np.repeat([entry["family"] for entry in entries], repeat),
            "horizon": np.tile(horizons, len(entries)),
            "rank_ic": _mean(measured.rank_ic).ravel(),
            "rank_ic_train": _mean(measured.rank_ic[measured.in_train]).ravel(),
            "rank_ic_valid": _mean(measured.rank_ic[~measured.in_train]).ravel(),
            "days": np.isfinite(measured.rank_ic).sum(axis=0).ravel(),
            "pairs": measured.pairs.astype(np.int64).ravel(),
            "constant_share": np.repeat(measured.flat_sessions / sessions, repeat),
            "missing_share": np.repeat(1 - measured.present / max(measured.cells, 1), repeat),
        }
    )


def _beyond_chance(report: pd.DataFrame) -> pd.Series:
    """Whether a rank IC is further from 0 than chance: Fisher's z, as labels of h sessions overlap h times."""
    independent = report["pairs"] / report["horizon"]
    z = np.arctanh(report["rank_ic"].abs().clip(upper=0.999)) * np.sqrt(independent)
    beyond: pd.Series = z > CHANCE
    return beyond


def _mean(daily: Array) -> Array:
    present = np.isfinite(daily)
    count = present.sum(axis=0)
    total = np.where(present, daily, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _leak_message(leaks: pd.DataFrame, cap: float) -> str:
    strongest = leaks.loc[leaks.groupby("feature")["rank_ic"].apply(lambda ic: ic.abs().idxmax())]
    found = ", ".join(
        f"'{row.feature}' ({row.rank_ic:+.2f} at {row.horizon} sessions)" for row in strongest.itertuples()
    )
    return (
        f"features.leak_cap = {cap}: the mean rank IC on train and valid is beyond it for {found}. "
        "Such a feature sees its own label: look for rows dated after t in its formula, or raise "
        "the cap if the signal is known to be that strong."
    )


def _check_bounds(leak_cap: float, constant_share: float, duplicate_correlation: float) -> None:
    rules = {
        f"features.leak_cap = {leak_cap}: give a number above 0, up to 1": 0 < leak_cap <= 1,
        f"features.checks.constant_share = {constant_share}: give a share from 0 to below 1": 0 <= constant_share < 1,
        f"features.checks.duplicate_correlation = {duplicate_correlation}: give a number above 0, up to 1": 0
        < duplicate_correlation
        <= 1,
    }
    for message, kept in rules.items():
        if not kept:
            raise ValueError(message)
