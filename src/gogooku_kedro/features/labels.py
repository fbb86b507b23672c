"""Forward returns to predict, and their per-date Gaussian ranks to train on."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import xarray as xr

from gogooku_kedro.features.cross_section import gaussian_rank

Entry = Literal["next_open", "close"]


def entry_lag(entry: Entry) -> int:
    """Return how many sessions after t a position is entered: 1 for `next_open`, 0 for `close`.

    Raises:
        ValueError: Unknown entry.
    """
    if entry not in get_args(Entry):
        raise ValueError(f"labels.entry = {entry!r}: choose one of {get_args(Entry)}")
    return 1 if entry == "next_open" else 0


def make_labels(panel: xr.Dataset, horizons: Sequence[int], entry: Entry) -> xr.Dataset:
    """Compute the forward returns of every stock.

    `next_open`: adj_open[t+1+h] / adj_open[t+1] - 1. `close`: adj_close[t+h] / adj_close[t] - 1.
    Labels look ahead by definition: those of t use rows up to t + h + entry lag, which
    `split_sessions` purges.

    Args:
        panel: Market panel `(date, code)`.
        horizons: Sessions, positive and increasing.
        entry: `next_open` or `close`.

    Returns:
        Dataset with `ret` float32 `(date, code, horizon)`, fractions, and the attribute `entry`.
        NaN, never 0, where the stock does not trade on the entry or the exit session (a stock
        locked at its limit without a trade included), where an invalid jump lies between entry and
        exit, and where the exit lies beyond the data. With `next_open` a jump on the entry session
        counts: it may have come after the open.

    Raises:
        ValueError: Unknown entry, or horizons not positive and increasing.
    """
    lag = entry_lag(entry)
    if not horizons or min(horizons) < 1 or sorted(set(horizons)) != list(horizons):
        raise ValueError(f"labels.horizons = {list(horizons)}: give increasing positive sessions")
    price = panel["adj_open" if entry == "next_open" else "adj_close"].astype(np.float64)
    price = price.where(panel["traded"]).transpose("date", "code")
    jumps = panel["invalid_jump"].transpose("date", "code").cumsum("date")
    ret = xr.concat([_forward_return(price, jumps, lag, h) for h in horizons], "horizon")
    ret = ret.transpose("date", "code", "horizon").astype(np.float32).reset_coords(drop=True)
    ret = ret.assign_coords(horizon=list(horizons))
    return xr.Dataset({"ret": ret}, attrs={"entry": entry})


def gaussian_rank_labels(ret: xr.DataArray, member: xr.DataArray) -> xr.DataArray:
    """Rank the labels of each date and horizon over its member stocks, on the Gaussian scale.

    Args:
        ret: `(date, code, horizon)`, NaN where missing.
        member: bool `(date, code)`.

    Returns:
        float32 `(date, code, horizon)`: Φ⁻¹((rank - 1/2) / n). NaN where the label is missing, for
        non-members, and on cross-sections of fewer than 5 labels.
    """
    by_code_last = ret.where(member).transpose("date", "horizon", "code")
    ranked = by_code_last.copy(data=gaussian_rank(by_code_last.values).astype(np.float32))
    return ranked.transpose("date", "code", "horizon").rename("label")


def _forward_return(price: xr.DataArray, jumps: xr.DataArray, lag: int, horizon: int) -> xr.DataArray:
    entry, leave = price.shift(date=-lag), price.shift(date=-lag - horizon)
    jumps_between = jumps.shift(date=-lag - horizon) - jumps
    return (leave / entry - 1).where(jumps_between == 0)
