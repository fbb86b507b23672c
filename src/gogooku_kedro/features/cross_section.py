"""Normalisation of every date's cross-section on its own: nothing to fit, nothing to leak."""

from typing import Any, Literal, get_args

import bottleneck as bn
import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import ndtri

Method = Literal["gaussian_rank", "robust_z"]

MIN_CROSS_SECTION = 5  # stocks; fewer say nothing about ranks

Array = npt.NDArray[Any]


def membership(panel: xr.Dataset, *, min_history: int) -> xr.DataArray:
    """Return which stocks form the cross-section of each date, bool `(date, code)`.

    A stock is a member on t when it traded on t, t is not a thin date, and it has traded on at
    least `min_history` sessions up to and including t.

    Raises:
        ValueError: `min_history` is below 1.
    """
    if min_history < 1:
        raise ValueError(f"features.min_history = {min_history}: give 1 session or more")
    traded = panel["traded"].transpose("date", "code")
    history = traded.cumsum("date")
    member = traded & (history >= min_history) & ~panel["thin_date"]
    return member.reset_coords(drop=True).rename("member")


def normalise(
    raw: xr.Dataset,
    member: xr.DataArray,
    method: Method = "gaussian_rank",
    clip: float = 5.0,
) -> xr.DataArray:
    """Normalise every feature inside the cross-section of member stocks of each date.

    `gaussian_rank`: Φ⁻¹((rank - 1/2) / n), ties sharing their mean rank (van der Waerden scores).
    `robust_z`: (value - median) / (1.4826 · MAD); 0 where the MAD is 0.

    Args:
        raw: One float variable `(date, code)` per feature, NaN where undefined.
        member: bool `(date, code)`.
        method: One of the two above.
        clip: Values beyond ±clip are set to ±clip.

    Returns:
        float32 `(date, code, feature)` without NaN: 0, the middle of the cross-section, stands for
        a missing value, for a non-member, and for a cross-section of fewer than 5 values.

    Raises:
        ValueError: Unknown method, or `clip` is not positive.
    """
    if method not in get_args(Method):
        raise ValueError(f"features.normalisation = {method!r}: choose one of {get_args(Method)}")
    if not clip > 0:
        raise ValueError(f"features.clip = {clip}: give a positive number")
    scores = gaussian_rank if method == "gaussian_rank" else robust_z
    inside = member.transpose("date", "code").values
    names = [str(name) for name in raw.data_vars]
    x = np.zeros((*inside.shape, len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        values = np.where(inside, raw[name].transpose("date", "code").values, np.nan)
        x[..., position] = np.clip(np.nan_to_num(scores(values), copy=False), -clip, clip)
    coords = {"date": raw["date"].values, "code": raw["code"].values, "feature": names}
    return xr.DataArray(x, coords, ("date", "code", "feature"), name="x")


def gaussian_rank(values: Array) -> Array:
    """Return Φ⁻¹((rank - 1/2) / n) along the last axis; ties share their mean rank.

    NaN stays NaN and does not count; a cross-section with fewer than 5 values is NaN throughout.
    """
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    ranks = bn.nanrankdata(np.ascontiguousarray(values), axis=-1)
    fraction = np.where(count >= MIN_CROSS_SECTION, (ranks - 0.5) / np.maximum(count, 1), np.nan)
    scores: Array = ndtri(fraction.astype(np.float32))
    return scores


def robust_z(values: Array) -> Array:
    """Return (value - median) / (1.4826 · MAD) along the last axis.

    NaN stays NaN; 0 where the MAD is 0; a cross-section with fewer than 5 values is NaN throughout.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    deviation = values - bn.nanmedian(values, axis=-1)[..., None]
    spread = 1.4826 * bn.nanmedian(np.abs(deviation), axis=-1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, deviation / spread, deviation * 0.0)
    return np.where(count >= MIN_CROSS_SECTION, z, np.nan)
