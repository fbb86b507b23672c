"""The market as a panel: daily bars on a (date, code) grid with causal adjustment."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.exchange import tse
from gogooku_kedro.market.adjustment import chain_link, previous_priced
from gogooku_kedro.market.bar_columns import DAILY_BARS, EXTRA, FLAGS, LABELS, PRICES, UNKNOWN
from gogooku_kedro.market.cleaning import standardise_bars
from gogooku_kedro.market.parsing import parse_dates, parse_numbers
from gogooku_kedro.market.price_files import long_table
from gogooku_kedro.market.quality import summary, thin_sessions
from gogooku_kedro.market.sessions import days_to_next_session
from gogooku_kedro.typing import Array, BoolArray, FloatArray, TextArray

logger = logging.getLogger(__name__)

PriceLimits = Literal["tse", "none"]

_SPLITS_WITHIN_HALF = (1.2, 1.25, 1.3, 1.4, 1.5, 5 / 3)  # new shares per old one
_NEAR_SPLIT = 0.03  # of the log, as `split_like`
_ROUNDING = 1e-6


class _Grid:
    """Puts columns of long bars on the (date, code) grid."""

    def __init__(self, bars: pd.DataFrame) -> None:
        self._bars = bars
        self.session, dates = pd.factorize(bars["date"], sort=True)
        self.issue, codes = pd.factorize(bars["code"], sort=True)
        self.dates = pd.DatetimeIndex(dates).as_unit("ns")
        self.codes = np.asarray(codes, dtype=str)
        self.shape = (len(self.dates), len(self.codes))

    def dense(self, name: str, absent: float = np.nan) -> FloatArray:
        grid = np.full(self.shape, absent)
        grid[self.session, self.issue] = self._bars[name].to_numpy()
        return grid

    def flag(self, name: str) -> BoolArray:
        grid = np.zeros(self.shape, dtype=bool)
        grid[self.session, self.issue] = self._bars[name].to_numpy()
        return grid

    def listed(self) -> BoolArray:
        grid = np.zeros(self.shape, dtype=bool)
        grid[self.session, self.issue] = True
        return grid

    def first_known(self, name: str) -> TextArray:
        known = self._bars.loc[self._bars[name] != UNKNOWN, ["date", "code", name]]
        first = known.sort_values("date", kind="stable").drop_duplicates("code")
        label = first.set_index("code")[name].reindex(self.codes)
        return np.asarray(label.fillna(UNKNOWN), dtype=str)


def build_panel(
    daily_bars: pd.DataFrame,
    market_index: pd.DataFrame | None = None,
    *,
    max_move: float = 0.5,
    price_limits: PriceLimits = "none",
    calendar: str | None = None,
    split_like_jumps: bool = True,
    extra_columns: Mapping[str, int] | None = None,
) -> xr.Dataset:
    """Put daily bars on a (date, code) grid, with causally adjusted prices and returns.

    Adjustment is forward-anchored: adj_close[t] = close[t] / Π_{s<=t} adj_factor[s] (volume is
    multiplied), so an issue's first price is its unit and a later split leaves the past as it was.
    A move of more than `max_move` from the last traded adjusted close is an invalid jump, and so is one
    near a split ratio without an event; with `price_limits` a fall below the lower limit near a split
    within half (3:2, 5:4) is one as well. ret_1d is missing there and the adjusted level is chain-linked
    across it, as if the return were 0. Values at t depend on rows up to t only, bit for bit.

    Args:
        daily_bars: Columns of `columns.DAILY_BARS`, unique on date and code.
        market_index: Date and C (close of the index); None or empty: the index return is the
            equal-weighted mean of ret_1d.
        max_move: Largest valid one-day move, a fraction. An open, high or low further than this
            from its own close is missing; `attrs["far_from_close"]` counts them.
        price_limits: `tse` adds the band of the Tokyo table (`tse.limit_width`), and flags the sessions
            whose high or low is base price ± width, where the source has no such flag.
        calendar: exchange_calendars name; adds the days to the next session, which a file of bars
            does not know.
        split_like_jumps: Whether a move near 2:1, 3:1, ... or an inverse is an invalid jump, and one near
            3:2 or 5:3 which the open shows already.
        extra_columns: Columns `extra_<name>` to take along, with the sessions after that of their row at whose close
            they are known: the value of row t - lag stands at t.

    Returns:
        (date, code) float32, NaN = did not trade or unknown: open, high, low, close (raw yen),
        volume (shares), turnover_value (yen), adj_open, adj_high, adj_low, adj_close, adj_volume,
        ret_1d (fraction; both sessions consecutive and traded). exact_open and exact_close are adj_open
        and adj_close in float64: what returns of labels are made of, so that equal returns are equal.
        With `price_limits` also limit_base (yen; the last close before the session, on its side of a
        split), limit_width (yen, of the session) and next_limit_width (yen, after the close).
        (date, code) bool: traded (has a close), listed (has a row), limit_up, limit_down,
        invalid_jump. (date): index_return float32, thin_date bool (fewer than 50% of the median
        number of traded issues of the previous 20 sessions), and with a calendar days_to_next_session
        float32 (calendar days). Coordinates sector, market (code):
        the first known label of the issue, "n/a" when none.

    Raises:
        ValueError: A column is missing, a stock-day occurs twice, or `max_move` is not positive.
    """
    _check(daily_bars, max_move)
    grid = _Grid(daily_bars)
    prices = {name: grid.dense(name) for name in PRICES}
    close = prices["close"]
    far = _drop_far_from_close(prices, max_move)

    event = np.cumprod(grid.dense("adj_factor", absent=1.0), axis=0)
    limits = _limits(close, event) if price_limits == "tse" else {}
    impossible = _leaves_the_band(close, limits) if limits and split_like_jumps else None
    link, jump = chain_link(
        close / event, max_move, adj_open=prices["open"] / event, invalid=impossible, split_like_jumps=split_like_jumps
    )
    fields: dict[str, Any] = dict(prices)
    fields |= {f"adj_{name}": price / event * link for name, price in prices.items()}
    fields["volume"] = grid.dense("volume")
    fields["adj_volume"] = fields["volume"] * event
    fields["turnover_value"] = grid.dense("turnover_value")
    fields["ret_1d"] = ret_1d = _one_day_return(close / event, jump)
    fields |= limits
    exact = {f"exact_{name}": fields[f"adj_{name}"] for name in ("open", "close")}
    fields = {name: values.astype(np.float32) for name, values in fields.items()} | exact
    traded = ~np.isnan(close)
    fields |= {"traded": traded, "listed": grid.listed(), "invalid_jump": jump}
    fields |= {name: grid.flag(name) for name in FLAGS}
    fields |= {f"{EXTRA}{name}": _known_later(grid, name, lag) for name, lag in (extra_columns or {}).items()}
    if limits:
        fields["limit_up"] |= _at_limit(prices["high"], limits, side=1)
        fields["limit_down"] |= _at_limit(prices["low"], limits, side=-1)

    index_return, index_source = _index_return(market_index, grid.dates, ret_1d)
    panel = xr.Dataset(
        {name: (("date", "code"), values) for name, values in fields.items()},
        coords={"date": grid.dates, "code": grid.codes},
        attrs={"max_move": max_move, "index_source": index_source, "far_from_close": far},
    )
    panel["index_return"] = ("date", index_return.astype(np.float32))
    panel["thin_date"] = ("date", thin_sessions(traded.sum(axis=1)))
    if calendar is not None:
        panel["days_to_next_session"] = ("date", days_to_next_session(calendar, grid.dates))
    return panel.assign_coords({name: ("code", grid.first_known(name)) for name in LABELS})


def market_from_bars(
    bars: pd.DataFrame,
    *,
    columns: Mapping[str, str | None] | None = None,
    timezone: str = "Asia/Tokyo",
    calendar: str | None = None,
    max_move: float = 0.5,
    price_limits: PriceLimits = "none",
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return the panel and the quality report of a table of bars in memory.

    Args:
        bars: One row per date and code, in columns or in the index, or the wide table of yfinance.
        columns: Their name to ours, or to None for a column to leave out.
        timezone: As for `standardise_bars`.
        calendar: As for `standardise_bars`.
        max_move: As for `build_panel`.
        price_limits: As for `build_panel`.

    Raises:
        ValueError: A column or value cannot be read; names it.
    """
    table = long_table(bars, columns)
    daily_bars, report = standardise_bars(table, timezone=timezone, calendar=calendar, max_move=max_move)
    for line in summary(report):
        logger.info("%s", line)
    return build_panel(daily_bars, max_move=max_move, price_limits=price_limits, calendar=calendar), report


