"""Labels: the forward returns that are measured, and the targets that are learned from."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.labels.residual import Residual, residual_target
from gogooku_kedro.labels.returns import Delisting, Entry, LimitEntry, forward_returns


def make_labels(
    panel: xr.Dataset,
    horizons: Sequence[int],
    entry: Entry,
    *,
    limit_entry: LimitEntry = "missing",
    delisting: Delisting = "missing",
    residual: Residual | Sequence[Residual] = "none",
    residual_window: int = 120,
    pca_factors: int = 5,
    pca_cadence: int = 20,
) -> xr.Dataset:
    """Compute the forward returns of every stock and what training ranks of them.

    Labels look ahead by definition: those of t use rows up to t + h + entry lag, which
    `split_sessions` purges (with `delisting` there is one more question, see `forward_returns`).

    Args:
        panel: Market panel `(date, code)`.
        horizons: Sessions, positive and increasing.
        entry: `next_open` or `close`.
        limit_entry: Whether an entry on a session locked at its limit is `missing` or `traded`.
        delisting: Whether a label across the end of a listing is `missing` or takes the `last_price`.
        residual: `none`, `market`, `sector` or `pca`, for all horizons or one word each; see
            `residual_target`.
        residual_window: Sessions of past returns behind betas and loadings.
        pca_factors: Factors of `pca`.
        pca_cadence: Sessions between two refits of the loadings.

    Returns:
        Dataset `(date, code, horizon)`: `ret` float64, the forward return in fractions, which every
        metric uses; `status` int8, why it is missing; `target` float32, what training ranks: `ret`,
        or its residual. NaN = missing, never 0. The attributes `entry`, `limit_entry`, `delisting` and
        `residual` (a word per horizon) tell the choices.

    Raises:
        ValueError: As in `forward_returns` and `residual_target`.
    """
    labels = forward_returns(panel, horizons, entry, limit_entry=limit_entry, delisting=delisting)
    words = [residual] * len(horizons) if isinstance(residual, str) else list(residual)
    labels["target"] = residual_target(
        labels["ret"], panel, words, window=residual_window, factors=pca_factors, cadence=pca_cadence
    )
    choices = {"entry": entry, "limit_entry": limit_entry, "delisting": delisting, "residual": words}
    return labels.assign_attrs(choices)


def gaussian_rank_labels(target: xr.DataArray, in_universe: xr.DataArray) -> xr.DataArray:
    """Rank the targets of each date and horizon over the stocks of the universe, on the Gaussian scale.

    Args:
        target: `(date, code, horizon)`, NaN where missing.
        in_universe: bool `(date, code)`.

    Returns:
        float32 `(date, code, horizon)`: Φ⁻¹((rank - 1/2) / n). NaN where the target is missing, outside
        the universe, and on cross-sections of fewer than 5 targets.
    """
    by_code_last = target.where(in_universe).transpose("date", "horizon", "code")
    ranked = by_code_last.copy(data=gaussian_rank(by_code_last.values).astype(np.float32))
    return ranked.transpose("date", "code", "horizon").rename("label")
