"""Graph of similar stocks per as-of date, from the correlation of their residual returns."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from gogooku_kedro.features.groups import UNKNOWN, group_ids
from gogooku_kedro.graph.correlation import Residual, masked_correlation, residual_returns

COLUMNS = (
    "asof",
    "source",
    "target",
    "correlation",
    "abs_correlation",
    "same_sector",
    "is_self",
)

Array = npt.NDArray[Any]


def build_edges(
    panel: xr.Dataset,
    *,
    window: int,
    min_observations: int,
    threshold: float,
    k: int,
    cadence: int,
    residual: Residual,
    symmetric: bool,
    start_asof: Any = None,
    max_degree: int | None = None,
) -> pd.DataFrame:
    """Build the edges of every as-of date: each stock receives from its k most correlated peers.

    The graph of as-of date a uses the returns of the `window` sessions up to and including a,
    aligned by date. As-of dates are the sessions window, window + cadence, … counted from the
    panel's first, so that later data move neither dates nor edges.

    Args:
        panel: Market panel with `ret_1d`, `traded`, the coordinate `sector` and, unless `residual`
            is `none`, `index_return`.
        window: Sessions of returns.
        min_observations: Common sessions that a pair needs.
        threshold: Smallest |correlation| of an edge.
        k: Strongest sources kept per target; ties go to the smaller code.
        cadence: Sessions between as-of dates.
        residual: What is taken out of the returns first: nothing, the market, or market and sector.
        symmetric: Add the reverse of every edge; a target may then have more than k sources.
        start_asof: Skip as-of dates that no session from this date on would use; None keeps all.
        max_degree: Strongest sources kept per target after the union; None for no limit.

    Returns:
        One row per edge, message flowing source -> target, sorted by asof, target, source (in the
        panel's code order), without duplicates: asof (datetime64), source, target (str),
        correlation, abs_correlation, same_sector, is_self (float32). Every stock that traded inside
        the window has a self loop with correlation 1; a stock without partners has that one only.

    Raises:
        ValueError: A setting is out of range, the panel is shorter than the window, or the data for
            the residual are missing. The message names the YAML path, the value and the fix.
    """
    _check_settings(
        window=window,
        min_observations=min_observations,
        threshold=threshold,
        k=k,
        cadence=cadence,
        max_degree=max_degree,
    )
    dates = pd.DatetimeIndex(panel["date"].values)
    asofs = _asof_sessions(dates, window, cadence, start_asof)
    returns = panel["ret_1d"].transpose("date", "code").values.astype(np.float64)
    traded = panel["traded"].transpose("date", "code").values
    market = _index_return(panel, residual)
    ids = _sector_ids(panel, residual)
    codes = panel["code"].values.astype(str)
    snapshots = []
    for asof in asofs:
        rows = slice(asof - window + 1, asof + 1)
        active = np.flatnonzero(traded[rows].any(axis=0))
        errors = residual_returns(returns[rows][:, active], market[rows], ids[active], residual)
        correlation = masked_correlation(errors, min_observations)
        keep = _select_edges(correlation, threshold, k, symmetric, max_degree)
        snapshots.append(_edge_frame(dates[asof], codes[active], ids[active], correlation, keep))
    return pd.concat(snapshots, ignore_index=True)


def asof_index(
    asof_dates: npt.NDArray[Any] | pd.DatetimeIndex, dates: npt.NDArray[Any] | pd.DatetimeIndex
) -> npt.NDArray[np.int64]:
    """Return, for each of `dates`, the position of the last as-of date not after it; -1 if none.

    Args:
        asof_dates: As-of dates in increasing order, without duplicates.
        dates: Sessions in any order.
    """
    known = np.asarray(asof_dates, dtype="datetime64[ns]")
    when = np.asarray(dates, dtype="datetime64[ns]")
    position: npt.NDArray[np.int64] = np.searchsorted(known, when, side="right") - 1
    return position


def _asof_sessions(
    dates: pd.DatetimeIndex, window: int, cadence: int, start_asof: Any
) -> npt.NDArray[np.int64]:
    sessions = np.arange(window, len(dates), cadence)
    if not len(sessions):
        raise ValueError(
            f"graph.window = {window}: the panel has {len(dates)} sessions "
            f"and needs at least {window + 1}; shorten the window or provide a longer history"
        )
    if start_asof is None:
        return sessions
    first = asof_index(dates[sessions], pd.DatetimeIndex([pd.Timestamp(start_asof)]))[0]
    return sessions[max(first, 0) :]


def _select_edges(
    correlation: Array, threshold: float, k: int, symmetric: bool, max_degree: int | None
) -> npt.NDArray[np.bool_]:
    """Kept edges `[target, source]`, self loops included."""
    strength = np.abs(np.nan_to_num(correlation))
    np.fill_diagonal(strength, 0.0)
    strength[strength < threshold] = 0.0
    keep = _strongest(strength, k)
    if symmetric:
        keep |= keep.T
    if max_degree is not None:
        keep = _strongest(np.where(keep, strength, 0.0), max_degree)
    np.fill_diagonal(keep, True)
    return keep


def _strongest(strength: Array, k: int) -> npt.NDArray[np.bool_]:
    """Mark the k largest positive values of each row; ties go to the smaller column."""
    k = min(k, strength.shape[1])
    weakest_kept = -np.partition(-strength, k - 1, axis=1)[:, k - 1 : k]
    above = strength > weakest_kept
    tied = (strength == weakest_kept) & (strength > 0)
    room = k - above.sum(axis=1, keepdims=True)
    kept: npt.NDArray[np.bool_] = above | (tied & (np.cumsum(tied, axis=1) <= room))
    return kept


def _edge_frame(
    asof: pd.Timestamp,
    codes: npt.NDArray[np.str_],
    ids: npt.NDArray[np.int64],
    correlation: Array,
    keep: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    target, source = np.nonzero(keep)
    is_self = target == source
    signed = np.where(is_self, 1.0, correlation[target, source])
    same_sector = is_self | ((ids[target] == ids[source]) & (ids[target] >= 0))
    values = (signed, np.abs(signed), same_sector, is_self)
    measures = dict(zip(COLUMNS[3:], (v.astype(np.float32) for v in values), strict=True))
    ends = {
        "source": pd.array(codes, dtype="str")[source],
        "target": pd.array(codes, dtype="str")[target],
    }
    return pd.DataFrame({"asof": asof, **ends, **measures})


def _index_return(panel: xr.Dataset, residual: Residual) -> Array:
    if residual == "none":
        return np.full(panel.sizes["date"], np.nan)
    index = panel["index_return"].values.astype(np.float64) if "index_return" in panel else None
    if index is None or not np.isfinite(index).any():
        raise ValueError(
            f"graph.residual = '{residual}': the panel has no index_return; provide market_index, "
            "or set it to 'none'"
        )
    return index


def _sector_ids(panel: xr.Dataset, residual: Residual) -> npt.NDArray[np.int64]:
    ids = group_ids(panel["sector"].values)
    if residual == "sector" and (ids < 0).all():
        raise ValueError(
            f"graph.residual = 'sector': every sector is \"{UNKNOWN}\"; set it to 'market' or provide sectors"
        )
    return ids


def _check_settings(
    *,
    window: int,
    min_observations: int,
    threshold: float,
    k: int,
    cadence: int,
    max_degree: int | None,
) -> None:
    rules = {
        f"graph.window = {window}: give 3 sessions or more": window >= 3,
        f"graph.min_observations = {min_observations}: give 3 to graph.window ({window})": 3
        <= min_observations
        <= window,
        f"graph.threshold = {threshold}: give a correlation from 0 up to below 1": 0 <= threshold < 1,
        f"graph.k = {k}: give 1 or more": k >= 1,
        f"graph.cadence = {cadence}: give 1 session or more": cadence >= 1,
        f"graph.max_degree = {max_degree}: give 1 or more, or null": max_degree is None or max_degree >= 1,
    }
    for message, kept in rules.items():
        if not kept:
            raise ValueError(message)
