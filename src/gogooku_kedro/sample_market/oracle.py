"""What can be known about the sample market: Bayes-optimal scores and the rank IC they reach."""

from collections.abc import Iterator
from dataclasses import dataclass

import bottleneck
import numpy as np
import pandas as pd

from gogooku_kedro.sample_market.frictions import Quotes, quote_prices, traded_sessions
from gogooku_kedro.sample_market.latent import LatentMarket, draw_latent
from gogooku_kedro.sample_market.own_history import peer_news_seen_alone
from gogooku_kedro.sample_market.settings import ENTRIES, HORIZONS, SampleMarketSettings
from gogooku_kedro.sample_market.universe import Universe, draw_universe
from gogooku_kedro.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class OracleScores:
    """Bayes-optimal scores of one entry and horizon, `(date, code)`; NaN where not listed."""

    entry: str
    horizon: int
    own: FloatArray
    graph: FloatArray


def forward_weight(entry: str, horizon: int, persistence: float, overnight_share: float) -> float:
    """Return the sum of the decaying effects c^k of the sessions t+1+k that t's label window collects.

    From close to close the window holds k = 0 … h-1 in full; from the next open it misses the first
    overnight part and holds that of session t+1+h: (1 - share) + sum_{k=1}^{h-1} c^k + share c^h.

    Args:
        entry: "next_open" or "close".
        horizon: Sessions held.
        persistence: c, in (0, 1]; 1 counts sessions.
        overnight_share: Part of a session's effect that falls before the open.

    Returns:
        The weight; `horizon` when nothing decays.

    Raises:
        ValueError: When `entry` is neither of the two.
    """
    if entry not in ENTRIES:
        raise ValueError(f"entry={entry!r}: choose one of {', '.join(ENTRIES)}")
    powers = persistence ** np.arange(horizon + 1)
    if entry == "close":
        return float(powers[:-1].sum())
    return float(powers[:-1].sum() - overnight_share + overnight_share * powers[-1])


def oracle_scores(settings: SampleMarketSettings, universe: Universe, latent: LatentMarket) -> Iterator[OracleScores]:
    """Yield the Bayes-optimal scores for every entry and horizon, with and without the graph of neighbours.

    Both are E[forward drift] / sqrt(v_i + mean v), where v is the forward variance of a code
    without the part that moves all codes alike: with unequal volatilities that ratio, not
    E[return], orders the expected ranks. With the graph the drift is known; without it the
    neighbours' news is replaced by its expectation given the code's own returns (`peer_news_seen_alone`), which
    hint at it twice: by the shock shared in the cluster, and by the drift that the neighbours'
    news has already caused.

    Args:
        settings: The market's settings.
        universe: Its issues.
        latent: Its latent returns.

    Yields:
        Scores known at the close of each session. All NaN when `signal_strength` is 0: no order is
        better than another.
    """
    listed = universe.listed(len(latent.drift))
    known = listed if settings.signal_strength > 0 else np.zeros_like(listed)
    own = settings.own_signal * latent.characteristic
    alone = settings.peer_signal * peer_news_seen_alone(settings, universe, latent)
    with_graph = settings.peer_signal * latent.unshared_news
    for entry in ENTRIES:
        for horizon in HORIZONS:
            scale = universe.volatility / _forward_volatility(settings, universe, latent, entry, horizon)
            x_weight, peer_weight = (
                forward_weight(entry, horizon, persistence, settings.overnight_share)
                for persistence in (settings.own_persistence, settings.peer_persistence)
            )
            yield OracleScores(
                entry,
                horizon,
                own=np.where(known, scale * (x_weight * own + peer_weight * alone), np.nan),
                graph=np.where(known, scale * (x_weight * own + peer_weight * with_graph), np.nan),
            )


def _forward_volatility(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, entry: str, horizon: int
) -> FloatArray:
    """sqrt(v_i + mean v): volatility of a forward return against a typical other code's."""
    share = settings.overnight_share
    long_run = universe.volatility**2
    reversion = forward_weight(entry, horizon, settings.garch_shock + settings.garch_memory, share)
    idiosyncratic = horizon * long_run + reversion * (latent.variance[1:] - long_run)
    news = settings.news_odds * settings.news_size**2
    factors = settings.sector_volatility**2 + ((universe.beta - 1) * settings.market_volatility) ** 2
    variance = idiosyncratic + horizon * (news + factors)
    listed = universe.listed(len(latent.drift))
    typical = np.nanmean(np.where(listed, variance, np.nan), axis=1, keepdims=True)
    volatility: FloatArray = np.sqrt(variance + typical)
    return volatility


