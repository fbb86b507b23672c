"""Search for features that know the label: a rank IC too good to be true stops the run."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from gogooku_kedro.features.cross_section import MIN_CROSS_SECTION, gaussian_rank
from gogooku_kedro.features.split import split_mask

logger = logging.getLogger(__name__)

BLOCK = 64  # sessions in memory at a time

Array = npt.NDArray[Any]


class LeakError(ValueError):
    """A feature predicts a label better than any honest feature could."""


def check_features(x: xr.DataArray, labels: xr.Dataset, split: Mapping[str, Any], cap: float) -> pd.DataFrame:
    """Measure every feature's mean daily rank IC on the train and valid parts and stop at a leak.

    The rank IC of a day is the correlation of the normalised feature with the Gaussian rank of the
    label over the day's members. The test part is never read.

    Args:
        x: Normalised features `(date, code, feature)`; a stock whose features are all 0 is no
            member.
        labels: Dataset with `ret` `(date, code, horizon)`.
        split: From `split_sessions`.
        cap: Largest |mean rank IC| over the train and valid days that passes, in (0, 1].

    Returns:
        One row per feature and horizon: feature, horizon, rank_ic (train and valid together),
        rank_ic_train, rank_ic_valid, days (with an IC), constant (the feature is 0 for every
        member). NaN where no day has one.

    Raises:
        LeakError: A feature exceeds the cap against any label; the message names it, horizon and
            value.
        ValueError: `cap` is not in (0, 1].
    """
    if not 0 < cap <= 1:
        raise ValueError(f"features.leak_cap = {cap}: give a number above 0, up to 1")
    dates = x["date"].values
    train, valid = split_mask(split, dates, "train"), split_mask(split, dates, "valid")
    ret = labels["ret"].reindex(date=dates, code=x["code"].values)
    daily = _daily_rank_ic(x, ret, np.flatnonzero(train | valid))
    in_train = train[train | valid]
    report = _report(x, ret, daily, in_train)
    constant = sorted(set(report.loc[report["constant"], "feature"]))
    if constant:
        logger.warning("Features without any variation on train and valid: %s", ", ".join(constant))
    leaks = report[report["rank_ic"].abs() > cap]
    if len(leaks):
        raise LeakError(_message(leaks, cap, constant))
    return report


def _daily_rank_ic(x: xr.DataArray, ret: xr.DataArray, sessions: npt.NDArray[np.intp]) -> Array:
    """Rank IC `(day, feature, horizon)` of the given sessions, NaN where fewer than 5 pairs."""
    features = x.transpose("date", "code", "feature")
    returns = ret.transpose("date", "code", "horizon")
    blocks = [
        _block_rank_ic(features[chunk].values, returns[chunk].values)
        for chunk in np.array_split(sessions, max(1, -(-len(sessions) // BLOCK)))
    ]
    return np.concatenate(blocks)


def _block_rank_ic(x: Array, ret: Array) -> Array:
    """Correlate x `(day, code, feature)` with ranked ret `(day, code, horizon)` over the codes."""
    member = (x != 0).any(axis=-1, keepdims=True)
    paired = np.where(member, ret, np.nan)
    ranked = np.moveaxis(gaussian_rank(np.moveaxis(paired, 1, -1)), -1, 1).astype(np.float32)
    mask = np.isfinite(ranked).astype(np.float32)
    y = np.nan_to_num(ranked)
    by_feature = x.transpose(0, 2, 1)
    n = mask.sum(axis=1)[:, None, :]
    sum_y, sum_yy = y.sum(axis=1)[:, None, :], (y * y).sum(axis=1)[:, None, :]
    sum_x, sum_xx = by_feature @ mask, (by_feature * by_feature) @ mask
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = by_feature @ y - sum_x * sum_y / n
        variance_x = sum_xx - sum_x**2 / n
        ic = covariance / np.sqrt(variance_x * (sum_yy - sum_y**2 / n))
    return np.where((n >= MIN_CROSS_SECTION) & (variance_x > 1e-6 * n), ic, np.nan)


def _report(
    x: xr.DataArray, ret: xr.DataArray, daily: Array, in_train: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    names, horizons = x["feature"].values.astype(str), ret["horizon"].values
    varies = np.isfinite(daily).any(axis=(0, 2))
    return pd.DataFrame(
        {
            "feature": np.repeat(names, len(horizons)),
            "horizon": np.tile(horizons, len(names)),
            "rank_ic": _mean(daily).ravel(),
            "rank_ic_train": _mean(daily[in_train]).ravel(),
            "rank_ic_valid": _mean(daily[~in_train]).ravel(),
            "days": np.isfinite(daily).sum(axis=0).ravel(),
            "constant": np.repeat(~varies, len(horizons)),
        }
    )


def _mean(daily: Array) -> Array:
    present = np.isfinite(daily)
    count = present.sum(axis=0)
    total = np.where(present, daily, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _message(leaks: pd.DataFrame, cap: float, constant: list[str]) -> str:
    strongest = leaks.loc[leaks.groupby("feature")["rank_ic"].apply(lambda ic: ic.abs().idxmax())]
    found = ", ".join(
        f"'{row.feature}' ({row.rank_ic:+.2f} at {row.horizon} sessions)" for row in strongest.itertuples()
    )
    also = f" Constant features: {', '.join(constant)}." if constant else ""
    return (
        f"features.leak_cap = {cap}: the mean rank IC on train and valid is beyond it for {found}. "
        "Such a feature sees its own label: look for rows dated after t in its formula, or raise "
        f"the cap if the signal is known to be that strong.{also}"
    )
