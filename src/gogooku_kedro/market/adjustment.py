"""Adjustment of prices for splits, forward-anchored so that no later event restates the past."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gogooku_kedro.typing import BoolArray, FloatArray

# New shares per old share of splits, bonus issues and consolidations in use.
_WHOLE = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 100, 200, 300, 400, 500, 1000)
_PARTS = (1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 4 / 3, 1.4, 1.5, 1.6, 5 / 3, 1.75, 2.5)
_SIMPLE = np.array(sorted((*_WHOLE, *_PARTS)))
SIMPLE_RATIOS: FloatArray = np.concatenate([1 / _SIMPLE[::-1], _SIMPLE])

# Splits inside max_move that a bar shows: smaller ones (4:3, 5:4) look like a day's move too often.
_OPENED = np.array([1 / 1.5, 3 / 5, 1.5, 5 / 3])

_EVENT_STEP = np.log(1.1)  # a step of adj_close/close that is no simple ratio counts from here on
_SMALLEST_EVENT = np.log(1.045)  # below: rounding, or a cash dividend, which is not adjusted for
_SNAP = 0.02  # of the log ratio: 2.03 is 2, 1.052 is not 1.05
_CONTRADICTION = np.log(1.5)
_MOST_DECIMALS = 8


@dataclass(frozen=True)
class DerivedFactors:
    """Event factors read from adj_close, and which rows were doubtful, all in row order.

    Attributes:
        factor: Factor on its ex-date, 0.5 for a 1:2 split, 1.0 elsewhere.
        unsnapped: An event whose ratio is no simple one and is kept as it stands.
        contradicted: A step of adj_close/close that the raw price denies; the factor stays 1.0.
        ignored: A step too small for an event (rounding, cash dividend); the factor stays 1.0.
    """

    factor: FloatArray
    unsnapped: BoolArray
    contradicted: BoolArray
    ignored: BoolArray


def factors_from_adj_close(code_id: NDArray[np.intp], close: FloatArray, adj_close: FloatArray) -> DerivedFactors:
    """Derive event factors from the steps of adj_close / close.

    Back-adjusted prices are adj_close[t] = close[t] · Π_{s>t} f[s], hence
    f[t] = (adj_close/close)[t-1] / (adj_close/close)[t], with t-1 the issue's previous priced row.
    Only these two rows (and the number of decimals seen so far) enter, so the factor at t is
    causal and a later restatement of the whole past leaves it alone: the step is snapped to the
    nearest simple ratio when it is within 2% of its logarithm plus the rounding of adj_close.

    Args:
        code_id: Issue number of each row; rows sorted by issue, then date.
        close: Raw close, NaN where not priced.
        adj_close: The source's adjusted close, NaN where not priced.
    """
    factor = np.ones(len(close))
    unsnapped, contradicted, ignored = (np.zeros(len(close), dtype=bool) for _ in range(3))
    rows = np.flatnonzero((close > 0) & (adj_close > 0))
    now, before = rows[1:], rows[:-1]
    same = code_id[now] == code_id[before]
    now, before = now[same], before[same]
    if len(now) == 0:
        return DerivedFactors(factor, unsnapped, contradicted, ignored)

    rounding = _relative_rounding(code_id, adj_close)
    raw_move = np.log(close[now] / close[before])
    adj_move = np.log(adj_close[now] / adj_close[before])
    step = raw_move - adj_move  # log of the factor
    noise = rounding[now] + rounding[before]

    simple = np.log(SIMPLE_RATIOS)
    right = np.searchsorted(simple, step).clip(1, len(simple) - 1)
    nearest = np.where(step - simple[right - 1] < simple[right] - step, right - 1, right)
    snaps = np.abs(step - simple[nearest]) <= np.minimum(_SNAP * np.abs(step), 0.015) + noise
    large = np.abs(step) > noise + np.where(snaps, _SMALLEST_EVENT, _EVENT_STEP)
    denied = (np.abs(adj_move) > _CONTRADICTION) & (np.abs(adj_move) > np.abs(raw_move))
    event = large & ~denied

    factor[now] = np.where(event, np.where(snaps, SIMPLE_RATIOS[nearest], np.exp(step)), 1.0)
    unsnapped[now] = event & ~snaps
    contradicted[now] = large & denied
    ignored[now] = ~large & (np.abs(step) > noise + 1e-4)
    return DerivedFactors(factor, unsnapped, contradicted, ignored)


def _relative_rounding(code_id: NDArray[np.intp], adj_close: FloatArray) -> FloatArray:
    """Half a unit of the last decimal that the issue has shown so far, relative to the price."""
    decimals = np.full(len(adj_close), _MOST_DECIMALS, dtype=np.int64)
    for places in range(_MOST_DECIMALS - 1, -1, -1):
        tolerance = 1e-12 * np.abs(adj_close) + 1e-12
        fits = np.abs(np.round(adj_close, places) - adj_close) <= tolerance
        decimals[fits | np.isnan(adj_close)] = places
    decimals[np.isnan(adj_close)] = 0
    offset = code_id * (_MOST_DECIMALS + 1)  # rising with the issue: the maximum starts anew
    most = np.maximum.accumulate(decimals + offset) - offset
    with np.errstate(divide="ignore", invalid="ignore"):
        rounding = 0.5 * 10.0 ** -most.astype(np.float64) / adj_close
    return np.where(most >= _MOST_DECIMALS, 0.0, rounding)


def previous_priced(price: FloatArray) -> NDArray[np.intp]:
    """Return, for each (date, code), the row number of the last priced session before, or -1.

    Args:
        price: (date, code), NaN where not traded.
    """
    session = np.arange(len(price), dtype=np.intp)[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(price), -1, session), axis=0)
    before = np.full(price.shape, -1, dtype=np.intp)
    before[1:] = latest[:-1]
    return before


def chain_link(
    adj_close: FloatArray,
    max_move: float,
    *,
    adj_open: FloatArray | None = None,
    invalid: BoolArray | None = None,
    split_like_jumps: bool = True,
) -> tuple[FloatArray, BoolArray]:
    """Find invalid jumps and the factor that removes them from the price level.

    A move of more than `max_move` from the last traded adjusted close is invalid, whatever the
    gap: events are in `adj_close` already, and an exchange with daily limits cannot make it. So is a
    move that looks like a split of which no event is known. The level is linked across it as if the
    return were 0. The link at t depends on rows up to t only.

    Args:
        adj_close: (date, code), adjusted for events, NaN where not traded.
        max_move: Largest valid move, a fraction.
        adj_open: (date, code), opens of the same scale, for `opened_like_split`, or None.
        invalid: (date, code), further moves that are none of the market's, or None.
        split_like_jumps: Whether a move near a split ratio (`split_like`, `opened_like_split`) is invalid.

    Returns:
        The link (date, code) to multiply adjusted prices by, and the invalid jumps (date, code).
    """
    before = previous_priced(adj_close)
    last = np.take_along_axis(adj_close, before.clip(0), axis=0)
    last[before < 0] = np.nan
    ratio = adj_close / last
    jump = beyond(ratio, max_move)
    if split_like_jumps:
        jump |= split_like(ratio)
        jump |= False if adj_open is None else opened_like_split(adj_open / last, ratio)
    if invalid is not None:
        jump |= invalid
    with np.errstate(invalid="ignore"):
        step: FloatArray = np.where(jump, last / adj_close, 1.0)
    link: FloatArray = np.cumprod(step, axis=0, dtype=np.float64)
    return link, jump


def beyond(ratio: FloatArray, max_move: float) -> BoolArray:
    """Return where a price ratio moves by more than `max_move`; exactly `max_move` is valid.

    Args:
        ratio: Price over the previous price; NaN gives False.
        max_move: Largest valid move, a fraction.
    """
    return np.abs(ratio - 1) > max_move + 1e-9  # 87/58 is 1.5, whatever the unit does to its bits


def split_like(ratio: FloatArray, tolerance: float = 0.03) -> BoolArray:
    """Return where a price ratio is within `tolerance` of 2, 3, 4, 5, 10, ... or an inverse.

    Args:
        ratio: Price over the previous price; NaN gives False.
        tolerance: Relative distance, a fraction.
    """
    whole = np.array(_WHOLE, dtype=np.float64)
    upward = np.where(ratio >= 1, ratio, 1 / ratio)
    right = np.searchsorted(whole, np.nan_to_num(upward, nan=1.0)).clip(1, len(whole) - 1)
    near = np.minimum(np.abs(upward / whole[right] - 1), np.abs(upward / whole[right - 1] - 1))
    like: BoolArray = near <= tolerance
    return like


def opened_like_split(open_ratio: FloatArray, close_ratio: FloatArray, tolerance: float = 0.03) -> BoolArray:
    """Return where open and close are both within `tolerance` of a split of 3:2 or 5:3, or an inverse.

    A split is in the first price of the day and stays in the last, which few moves of a market do: of
    1.5 million stock-days in New York 9 look like it without being one, of 1.3 million in Tokyo none,
    and all 3 splits of 3:2 there do.

    Args:
        open_ratio: Open over the previous close; where it is NaN the close decides alone.
        close_ratio: Close over the previous close; NaN gives False.
        tolerance: Relative distance, a fraction.
    """
    opened = np.where(np.isnan(open_ratio), close_ratio, open_ratio)
    near = [(np.abs(opened / of - 1) <= tolerance) & (np.abs(close_ratio / of - 1) <= tolerance) for of in _OPENED]
    like: BoolArray = np.logical_or.reduce(near)
    return like
