"""What is left of a forward return after market, sector or PCA factors, all fitted on the past.

Only the label itself looks ahead. Betas and loadings of t come from one-session returns of sessions up to
t; means and regressions run over the cross-section of t: the stocks that traded on t and have a label.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.cross_section import MIN_CROSS_SECTION
from gogooku_kedro.arrays.groups import group_ids, leave_one_out_mean
from gogooku_kedro.arrays.rolling import min_present, rolling_regression
from gogooku_kedro.market.panel import mean_over_codes
from gogooku_kedro.typing import Array, IntArray

Residual = Literal["none", "market", "sector", "pca"]

BLOCK = 256  # sessions or codes in memory at a time


def residual_target(
    ret: xr.DataArray, panel: xr.Dataset, residual: Sequence[Residual], *, window: int, factors: int, cadence: int
) -> xr.DataArray:
    """Take common moves out of forward returns, one choice per horizon.

    `none`: the return itself. `market`: ret - beta[t] · mean(ret), with `market_beta` and the mean
    over the cross-section of t, which has the same entry and exit. `sector`: the market residual
    minus the mean market residual of the sector's other stocks. `pca`: the residual of the
    regression, date by date, of ret on a constant and the `pca_loadings` of the last refit up to t
    (the second step of Fama and MacBeth 1973). Refits are the sessions window, window + cadence, …
    counted from the first one, so longer data move none.

    Args:
        ret: `(date, code, horizon)`, fractions, NaN where missing.
        panel: `ret_1d`, `index_return`, `traded`, and `sector` for `sector`.
        residual: One word per horizon.
        window: Sessions of past returns behind a beta or a loading.
        factors: PCA factors.
        cadence: Sessions between two refits of the loadings.

    Returns:
        float32 `(date, code, horizon)` named `target`, fractions. Where there is a residual it is
        NaN, never 0: without label, without a trade on t, without beta or loadings, for `sector`
        also where the sector is unknown or has no other stock, for `pca` also on dates with fewer
        than 5 stocks more than coefficients.

    Raises:
        ValueError: Unknown word, not one word per horizon, no stock with a known sector, or a
            horizon that is left without any target; the message names the setting and the fix.
    """
    _check(residual, ret["horizon"].values, panel)
    returns = ret.transpose("date", "code", "horizon")
    traded = panel["traded"].transpose("date", "code").values
    target = returns.values.astype(np.float32)
    labels: Array = np.where(traded[..., None], target, np.float32(np.nan))
    market = [k for k, word in enumerate(residual) if word in ("market", "sector")]
    pca = [k for k, word in enumerate(residual) if word == "pca"]
    if market:
        beta = market_beta(panel, window).values
        ids = group_ids(panel["sector"].values) if "sector" in residual else None
        for k in market:
            target[..., k] = _market_residual(labels[..., k], beta, ids if residual[k] == "sector" else None)
    if pca:
        target[..., pca] = pca_residual(labels[..., pca], panel, window, factors, cadence)
    _check_target(target, returns.values, residual, window)
    return returns.copy(data=target).rename("target")


def market_beta(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Regress one-session returns on the index return over the last `window` sessions up to t.

    Returns:
        Slope `(date, code)` float64, bit for bit a matter of its window; NaN where fewer than 80%
        of the window have both returns.
    """
    index = panel["index_return"]
    returns = panel["ret_1d"].transpose("date", "code").reset_coords(drop=True)
    blocks = [
        rolling_regression(returns[:, start : start + BLOCK], index, window).beta
        for start in range(0, returns.sizes["code"], BLOCK)
    ]
    return xr.concat(blocks, "code").transpose("date", "code").rename("beta")


def pca_loadings(returns: Array, factors: int) -> Array:
    """Return how much each stock moves with each of the first principal components of a window.

    The returns are standardised per stock and decomposed, z = U S V'; an absent return is its
    stock's mean, 0 after that. What multiplies a factor in returns, not in standardised ones, is
    std · V S, scaled here to a mean square of 1 per factor; signs are arbitrary.

    Args:
        returns: One-day returns `(session, code)`, NaN where absent.
        factors: Components kept, fewer than sessions.

    Returns:
        `(code, factor)` float64. NaN for stocks with fewer than 80% of the window's returns or
        without variation, and throughout when fewer than factors + 6 stocks are left.
    """
    present = np.isfinite(returns)
    filled = np.where(present, returns, 0.0)
    count = np.maximum(present.sum(axis=0), 1)
    deviation = np.where(present, returns - filled.sum(axis=0) / count, 0.0)
    squares = (deviation**2).sum(axis=0)
    varies = squares > 1e-13 * (filled**2).sum(axis=0)
    usable = np.flatnonzero(varies & (present.sum(axis=0) >= min_present(len(returns))))
    loadings = np.full((returns.shape[1], factors), np.nan)
    if len(usable) < factors + 1 + MIN_CROSS_SECTION:
        return loadings
    std = np.sqrt(squares / np.maximum(count - 1, 1))[usable]
    z = deviation[:, usable] / std
    # The eigenvectors of z z' are U, for a fraction of the cost of decomposing z.
    components = np.linalg.eigh(z @ z.T)[1][:, ::-1][:, :factors]
    exposure = std[:, None] * (z.T @ components)
    scale = np.sqrt((exposure**2).mean(axis=0))
    loadings[usable] = exposure / np.where(scale > 0, scale, 1.0)
    return loadings


