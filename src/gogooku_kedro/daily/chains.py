"""What the features of each session were made of: a hash a session that covers all sessions before it too."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr

from gogooku_kedro.typing import IntArray

READ_BESIDE = (
    *("ret_1d", "traded", "listed", "thin_date", "index_return"),
    *("adj_close", "adj_volume", "turnover_value"),
)
"""Variables of the panel that universe, graph and raw price channels read, whatever the features need."""

_DIGITS = 32


def input_chains(panel: xr.Dataset, events: xr.Dataset, needs: Collection[str], root: str) -> list[str]:
    """Return a hash of each session's inputs and of those of all sessions before it.

    Two mornings have the same hash of a session where nothing up to it differs, in any bit: no price, factor, filing,
    flow or balance. A code counts from its first row on, with its sector, so that later listings change no hash; a
    sector that is stated later, or a past that is restated, changes every hash from there on.

    Args:
        panel: Market panel.
        events: Events on its grid.
        needs: Variables that the features read; those of neither dataset are passed over.
        root: What else decides the values, such as the hash of the manifest.

    Returns:
        One per session, 32 hexadecimal digits.
    """
    wanted = sorted({*needs, *READ_BESIDE})
    first = first_listed(panel)
    order = np.argsort(first, kind="stable")
    known = np.searchsorted(first[order], np.arange(panel.sizes["date"]), side="right")
    by_code, by_date = [], []
    for name in wanted:
        source = panel if name in panel.data_vars else events
        if name not in source.data_vars:
            continue
        values = source[name]
        if "code" in values.dims:
            by_code.append(_in_order(values.transpose("date", "code").values, order))
        else:
            by_date.append(np.ascontiguousarray(values.values))
    labels = [f"{code} {sector};" for code, sector in _labels(panel, order)]
    chain, chains, before = root, [], 0
    for t, date in enumerate(panel["date"].values.astype("datetime64[D]").astype(str)):
        state = hashlib.sha256(f"{chain};{date};{known[t]};{''.join(labels[before : known[t]])}".encode())
        for stock_values in by_code:
            state.update(stock_values[t, : known[t]].data)
        for market_values in by_date:
            state.update(market_values[t : t + 1].data)
        chain, before = state.hexdigest()[:_DIGITS], known[t]
        chains.append(chain)
    return chains


def first_listed(panel: xr.Dataset) -> IntArray:
    """Return the position of the first session with a row of each code, `(code,)`; the number of sessions for none."""
    listed = panel["listed"].transpose("date", "code").values
    return np.where(listed.any(axis=0), listed.argmax(axis=0), len(listed)).astype(np.int64)


def _in_order(values: Any, order: IntArray) -> Any:
    """Codes in the order of their listing; a view where they are so already."""
    if np.array_equal(order, np.arange(len(order))):
        return np.ascontiguousarray(values)
    return np.take(values, order, axis=1)


def _labels(panel: xr.Dataset, order: IntArray) -> list[tuple[str, str]]:
    codes, sectors = (panel[name].values.astype(str)[order] for name in ("code", "sector"))
    return list(zip(codes.tolist(), sectors.tolist(), strict=True))
