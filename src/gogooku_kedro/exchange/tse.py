"""Facts of the Tokyo Stock Exchange: sectors, segments, daily price limits and tick sizes."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from gogooku_kedro.typing import BoolArray, FloatArray


class Sector(NamedTuple):
    """One of the 33 industries, with its class among the 17 of TOPIX."""

    name: str
    s17: str


SECTORS_33: dict[str, Sector] = {
    "0050": Sector("Fishery, Agriculture and Forestry", "1"),
    "1050": Sector("Mining", "2"),
    "2050": Sector("Construction", "3"),
    "3050": Sector("Foods", "1"),
    "3100": Sector("Textiles and Apparels", "4"),
    "3150": Sector("Pulp and Paper", "4"),
    "3200": Sector("Chemicals", "4"),
    "3250": Sector("Pharmaceutical", "5"),
    "3300": Sector("Oil and Coal Products", "2"),
    "3350": Sector("Rubber Products", "6"),
    "3400": Sector("Glass and Ceramics Products", "3"),
    "3450": Sector("Iron and Steel", "7"),
    "3500": Sector("Nonferrous Metals", "7"),
    "3550": Sector("Metal Products", "3"),
    "3600": Sector("Machinery", "8"),
    "3650": Sector("Electric Appliances", "9"),
    "3700": Sector("Transportation Equipment", "6"),
    "3750": Sector("Precision Instruments", "9"),
    "3800": Sector("Other Products", "10"),
    "4050": Sector("Electric Power and Gas", "11"),
    "5050": Sector("Land Transportation", "12"),
    "5100": Sector("Marine Transportation", "12"),
    "5150": Sector("Air Transportation", "12"),
    "5200": Sector("Warehousing and Harbor Transportation", "12"),
    "5250": Sector("Information and Communication", "10"),
    "6050": Sector("Wholesale Trade", "13"),
    "6100": Sector("Retail Trade", "14"),
    "7050": Sector("Banks", "15"),
    "7100": Sector("Securities and Commodities Futures", "16"),
    "7150": Sector("Insurance", "16"),
    "7200": Sector("Other Financing Business", "16"),
    "8050": Sector("Real Estate", "17"),
    "9050": Sector("Services", "10"),
}
"""Sector code (S33) to name and S17; the class 9999 (funds and the like) is not an industry."""

SEGMENTS: dict[str, str] = {
    "0101": "1st Section",
    "0102": "2nd Section",
    "0104": "Mothers",
    "0105": "TOKYO PRO MARKET",
    "0106": "JASDAQ Standard",
    "0107": "JASDAQ Growth",
    "0109": "Others",
    "0111": "Prime",
    "0112": "Standard",
    "0113": "Growth",
}
"""Market code (Mkt) to name."""

SEGMENT_REFORM = pd.Timestamp("2022-04-04")
"""First session of the segments Prime, Standard and Growth."""

SEGMENT_SUCCESSOR: dict[str, str] = {"0101": "0111", "0102": "0112", "0104": "0113", "0106": "0112", "0107": "0113"}
"""Where most issues of a segment went on `SEGMENT_REFORM`; part of the 1st chose Standard."""

FINE_TICKS_FOR_MID400 = pd.Timestamp("2023-06-05")
"""First session on which TOPIX Mid400 trades in the fine ticks; TOPIX100 does since 2014."""

_LIMIT_BELOW = np.array([100, 200, 500, 700, 1_000], dtype=np.float64)
_LIMIT_WIDTH = np.array([30, 50, 80, 100, 150], dtype=np.float64)
_DECADE_BELOW = np.array([1.5, 2, 3, 5, 7, 10])
_DECADE_WIDTH = np.array([0.3, 0.4, 0.5, 0.7, 1, 1.5])
_DECADES = 10.0 ** np.arange(3, 8)[:, None]
_BASE_BELOW = np.concatenate([_LIMIT_BELOW, (_DECADES * _DECADE_BELOW).ravel()])
_WIDTH = np.concatenate([_LIMIT_WIDTH, (_DECADES * _DECADE_WIDTH).ravel()])

HIGHEST_BASE = _BASE_BELOW[-1] - 1
"""Largest base price in yen that the table of limits has a width for."""

_TICK_UP_TO = np.array([1e3, 3e3, 5e3, 1e4, 3e4, 5e4, 1e5, 3e5, 5e5, 1e6])
_TICK_FINE = np.array([0.1, 0.5, 1, 1, 5, 10, 10, 50, 100, 100, 1_000])
_TICK_NORMAL = np.array([1.0, 1, 5, 10, 10, 50, 100, 100, 500, 1_000, 1_000])


def limit_width(base_price: FloatArray) -> FloatArray:
    """Return the yen by which a price may leave its base price within one session.

    Args:
        base_price: Previous close (or last special quote), after an ex-date's adjustment, in yen;
            any shape.

    Returns:
        Width in yen, same shape; NaN where the base price is NaN.

    Raises:
        ValueError: When a base price is not positive or reaches 100 million yen.
    """
    base = np.asarray(base_price, dtype=np.float64)
    if np.any(base <= 0) or np.any(base >= _BASE_BELOW[-1]):
        raise ValueError(f"base_price must lie in (0, {_BASE_BELOW[-1]:,.0f}) yen, got {base.min()} to {base.max()}")
    row = np.minimum(np.searchsorted(_BASE_BELOW, base, side="right"), len(_WIDTH) - 1)
    return np.where(np.isnan(base), np.nan, _WIDTH[row])


def tick_size(price: FloatArray, fine: BoolArray | bool) -> FloatArray:
    """Return the smallest step of a quoted price.

    Args:
        price: Price in yen, any shape.
        fine: Whether the issue trades in the fine ticks (TOPIX500 since 2023-06-05), broadcast to
            `price`.

    Returns:
        Tick in yen, same shape.
    """
    row = np.searchsorted(_TICK_UP_TO, price, side="left")
    return np.where(fine, _TICK_FINE[row], _TICK_NORMAL[row])


def round_to_tick(price: FloatArray, fine: BoolArray | bool) -> FloatArray:
    """Return the nearest price on the tick grid, at least one tick.

    Args:
        price: Price in yen, any shape.
        fine: As in `tick_size`.

    Returns:
        Price in yen, same shape.
    """
    tick = tick_size(price, fine)
    return np.round(np.maximum(np.round(price / tick), 1) * tick, 1)


def limit_band(base_price: FloatArray, fine: BoolArray | bool) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest price that a session admits, on the tick grid.

    Args:
        base_price: As in `limit_width`.
        fine: As in `tick_size`.

    Returns:
        `(lower, upper)` in yen; the lower one is at least one tick.

    Raises:
        ValueError: As in `limit_width`.
    """
    width = limit_width(base_price)
    low, high = np.maximum(base_price - width, 0.1), base_price + width
    tick_low, tick_high = tick_size(low, fine), tick_size(high, fine)
    lower = np.maximum(np.ceil(np.round(low / tick_low, 6)), 1) * tick_low
    upper = np.floor(np.round(high / tick_high, 6)) * tick_high
    return np.round(lower, 1), np.round(upper, 1)