def _check(daily_bars: pd.DataFrame, max_move: float) -> None:
    absent = [name for name in DAILY_BARS if name not in daily_bars]
    if absent:
        raise ValueError(f"daily_bars lacks the columns {absent}; build it with market.standardise_bars.")
    if daily_bars.empty:
        raise ValueError("daily_bars is empty; a panel needs at least one stock-day.")
    twice = daily_bars.duplicated(["date", "code"])
    if twice.any():
        shown = daily_bars.loc[twice, ["date", "code"]].head(3).to_dict("records")
        raise ValueError(
            f"daily_bars has {int(twice.sum())} repeated stock-days, for example {shown}; "
            "build it with market.standardise_bars."
        )
    if not max_move > 0:
        raise ValueError(f"max_move is {max_move}; write a fraction above 0, such as 0.5.")


def _known_later(grid: _Grid, name: str, lag: int) -> NDArray[np.float32]:
    """A column as it is known after the close of every session, `lag` sessions after that of its row."""
    stated = grid.dense(f"{EXTRA}{name}").astype(np.float32)
    known = np.full_like(stated, np.nan)
    known[lag:] = stated[: len(stated) - lag]
    return known


def _drop_far_from_close(prices: dict[str, FloatArray], max_move: float) -> int:
    count = 0
    for name in ("open", "high", "low"):
        far = np.abs(prices[name] / prices["close"] - 1) > max_move
        prices[name][far] = np.nan
        count += int(far.sum())
    return count


