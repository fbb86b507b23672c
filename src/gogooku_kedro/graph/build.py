"""Graph of similar stocks per as-of date, from the correlation of their residual returns."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.groups import UNKNOWN, group_ids
from gogooku_kedro.graph.cache import SnapshotCache, snapshot_key
from gogooku_kedro.graph.snapshot import Snapshot, Window, find_edges
from gogooku_kedro.params.graph import GraphParams
from gogooku_kedro.typing import Array, IntArray

COLUMNS = (
    "asof",
    "source",
    "target",
    "correlation",
    "abs_correlation",
    "same_sector",
    "is_self",
    "is_correlation",
    "is_sector_nearest",
    "is_lead_lag",
    "lead_correlation",
)
EDGE_ATTRIBUTES = COLUMNS[3:]

LOGGER = logging.getLogger(__name__)


def build_edges(
    panel: xr.Dataset, params: GraphParams, *, cache: SnapshotCache | None = None, start_asof: Any = None
) -> pd.DataFrame:
    """Build the edges of every as-of date: each stock receives from its k most correlated neighbours.

    The graph of as-of date a uses the returns of the `window` sessions up to and including a,
    aligned by date. As-of dates are the sessions window, window + cadence, … counted from the
    panel's first, so that later data move neither dates nor edges.

    Args:
        panel: Market panel with `ret_1d`, `traded`, the coordinate `sector` and, where the residual is
            `market` or `sector`, `index_return`.
        params: The section `graph`; its keys are explained in `docs/gat_configuration.md`.
        cache: Where graphs are looked up before they are built, and stored after; None for neither.
            A stored graph is the built one in every bit. `params.cache_dir` is not read here.
        start_asof: Skip as-of dates that no session from this date on would use; None keeps all.

    Returns:
        One row per edge, message flowing source -> target, sorted by asof, target, source (in the
        panel's code order), without duplicates: asof (datetime64), source, target (str), and float32
        attributes, never NaN: correlation (of the kind of `params.correlation`; 0 where a pair has too
        few observations), abs_correlation, same_sector, is_self, the types is_correlation,
        is_sector_nearest and is_lead_lag (0 or 1, an edge may have several), and lead_correlation
        (Spearman, source one session ahead; 0 where not tested). Every stock that traded inside the
        window has a self loop with correlation 1 and no other type; a stock without partners has that
        one only.

    Raises:
        ValueError: The panel is shorter than the window, or the data for the residual are missing.
            The message names the YAML path, the value and the fix.
    """
    dates = pd.DatetimeIndex(panel["date"].values)
    sessions = _asof_sessions(dates, params.window, params.cadence, start_asof)
    frames, built = [], 0
    for session, window in zip(sessions, _windows(panel, sessions, params), strict=True):
        key = snapshot_key(window, params) if cache else ""
        snapshot = cache.load(key) if cache else None
        if snapshot is None:
            snapshot, built = find_edges(window, params), built + 1
            if cache:
                cache.save(key, snapshot)
        frames.append(_edge_frame(dates[session], window, snapshot))
    if cache:
        LOGGER.info("%d graphs from the cache, %d built", len(frames) - built, built)
        cache.prune()
    return pd.concat(frames, ignore_index=True)


def asof_index(asof_dates: Array | pd.DatetimeIndex, dates: Array | pd.DatetimeIndex) -> IntArray:
    """Return, for each of `dates`, the position of the last as-of date not after it; -1 if none.

    Args:
        asof_dates: As-of dates in increasing order, without duplicates.
        dates: Sessions in any order.
    """
    known = np.asarray(asof_dates, dtype="datetime64[ns]")
    when = np.asarray(dates, dtype="datetime64[ns]")
    position: IntArray = np.searchsorted(known, when, side="right") - 1
    return position


def _asof_sessions(dates: pd.DatetimeIndex, window: int, cadence: int, start_asof: Any) -> IntArray:
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


def _windows(panel: xr.Dataset, sessions: IntArray, params: GraphParams) -> Iterator[Window]:
    """Rows up to each session, of the stocks that traded in them: a later listing changes nothing."""
    returns = panel["ret_1d"].transpose("date", "code").values
    traded = panel["traded"].transpose("date", "code").values
    index_return = _index_return(panel, params)
    sectors = _sectors(panel, params)
    codes = panel["code"].values.astype(str)
    for session in sessions:
        rows = slice(session - params.window + 1, session + 1)
        active = np.flatnonzero(traded[rows].any(axis=0))
        yield Window(
            codes=codes[active],
            sector_ids=group_ids(sectors[active]),
            returns=np.ascontiguousarray(returns[rows][:, active], dtype=np.float64),
            index_return=index_return[rows],
        )


def _edge_frame(asof: pd.Timestamp, window: Window, snapshot: Snapshot) -> pd.DataFrame:
    target, source, ids = snapshot.target, snapshot.source, window.sector_ids
    is_self = target == source
    codes = pd.array(window.codes, dtype="str")
    measures = {
        "correlation": snapshot.correlation,
        "abs_correlation": np.abs(snapshot.correlation),
        "same_sector": is_self | ((ids[target] == ids[source]) & (ids[target] >= 0)),
        "is_self": is_self,
        "is_correlation": snapshot.is_correlation,
        "is_sector_nearest": snapshot.is_sector_nearest,
        "is_lead_lag": snapshot.is_lead_lag,
        "lead_correlation": snapshot.lead_correlation,
    }
    ends = {"asof": asof, "source": codes[source], "target": codes[target]}
    return pd.DataFrame(ends | {name: values.astype(np.float32) for name, values in measures.items()})


def _index_return(panel: xr.Dataset, params: GraphParams) -> Array:
    if params.residual in ("none", "pca"):
        return np.full(panel.sizes["date"], np.nan)
    index = panel["index_return"].values.astype(np.float64) if "index_return" in panel else None
    if index is None or not np.isfinite(index).any():
        raise ValueError(
            f"graph.residual = '{params.residual}': the panel has no index_return; provide market_index, "
            "or set it to 'none' or 'pca'"
        )
    return index


def _sectors(panel: xr.Dataset, params: GraphParams) -> Array:
    """Names of the codes' sectors; settings that need them need at least one."""
    sectors = panel["sector"].values.astype(str)
    if (sectors == UNKNOWN).all():
        if params.residual == "sector":
            raise ValueError(
                f"graph.residual = 'sector': every sector is \"{UNKNOWN}\"; set it to 'market' or provide sectors"
            )
        if params.sector_nearest:
            raise ValueError(
                f'graph.sector_nearest = {params.sector_nearest}: every sector is "{UNKNOWN}"; set it to 0 '
                "or provide sectors"
            )
    return sectors