def forward_returns(universe: Universe, quotes: Quotes, traded: BoolArray, entry: str, horizon: int) -> FloatArray:
    """Return split-adjusted forward returns, fractions, `(date, code)`.

    Args:
        universe: The issues.
        quotes: Their raw prices.
        traded: Their traded sessions, `(date, code)`.
        entry: "next_open" (open[t+1+h] / open[t+1] - 1) or "close" (close[t+h] / close[t] - 1).
        horizon: Sessions held.

    Returns:
        Returns from the label window of session t; NaN where a code does not trade on entry or
        exit.
    """
    price = quotes.open if entry == "next_open" else quotes.close
    lag = 1 if entry == "next_open" else 0
    adjusted = np.where(traded, price / universe.split_level(len(traded)), np.nan)
    returns = np.full_like(adjusted, np.nan)
    end = len(adjusted) - horizon - lag
    returns[:end] = adjusted[lag + horizon :] / adjusted[lag : lag + end] - 1
    return returns


def daily_rank_ic(score: FloatArray, returns: FloatArray) -> FloatArray:
    """Return the Spearman correlation of score and return in each cross-section, `(date,)`.

    Args:
        score: `(date, code)`, NaN where absent.
        returns: `(date, code)`, NaN where absent.

    Returns:
        Rank ICs; NaN where fewer than 3 codes have both, or all are equal.
    """
    valid = ~np.isnan(score) & ~np.isnan(returns)
    return _correlate_ranks(_centred_ranks(score, valid), _centred_ranks(returns, valid), valid)


def _centred_ranks(values: FloatArray, valid: BoolArray) -> FloatArray:
    ranks = bottleneck.nanrankdata(np.where(valid, values, np.nan), axis=1)
    middle = (valid.sum(axis=1, keepdims=True) + 1) / 2
    centred: FloatArray = np.where(valid, ranks - middle, 0.0)
    return centred


def _correlate_ranks(left: FloatArray, right: FloatArray, valid: BoolArray) -> FloatArray:
    product = np.einsum("tn,tn->t", left, right)
    norm = np.sqrt(np.einsum("tn,tn->t", left, left) * np.einsum("tn,tn->t", right, right))
    ic: FloatArray = np.divide(
        product, norm, out=np.full_like(product, np.nan), where=(norm > 0) & (valid.sum(axis=1) > 2)
    )
    return ic


def rank_ic_bounds(settings: SampleMarketSettings) -> pd.DataFrame:
    """Return the expected rank IC of the Bayes-optimal scores, by Monte Carlo over independent markets.

    Each replicate has all frictions and is simulated twice with the same random numbers, with and
    without the drift; the rank IC without it is subtracted (a control variate of expectation 0).
    What frictions alone make predictable, such as the rest of a move that a daily limit cut off, is
    therefore no part of a bound.

    Args:
        settings: The market's settings.

    Returns:
        One row per entry and horizon (sessions): `own` and `graph`, the mean daily rank IC without
        and with the graph, their standard errors `own_se` and `graph_se`, and `replicates`. All
        bounds are 0 when `signal_strength` is 0.
    """
    keys = pd.DataFrame([(entry, horizon) for entry in ENTRIES for horizon in HORIZONS], columns=["entry", "horizon"])
    draws = np.zeros((settings.replicates, len(keys), 2))
    if settings.signal_strength > 0:
        for replicate in range(settings.replicates):
            draws[replicate] = _replicate_gain(settings, replicate + 1)
    mean = draws.mean(axis=0)
    error = draws.std(axis=0, ddof=1) / np.sqrt(settings.replicates)
    return keys.assign(
        own=mean[:, 0], own_se=error[:, 0], graph=mean[:, 1], graph_se=error[:, 1], replicates=settings.replicates
    )


def _replicate_gain(settings: SampleMarketSettings, replicate: int) -> FloatArray:
    """Mean rank IC with minus without the drift, `(entry and horizon, own or graph)`."""
    universe = draw_universe(settings, replicate)
    latent = draw_latent(settings, universe, replicate)
    traded = traded_sessions(settings, universe, replicate)
    with_drift, without = (
        quote_prices(settings, universe, latent, traded, strength) for strength in (settings.signal_strength, 0.0)
    )
    gains = []
    for scores in oracle_scores(settings, universe, latent):
        window = (traded, scores.entry, scores.horizon)
        returns = forward_returns(universe, with_drift, *window)
        undrifted = forward_returns(universe, without, *window)
        valid = ~np.isnan(returns) & ~np.isnan(scores.own)
        planted = _centred_ranks(returns, valid)
        noise = _centred_ranks(undrifted, valid)
        ranks = [_centred_ranks(score, valid) for score in (scores.own, scores.graph)]
        gains.append(
            [
                np.nanmean(_correlate_ranks(rank, planted, valid) - _correlate_ranks(rank, noise, valid))
                for rank in ranks
            ]
        )
    return np.array(gains)