def _limits(close: FloatArray, event: NDArray[np.floating[Any]]) -> dict[str, FloatArray]:
    """Base price and limit widths; a base is the last close before, times the splits since."""
    before = previous_priced(close)
    base = np.take_along_axis(close / event, before.clip(0), axis=0) * event
    base[before < 0] = np.nan
    known = np.where(np.isnan(close), np.nan, base)
    return {
        "limit_base": known,
        "limit_width": tse.limit_width(np.clip(known, None, tse.HIGHEST_BASE)),
        "next_limit_width": tse.limit_width(np.clip(close, None, tse.HIGHEST_BASE)),
    }


def _at_limit(price: FloatArray, limits: dict[str, FloatArray], *, side: int) -> BoolArray:
    """Sessions whose high (side 1) or low (side -1) is the limit price, which is rounded to a tick."""
    limit = limits["limit_base"] + side * limits["limit_width"]
    beyond_limit = side * (price - limit)
    return (beyond_limit >= -_ROUNDING * limit) & (beyond_limit < tse.tick_size(price, fine=False))


def _leaves_the_band(close: FloatArray, limits: dict[str, FloatArray]) -> BoolArray:
    """Falls below the lower limit that a split without an event would make."""
    base, width = limits["limit_base"], limits["limit_width"]
    outside = close < base - width - tse.tick_size(close, fine=False)
    outside[1:] &= ~np.isnan(close[:-1])  # the base after sessions without a trade is not the last close
    distance = [np.abs(np.log(close / base * ratio)) for ratio in _SPLITS_WITHIN_HALF]
    near: BoolArray = outside & (np.min(distance, axis=0) <= _NEAR_SPLIT)
    return near


def _one_day_return(adj_close: FloatArray, jump: BoolArray) -> FloatArray:
    ret = np.full(adj_close.shape, np.nan)
    ret[1:] = adj_close[1:] / adj_close[:-1] - 1
    ret[jump] = np.nan
    return ret


def _index_return(
    market_index: pd.DataFrame | None, dates: pd.DatetimeIndex, ret_1d: FloatArray
) -> tuple[FloatArray, str]:
    if market_index is None or market_index.empty:
        return mean_over_codes(ret_1d), "equal-weighted mean of ret_1d"
    source = str(market_index.attrs.get("source", "market_index"))
    absent = [name for name in ("Date", "C") if name not in market_index]
    if absent:
        raise ValueError(
            f"{source}: no column {absent}; found {list(market_index.columns)}. "
            "Use the J-Quants V2 names Date and C (close of the index)."
        )
    table = market_index.reset_index(drop=True)
    days = pd.DatetimeIndex(parse_dates(table["Date"], source=source))
    close = pd.Series(parse_numbers(table["C"], source=source).to_numpy(), index=days)
    close = close[~close.index.duplicated(keep="last")].where(lambda price: price > 0)
    level = close.reindex(dates).to_numpy()
    ret = np.full(len(dates), np.nan)
    ret[1:] = level[1:] / level[:-1] - 1
    return ret, source


def mean_over_codes(values: Array) -> FloatArray:
    """Return the mean of the present values of each date, `(date,)`; NaN where there is none.

    `np.bincount` adds one value after the other in code order, so that a code that is absent, or
    listed only later, changes no bit.

    Args:
        values: `(date, code)`, NaN where absent.
    """
    session, issue = np.nonzero(np.isfinite(values))
    total = np.bincount(session, weights=values[session, issue], minlength=len(values))
    count = np.bincount(session, minlength=len(values))
    mean: FloatArray = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
