"""Settings of the sample market, and its random streams."""

import hashlib
from typing import Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gogooku_kedro.exchange.calendar import sessions

GENERATOR_VERSION = 2
"""Raised whenever the same settings would give other bytes, so that stored tables are made anew."""

HORIZONS = (1, 5, 10, 20)
ENTRIES = ("next_open", "close")

MIN_CODES = 18
MAX_CODES = 8_000
MIN_SESSIONS = 100


class SampleMarketSettings(BaseModel):
    """What determines a sample market, byte for byte.

    Volatilities are per session, rates per year and code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_codes: int = Field(200, description="Issues ever listed")
    start: str = Field("2019-01-04", description="First date")
    end: str = Field("2022-12-30", description="Last date")
    seed: int = Field(1, ge=0, description="Root of every random stream")
    signal_strength: float = Field(1.0, ge=0, description="Factor on the planted drift; 0 plants nothing")
    replicates: int = Field(8, ge=2, description="Independent markets behind each bound")

    own_signal: float = Field(0.048, description="Drift per unit of the characteristic, in volatilities")
    own_persistence: float = Field(0.93, gt=0, lt=1, description="AR(1) of the characteristic")
    peer_signal: float = Field(0.119, description="Drift per unit of the neighbours' unshared news, in volatilities")
    peer_persistence: float = Field(0.85, gt=0, lt=1, description="AR(1) smoothing of past shocks")
    peer_correlation: float = Field(0.45, gt=0, lt=1, description="Correlation of two neighbours' shocks")
    shared_news: float = Field(0.35, ge=0, description="Share of own smoothed shock taken off the neighbours'")
    cluster_size: int = Field(
        7, ge=6, le=8, description="Mean size of a cluster of hidden neighbours: sizes are 6 to 8"
    )

    market_volatility: float = Field(0.0095, gt=0)
    sector_volatility: float = Field(0.004, gt=0)
    median_volatility: float = Field(0.017, gt=0, description="Median idiosyncratic volatility")
    volatility_spread: float = Field(0.28, ge=0, description="Its cross-sectional sd in logarithms")
    beta_spread: float = Field(0.25, ge=0)
    garch_shock: float = Field(0.06, ge=0)
    garch_memory: float = Field(0.92, ge=0)
    tail_df: float = Field(10.0, gt=4, description="Degrees of freedom of the shocks' Student tails")
    news_rate: float = Field(0.4, ge=0, description="Unpredictable overnight jumps")
    news_size: float = Field(0.12, ge=0, description="Standard deviation of such a jump, log return")
    overnight_share: float = Field(0.3, gt=0, lt=1, description="Share of variance and drift before the open")

    volume_signal: float = Field(0.6, description="Log volume per unit of the characteristic")
    volume_noise: float = Field(0.25, ge=0)
    volume_of_moves: float = Field(0.15, ge=0, description="Log volume per absolute standardised shock")
    listing_rate: float = Field(0.02, ge=0)
    delisting_rate: float = Field(0.02, ge=0)
    split_rate: float = Field(0.05, ge=0)
    halt_rate: float = Field(0.15, ge=0)

    @model_validator(mode="after")
    def _check_size_and_dates(self) -> Self:
        if not MIN_CODES <= self.n_codes <= MAX_CODES:
            raise ValueError(
                f"n_codes={self.n_codes}: the peer clusters of 6 to 8 stocks and the code space need "
                f"{MIN_CODES} to {MAX_CODES} codes"
            )
        if pd.Timestamp(self.end) < pd.Timestamp(self.start):
            raise ValueError(f"end={self.end} lies before start={self.start}: swap or correct the dates")
        count = len(self.sessions)
        if count < MIN_SESSIONS:
            raise ValueError(f"start={self.start}, end={self.end} hold {count} sessions: take at least {MIN_SESSIONS}")
        if self.garch_shock + self.garch_memory >= 1:
            raise ValueError(
                f"garch_shock={self.garch_shock} and garch_memory={self.garch_memory} must add up "
                "to less than 1, or the variance has no mean"
            )
        return self

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """Return the market's sessions, `(date,)`."""
        return sessions(self.start, self.end)

    @property
    def years(self) -> float:
        """Return the length of the market in years."""
        return (pd.Timestamp(self.end) - pd.Timestamp(self.start)).days / 365.25

    @property
    def news_odds(self) -> float:
        """Return the probability of an unpredictable jump per session and code."""
        return self.news_rate * self.years / len(self.sessions)

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the settings and of the generator's version: one hash, one market."""
        text = f"{GENERATOR_VERSION}:{self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()


def full_profile(seed: int = 1, signal_strength: float = 1.0) -> SampleMarketSettings:
    """Settings of a market of full size, for load tests.

    Args:
        seed: As in `SampleMarketSettings`.
        signal_strength: As in `SampleMarketSettings`.

    Returns:
        4,000 codes over ten years (about 9.5 million rows), with 2 replicates behind each bound.
    """
    return SampleMarketSettings(
        n_codes=4_000,
        start="2013-01-04",
        end="2022-12-30",
        seed=seed,
        signal_strength=signal_strength,
        replicates=2,
    )


def random_stream(seed: int, replicate: int, purpose: str) -> np.random.Generator:
    """Return a random generator for one purpose, so that one more draw here changes nothing there.

    Args:
        seed: Root seed of the market.
        replicate: 0 for the market itself, 1, 2, … for its Monte Carlo replicates.
        purpose: Name of what is drawn.

    Returns:
        A generator independent of those of any other arguments.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, replicate, *purpose.encode()]))
