"""What a position returns from its entry to its exit, and why there may be no such return."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Self, get_args

import numpy as np
import xarray as xr

from gogooku_kedro.typing import Array

Entry = Literal["next_open", "close"]
LimitEntry = Literal["missing", "traded"]
Delisting = Literal["missing", "last_price"]


class Status(IntEnum):
    """Why a label is there or missing; of several reasons the first one in this order is told."""

    present = 0
    closed_at_last_price = 1
    exit_beyond_data = 2
    not_listed_at_entry = 3
    entry_not_traded = 4
    entry_locked_at_limit = 5
    delisted_before_exit = 6
    exit_not_traded = 7
    invalid_jump = 8


def entry_lag(entry: Entry) -> int:
    """Return how many sessions after t a position is entered: 1 for `next_open`, 0 for `close`.

    Raises:
        ValueError: Unknown entry.
    """
    _check_word("entry", entry, Entry)
    return 1 if entry == "next_open" else 0


def forward_returns(
    panel: xr.Dataset,
    horizons: Sequence[int],
    entry: Entry,
    *,
    limit_entry: LimitEntry = "missing",
    delisting: Delisting = "missing",
) -> xr.Dataset:
    """Compute the forward return of every stock, and say where and why there is none.

    `next_open`: adj_open[t+1+h] / adj_open[t+1] - 1. `close`: adj_close[t+h] / adj_close[t] - 1.

    Args:
        panel: Market panel `(date, code)`.
        horizons: Sessions, positive and increasing.
        entry: `next_open` or `close`.
        limit_entry: A session with a limit flag on which high and low are equal is locked at its
            limit: whoever wants in is not filled; at the `close` neither is who closes at its limit.
            `missing`: no label for an entry there; `traded`: the printed price counts. An exit there is
            priced either way.
        delisting: A stock is delisted when its rows end (`listed`) and the panel goes on; a row on
            any later session, with or without a trade, makes it a halt. `missing`: no label across
            the end; `last_price`: the position is closed at the last traded adjusted close, where
            that comes after the entry. Whether rows come back is asked of the whole panel, beyond
            the exit too.

    Returns:
        Dataset with `ret` float64 `(date, code, horizon)`, fractions, and `status` int8 of the same
        shape, a `Status` with the CF attributes `flag_values` and `flag_meanings`. `ret` is NaN,
        never 0, unless the status is `present` or `closed_at_last_price`: the stock has no price
        on the entry or exit session (a halt; a limit without a trade), an invalid jump lies between
        (on the entry session too with `next_open`: it may have come after the open), or the exit
        lies beyond the data.

    Raises:
        ValueError: An unknown word, or horizons not positive and increasing.
    """
    lag = entry_lag(entry)
    _check_word("limit_entry", limit_entry, LimitEntry)
    _check_word("delisting", delisting, Delisting)
    if not horizons or min(horizons) < 1 or sorted(set(horizons)) != list(horizons):
        raise ValueError(f"labels.horizons = {list(horizons)}: give increasing positive sessions")
    market = _Market.read(panel, entry, limit_entry)
    shape = (*market.price.shape, len(horizons))
    ret = np.full(shape, np.nan)
    status = np.full(shape, Status.exit_beyond_data, np.int8)
    for k, horizon in enumerate(horizons):
        known = max(len(ret) - lag - horizon, 0)
        ret[:known, :, k], status[:known, :, k] = _one_horizon(market, lag, horizon, known, delisting)
    dims = ("date", "code", "horizon")
    flags = {"flag_values": [int(s) for s in Status], "flag_meanings": " ".join(s.name for s in Status)}
    coords = {"date": panel["date"].values, "code": panel["code"].values, "horizon": list(horizons)}
    return xr.Dataset({"ret": (dims, ret), "status": (dims, status, flags)}, coords)


@dataclass(frozen=True)
class _Market:
    """What pricing a position takes.

    Attributes:
        price: Entry and exit price `(date, code)`, NaN where the stock did not trade.
        locked: bool `(date, code)`, sessions on which nobody gets in.
        jumps: Invalid jumps up to and including the session `(date, code)`.
        first_row: Session of the first row `(code,)`.
        last_row: Session of the last row `(code,)`.
        last_trade: Session of the last trade `(code,)`.
        last_price: Adjusted close of the last trade `(code,)`.
    """

    price: Array
    locked: Array
    jumps: Array
    first_row: Array
    last_row: Array
    last_trade: Array
    last_price: Array

    @classmethod
    def read(cls, panel: xr.Dataset, entry: Entry, limit_entry: LimitEntry) -> Self:
        def field(name: str) -> Array:
            return np.asarray(panel[name].transpose("date", "code").values)

        traded, listed = field("traded"), field("listed")
        price = field("exact_open" if entry == "next_open" else "exact_close")
        at_limit = field("limit_up") | field("limit_down")
        locked = at_limit & (field("high") == field("low"))
        if entry == "close":  # who closes at its limit is not filled there, as in `backtest.fills`
            close = field("close")
            locked |= field("limit_up") & (close == field("high")) | field("limit_down") & (close == field("low"))
        locked &= limit_entry == "missing"
        last_trade = _last(traded)
        return cls(
            price=np.where(traded, price, np.nan),
            locked=locked,
            jumps=field("invalid_jump").cumsum(axis=0, dtype=np.int32),
            first_row=listed.argmax(axis=0),
            last_row=_last(listed),
            last_trade=last_trade,
            last_price=field("exact_close")[last_trade, np.arange(traded.shape[1])],
        )


def _one_horizon(market: _Market, lag: int, horizon: int, known: int, delisting: Delisting) -> tuple[Array, Array]:
    """Return and status of the first `known` sessions, those whose exit lies in the data."""
    entered = slice(lag, lag + known)
    enter, leave = market.price[entered], market.price[lag + horizon :][:known]
    session = np.arange(lag, lag + known)[:, None]
    jumped = market.jumps[lag + horizon :][:known] != market.jumps[:known]
    ended = session + horizon > market.last_row
    reasons = {
        Status.not_listed_at_entry: (session < market.first_row) | (session > market.last_row),
        Status.entry_not_traded: np.isnan(enter),
        Status.entry_locked_at_limit: market.locked[entered],
        Status.delisted_before_exit: ended,
        Status.exit_not_traded: np.isnan(leave),
        Status.invalid_jump: jumped,
    }
    status = np.select(list(reasons.values()), [np.int8(reason) for reason in reasons], np.int8(Status.present))
    if delisting == "last_price":
        # at the close of the last trade nothing can be entered and left any more
        later = market.last_trade >= session if lag else market.last_trade > session
        closable = (status == Status.delisted_before_exit) & later
        status[closable] = np.where(jumped[closable], Status.invalid_jump, Status.closed_at_last_price)
        leave = np.where(status == Status.closed_at_last_price, market.last_price, leave)
    return np.where(status <= Status.closed_at_last_price, leave / enter - 1, np.nan), status


def _last(flag: Array) -> Array:
    position: Array = len(flag) - 1 - flag[::-1].argmax(axis=0)
    return position


def _check_word(name: str, word: str, words: Any) -> None:
    if word not in get_args(words):
        raise ValueError(f"labels.{name} = {word!r}: choose one of {get_args(words)}")