def _market_residual(labels: Array, beta: Array, sectors: IntArray | None) -> Array:
    residual = np.empty(labels.shape, np.float32)
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        values = labels[rows].astype(np.float64)
        left = values - beta[rows] * mean_over_codes(values)[:, None]
        residual[rows] = left if sectors is None else left - leave_one_out_mean(left, sectors)
    return residual


def pca_residual(
    labels: Array,
    panel: xr.Dataset,
    window: int,
    factors: int,
    cadence: int,
    fitted: dict[int, Array] | None = None,
) -> Array:
    """Return what is left of values, date by date, after a constant and the `pca_loadings` of the last refit.

    Args:
        labels: `(date, code, …)` on the panel's sessions and stocks, with one axis behind; NaN where absent.
        panel: `ret_1d`.
        window: Sessions of past returns behind a loading.
        factors: PCA factors.
        cadence: Sessions between two refits.
        fitted: Loadings by the first session that uses them; what is not there is fitted and put there. One
            dictionary serves several calls with the same panel, window, factors and cadence.

    Returns:
        float32 of the same shape; NaN where absent, without loadings, and on dates with fewer than 5 more
        values than coefficients.
    """
    residual = np.full(labels.shape, np.nan, np.float32)
    fitted = {} if fitted is None else fitted
    for rows, past in refits(len(labels), window, cadence):
        if not np.isfinite(labels[rows]).any():
            continue
        if rows.start not in fitted:
            returns = panel["ret_1d"][{"date": past}].transpose("date", "code").values
            fitted[rows.start] = pca_loadings(returns.astype(np.float64), factors)
        loadings = fitted[rows.start]
        block = np.full((cadence, *labels.shape[1:]), np.nan)
        block[: len(labels[rows])] = labels[rows]  # one shape for all blocks: see _regress
        residual[rows] = _regress(block, loadings)[: len(labels[rows])]
    return residual


def refits(sessions: int, window: int, cadence: int) -> Iterator[tuple[slice, slice]]:
    """Yield the sessions that use each refit of the loadings, and the window it is fitted on.

    The window ends with the first of the sessions that use it: nothing later is seen.
    """
    for first in range(window, sessions, cadence):
        yield slice(first, min(first + cadence, sessions)), slice(first - window + 1, first + 1)


def _regress(labels: Array, loadings: Array) -> Array:
    """Residual of labels `(session, code, horizon)` on a constant and loadings, date by date.

    The normal equations of all dates and horizons come out of two matrix products over the stocks with
    loadings. How a product adds up depends on its shape; the shape is the same however many sessions
    follow, so a date's residual is too.
    """
    residual = np.full(labels.shape, np.nan)
    inside = np.flatnonzero(np.isfinite(loadings).all(axis=1))
    if not len(inside):
        return residual
    design = np.column_stack([np.ones(len(inside)), loadings[inside]])
    y = np.moveaxis(labels[:, inside], 1, -1).reshape(-1, len(inside))
    present = np.isfinite(y)
    terms = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(inside), -1)
    gram = (present.astype(np.float64) @ products).reshape(-1, terms, terms)
    moments = np.where(present, y, 0.0) @ design
    coefficients = (np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ moments[..., None])[..., 0]
    left = y - coefficients @ design.T
    left[present.sum(axis=1) < terms + MIN_CROSS_SECTION] = np.nan
    by_code = left.reshape(len(labels), labels.shape[2], len(inside))
    residual[:, inside] = np.moveaxis(by_code, -1, 1)
    return residual


def _check(residual: Sequence[Residual], horizons: Array, panel: xr.Dataset) -> None:
    unknown = [word for word in residual if word not in get_args(Residual)]
    if unknown or len(residual) != len(horizons):
        raise ValueError(
            f"labels.residual = {list(residual)}: give one of {get_args(Residual)} for each of the "
            f"horizons {horizons.tolist()}"
        )
    if "sector" in residual and (group_ids(panel["sector"].values) < 0).all():
        raise ValueError(
            "labels.residual = 'sector': no stock of the panel has a known sector; provide a sector "
            "column or listed_issues, or choose market or pca"
        )


def _check_target(target: Array, ret: Array, residual: Sequence[Residual], window: int) -> None:
    for k, word in enumerate(residual):
        if not np.isfinite(target[..., k]).any() and np.isfinite(ret[..., k]).any():
            raise ValueError(
                f"labels.residual = {word!r} leaves no target: labels.residual_window = {window} does "
                f"not fit {len(target)} sessions of {target.shape[1]} stocks; shorten the window, lower "
                "labels.pca_factors or choose none"
            )
