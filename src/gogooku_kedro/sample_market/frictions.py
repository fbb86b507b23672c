"""Frictions of the sample market: halts, empty sessions, limits, ticks, splits and volume."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.tse import FINE_TICKS_FOR_MID400, limit_band, round_to_tick
from gogooku_kedro.sample_market.latent import LatentMarket
from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import BoolArray, FloatArray

_LONGEST_HALT = 20
_LOT = 100


@dataclass(frozen=True)
class Quotes:
    """Raw prices in yen, `(date, code)`, also where nothing traded: see `traded_sessions`.

    `lower` and `upper` are the session's limits; `latent_open` and `latent_close` are the prices
    without limits and ticks.
    """

    open: FloatArray
    close: FloatArray
    lower: FloatArray
    upper: FloatArray
    latent_open: FloatArray
    latent_close: FloatArray


def traded_sessions(settings: SampleMarketSettings, universe: Universe, replicate: int = 0) -> BoolArray:
    """Return whether a code traded: listed, not halted, and not one of a thin code's empty sessions.

    Args:
        settings: The market's settings.
        universe: Its issues.
        replicate: 0 for the market itself, 1, 2, … for its Monte Carlo replicates.

    Returns:
        Mask `(date, code)`; a new issue always trades on its first session.
    """
    rng = random_stream(settings.seed, replicate, "trading")
    n_sessions, n = len(settings.sessions), settings.n_codes
    n_halts = rng.poisson(settings.halt_rate * settings.years * n)
    code, start = rng.integers(0, n, n_halts), rng.integers(1, n_sessions, n_halts)
    length = np.minimum(rng.geometric(0.25, n_halts), _LONGEST_HALT)
    change = np.zeros((n_sessions + 1, n), dtype=np.int64)
    np.add.at(change, (start, code), 1)
    np.add.at(change, (np.minimum(start + length, n_sessions), code), -1)
    halted = change.cumsum(axis=0)[:-1] > 0
    empty = rng.random((n_sessions, n)) < universe.no_trade_odds
    traded = universe.listed(n_sessions) & ~halted & ~empty
    traded[universe.first, np.arange(n)] = True
    return traded


def quote_prices(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, traded: BoolArray, signal_strength: float
) -> Quotes:
    """Return opening and closing prices under daily limits and ticks.

    What a limit cuts off is not lost: the latent price goes on, and the next session starts from it.

    Args:
        settings: The market's settings; its `signal_strength` is not used here.
        universe: Its issues.
        latent: Its latent returns.
        traded: Its traded sessions, `(date, code)`.
        signal_strength: Factor on the planted drift.

    Returns:
        Raw prices.
    """
    level = universe.split_level(len(traded))
    log_open, log_close = _log_prices(settings, universe, latent, signal_strength)
    latent_open, latent_close = np.exp(log_open) * level, np.exp(log_close) * level
    fine = _fine_ticks(universe, settings.sessions)
    rounded = round_to_tick(latent_close, fine)
    lower, upper = _limits(universe, rounded, traded, fine)
    return Quotes(
        open=np.clip(round_to_tick(latent_open, fine), lower, upper),
        close=np.clip(rounded, lower, upper),
        lower=lower,
        upper=upper,
        latent_open=latent_open,
        latent_close=latent_close,
    )


def _limits(
    universe: Universe, unlimited_close: FloatArray, traded: BoolArray, fine: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest price of each session; the base price of a new issue is its latent price."""
    factor = universe.adjustment_factor(len(traded))
    lower, upper = np.empty_like(unlimited_close), np.empty_like(unlimited_close)
    last_close = round_to_tick(universe.first_price, fine[0])
    for t in range(len(traded)):  # a recursion: the limits start from the last close, itself limited
        base = round_to_tick(last_close * factor[t], fine[t])
        lower[t], upper[t] = limit_band(base, fine[t])
        close = np.where(traded[t], np.clip(unlimited_close[t], lower[t], upper[t]), base)
        last_close = np.where(t < universe.first, unlimited_close[t], close)
    return lower, upper


def _log_prices(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, signal_strength: float
) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the split-adjusted latent prices at the open and at the close."""
    drift = np.zeros_like(latent.drift)
    drift[1:] = signal_strength * latent.drift[:-1]
    share = settings.overnight_share
    overnight = latent.overnight + share * drift
    intraday = latent.intraday + (1 - share) * drift
    log_close = np.log(universe.first_price) + np.cumsum(overnight + intraday, axis=0)
    return log_close - intraday, log_close


def _fine_ticks(universe: Universe, dates: pd.DatetimeIndex) -> BoolArray:
    topix100 = np.isin(universe.scale, ["TOPIX Core30", "TOPIX Large70"])
    mid400 = universe.scale == "TOPIX Mid400"
    late = np.asarray(dates >= FINE_TICKS_FOR_MID400)[:, None]
    fine: BoolArray = topix100 | (mid400 & late)
    return fine


def high_and_low(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, quotes: Quotes, replicate: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Return the highest and the lowest price of each session, `(date, code)`, within its limits and on its ticks.

    The extremes of a Brownian bridge from the open o to the close c with variance v:
    max = (o + c + sqrt((c - o)² - 2 v ln U)) / 2 with U uniform (Karatzas and Shreve 1991, section
    4.3).

    Args:
        settings: The market's settings.
        universe: Its issues.
        latent: Its latent returns.
        quotes: Its opening and closing prices.
        replicate: 0 for the market itself, 1, 2, … for its Monte Carlo replicates.

    Returns:
        `(high, low)` in raw yen.
    """
    rng = random_stream(settings.seed, replicate, "range")
    variance = (1 - settings.overnight_share) * latent.variance[:-1]
    start, end = np.log(quotes.latent_open), np.log(quotes.latent_close)
    fine = _fine_ticks(universe, settings.sessions)

    def reach() -> FloatArray:
        spread: FloatArray = np.sqrt((end - start) ** 2 + 2 * variance * rng.exponential(size=start.shape))
        return spread

    def quoted(log_price: FloatArray) -> FloatArray:
        return np.clip(round_to_tick(np.exp(log_price), fine), quotes.lower, quotes.upper)

    high, low = quoted((start + end + reach()) / 2), quoted((start + end - reach()) / 2)
    return (
        np.maximum(high, np.maximum(quotes.open, quotes.close)),
        np.minimum(low, np.minimum(quotes.open, quotes.close)),
    )


def traded_volume(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, replicate: int = 0
) -> FloatArray:
    """Draw the raw volume in shares, `(date, code)`, whole lots of 100, at least one.

    Log volume = the code's level + `volume_signal` x the characteristic + `volume_of_moves` x
    |shock| + noise: abnormal volume is where the planted own signal can be observed. A 1:2 split
    doubles the shares traded.

    Args:
        settings: The market's settings.
        universe: Its issues.
        latent: Its latent returns.
        replicate: 0 for the market itself, 1, 2, … for its Monte Carlo replicates.

    Returns:
        Shares.
    """
    rng = random_stream(settings.seed, replicate, "volume")
    log_volume = (
        universe.log_shares
        - np.log(universe.split_level(len(latent.shock)))
        + settings.volume_signal * latent.characteristic
        + settings.volume_of_moves * np.abs(latent.tail * latent.shock)
        + settings.volume_noise * rng.standard_normal(latent.shock.shape)
    )
    return np.maximum(np.round(np.exp(log_volume) / _LOT), 1) * _LOT
