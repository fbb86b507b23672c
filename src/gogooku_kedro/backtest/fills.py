"""What an order meets at the entry price: a fill, a limit, a halt; and what a position is worth there."""

from __future__ import annotations

from dataclasses import dataclass

import bottleneck as bn
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.labels.returns import Entry, entry_lag
from gogooku_kedro.typing import BoolArray, FloatArray, TextArray

GONE_AFTER = 5
"""Sessions in a row without a bar after which a held issue counts as no longer listed."""
VALUE_WINDOW = 20
"""Sessions of the median traded value."""


@dataclass(frozen=True)
class Sessions:
    """What consecutive decision sessions meet at their entry, arrays (session, code).

    Attributes:
        growth: Return of a position from this entry price to the next session's; 0 while it cannot
            be marked, all of it once it can.
        buyable: An order to buy is filled.
        sellable: An order to sell is filled.
        gone: No bar for `GONE_AFTER` sessions: a position is closed at the last price.
        median_value: Median traded value of the `VALUE_WINDOW` sessions up to the decision, in the
            currency of the prices; NaN with fewer.
    """

    growth: FloatArray
    buyable: BoolArray
    sellable: BoolArray
    gone: BoolArray
    median_value: FloatArray


@dataclass(frozen=True)
class TradableMarket:
    """Prices and fills of a panel at one entry, on all its sessions; see `Sessions`.

    Attributes:
        lag: Sessions from the decision to its execution.
        mark: What a position is valued at (date, code): the entry price, else the last close before.
        buyable: As in `Sessions`, on the execution session (date, code).
        sellable: The same of an order to sell.
        gone: No bar for `GONE_AFTER` sessions.
        median_value: Median traded value up to and with the session.
        sectors: Sector of each stock (code,).
    """

    lag: int
    mark: FloatArray
    buyable: BoolArray
    sellable: BoolArray
    gone: BoolArray
    median_value: FloatArray
    sectors: TextArray

    @classmethod
    def read(cls, panel: xr.Dataset, entry: Entry) -> TradableMarket:
        """Read fills and marks of a panel (date, code) for entries at the next open or at the close.

        A stock is filled when it trades and has the entry price, save that nobody buys where that
        price is the high of a session at its upper limit, and nobody sells where it is the low of one at
        its lower limit. At the open of an invalid jump nothing is filled and the position keeps its
        value, as the adjusted closes do across it.

        Raises:
            ValueError: Unknown entry.
        """
        lag = entry_lag(entry)
        name = "open" if lag else "close"

        def field(variable: str) -> NDArray[np.generic]:
            return np.asarray(panel[variable].transpose("date", "code").values)

        traded, raw = field("traded").astype(bool), field(name)
        price = np.where(traded, field(f"adj_{name}").astype(np.float64), np.nan)
        last_close = bn.push(field("adj_close").astype(np.float64), axis=0)
        if lag:
            price[field("invalid_jump").astype(bool)] = np.nan
            last_close = _before(last_close)
        priced = np.isfinite(price)
        value = np.where(field("listed"), np.nan_to_num(field("turnover_value").astype(np.float64)), np.nan)
        return cls(
            lag=lag,
            mark=np.where(priced, price, last_close),
            buyable=priced & ~(field("limit_up").astype(bool) & (raw == field("high"))),
            sellable=priced & ~(field("limit_down").astype(bool) & (raw == field("low"))),
            gone=_absent_for(field("listed").astype(bool), GONE_AFTER),
            median_value=_rolling_median(value),
            sectors=panel["sector"].values.astype(str),
        )

    def sessions(self, first: int, last: int) -> Sessions:
        """Return what the decisions of the sessions `first` to `last` (positions, inclusive) meet.

        Decisions whose position cannot be valued before the data end are left out at the end.
        """
        end = max(min(last + 1, len(self.mark) - self.lag - 1), first)
        now = slice(first + self.lag, end + self.lag)
        after = slice(now.start + 1, now.stop + 1)
        return Sessions(
            growth=np.nan_to_num(self.mark[after] / self.mark[now] - 1.0, nan=0.0),
            buyable=self.buyable[now],
            sellable=self.sellable[now],
            gone=self.gone[now],
            median_value=self.median_value[first:end],
        )


def loanable_stocks(panel: xr.Dataset, events: xr.Dataset, assumed: bool) -> tuple[BoolArray, str]:
    """Return which stocks can be sold short, bool (date, code), and where that is known from.

    Args:
        panel: Market panel.
        events: Events on the panel's grid; `margin_loanable` is 1 for loanable issues. An issue without a
            known balance then counts as not loanable.
        assumed: What holds for every stock where `events` does not have that variable.

    Returns:
        The stocks, and "margin balances" or "assumed".
    """
    if "margin_loanable" in events:
        known = events["margin_loanable"].transpose("date", "code").values
        return known == 1, "margin balances"
    return np.full((panel.sizes["date"], panel.sizes["code"]), assumed), "assumed"


def _before(values: FloatArray) -> FloatArray:
    return np.vstack([np.full((1, values.shape[1]), np.nan), values[:-1]])


def _absent_for(listed: BoolArray, sessions: int) -> BoolArray:
    if len(listed) < sessions:
        return np.zeros_like(listed)
    absent = bn.move_sum((~listed).astype(np.float64), sessions, axis=0)
    gone: BoolArray = absent == sessions
    return gone


def _rolling_median(value: FloatArray) -> FloatArray:
    if len(value) < VALUE_WINDOW:
        return np.full_like(value, np.nan)
    median: FloatArray = bn.move_median(value, VALUE_WINDOW, axis=0)
    return median
