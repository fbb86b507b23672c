"""An independent implementation of every feature that is made of bars, sectors, index and graph."""

from tests.features.oracles.comparisons import LEAD_LAG, MARKET, NEIGHBOURS, REGIME, SECTOR
from tests.features.oracles.frames import TAIL, Frames
from tests.features.oracles.prices import RANGE, RETURNS
from tests.features.oracles.technical import OSCILLATORS, TREND
from tests.features.oracles.trading import CALENDAR, LIMITS, LIQUIDITY, VALIDITY, VOLUME
from tests.features.oracles.volatility import VOLATILITY

ORACLES = {
    "returns": RETURNS,
    "volatility": VOLATILITY,
    "range": RANGE,
    "trend": TREND,
    "oscillators": OSCILLATORS,
    "volume": VOLUME,
    "liquidity": LIQUIDITY,
    "market": MARKET,
    "sector": SECTOR,
    "lead_lag": LEAD_LAG,
    "neighbours": NEIGHBOURS,
    "limits": LIMITS,
    "validity": VALIDITY,
    "calendar": CALENDAR,
    "regime": REGIME,
}

__all__ = ["ORACLES", "TAIL", "Frames"]
