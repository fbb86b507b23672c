"""Latent returns of the sample market: factors, shocks shared with hidden neighbours, the planted drift."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from gogooku_kedro.exchange.tse import SECTORS_33
from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class LatentMarket:
    """The market without frictions, in log returns; arrays are `(date, code)` unless said.

    `characteristic` x, `own_memory` ũ and `unshared_news` (W ũ - kappa ũ over the listed
    neighbours, 0 where none is) are known at the close of the session. `variance` has one session more, `(date +
    1, code)`: row t+1 is known at the close of t. `drift` is that of the *next* session at
    `signal_strength` 1, also known at the close. `overnight` and `intraday` are the returns before
    and after the open, without any drift. `shock` is the Gaussian shock u of the session and `tail`
    its independent scale s: their product is the standardised shock of the return.
    `market_overnight` and `market_intraday` are `(date,)`.

    With rho the correlation of u between stocks of a cluster, sigma_i the long-run volatility:

        ũ_t = psi ũ_{t-1} + sqrt(1 - psi²) u_t,    x_t = phi x_{t-1} + sqrt(1 - phi²) noise
        drift_{t+1} = sigma_i (a x_t + g (W ũ_t - kappa ũ_t))
        e_t = sigma_t s_t u_t,    sigma²_{t+1} = omega + alpha e_t² + beta sigma_t²

    The part of the neighbours' news that a stock's own shocks have already shown (kappa) moves nothing any
    more. Market, sectors and jumps on news are unpredictable, and log returns are symmetric: without
    drift every rank is equally likely.
    """

    characteristic: FloatArray
    own_memory: FloatArray
    unshared_news: FloatArray
    has_peers: BoolArray
    variance: FloatArray
    drift: FloatArray
    overnight: FloatArray
    intraday: FloatArray
    shock: FloatArray
    tail: FloatArray
    market_overnight: FloatArray
    market_intraday: FloatArray


def draw_latent(settings: SampleMarketSettings, universe: Universe, replicate: int = 0) -> LatentMarket:
    """Draw the latent returns of a market, see `LatentMarket`.

    Args:
        settings: The market's settings; `signal_strength` is not used here.
        universe: Its issues.
        replicate: 0 for the market itself, 1, 2, … for its Monte Carlo replicates.
    """
    rng = random_stream(settings.seed, replicate, "latent")
    shape = (len(settings.sessions), settings.n_codes)
    before, after = _cluster_shocks(settings, universe, shape, rng)
    share = settings.overnight_share
    shock = np.sqrt(share) * before + np.sqrt(1 - share) * after
    own_memory = autoregression(shock, settings.peer_persistence)
    characteristic = autoregression(rng.standard_normal(shape), settings.own_persistence)
    unshared, has_peers = _unshared_news(universe, own_memory, settings.shared_news)
    drift = universe.volatility * (settings.own_signal * characteristic + settings.peer_signal * unshared)
    tail = _student_scale(settings.tail_df, shape, rng)
    variance = _garch_variance(tail * shock, universe.volatility**2, settings)
    scale = np.sqrt(variance[:-1]) * tail
    factors = _draw_factors(settings, shape[0], rng)
    exposure_before, exposure_after = (_exposure(part, universe) for part in factors)
    overnight = exposure_before + np.sqrt(share) * scale * before
    overnight += _news_jumps(settings, shape, rng)
    overnight[universe.jump_session, np.arange(shape[1])] += universe.jump
    return LatentMarket(
        characteristic=characteristic,
        own_memory=own_memory,
        unshared_news=unshared,
        has_peers=has_peers,
        variance=variance,
        drift=drift,
        overnight=overnight,
        intraday=exposure_after + np.sqrt(1 - share) * scale * after,
        shock=shock,
        tail=tail,
        market_overnight=factors[0][:, 0],
        market_intraday=factors[1][:, 0],
    )


def _cluster_shocks(
    settings: SampleMarketSettings, universe: Universe, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Unit-variance shocks before and after the open, correlated within a cluster."""
    rho = settings.peer_correlation
    n_clusters = int(universe.cluster.max()) + 1

    def draw() -> FloatArray:
        common = rng.standard_normal((shape[0], n_clusters))[:, universe.cluster]
        own = rng.standard_normal(shape)
        return np.asarray(np.sqrt(1 - rho) * own + np.sqrt(rho) * common)

    return draw(), draw()


def autoregression(innovation: FloatArray, persistence: float | FloatArray) -> FloatArray:
    """Return an AR(1) along the rows with unit variance from the first row on.

    Args:
        innovation: `(row, column)`, standard normal.
        persistence: One for all columns, or `(column,)`.
    """
    path = np.empty_like(innovation)
    by_column = np.broadcast_to(persistence, innovation.shape[1:])
    for memory in np.unique(by_column):
        columns = by_column == memory
        scaled = np.sqrt(1 - memory**2) * innovation[:, columns]
        scaled[0] = innovation[0, columns]
        path[:, columns] = lfilter([1.0], [1.0, -memory], scaled, axis=0)
    return path


def _unshared_news(universe: Universe, memory: FloatArray, shared: float) -> tuple[FloatArray, BoolArray]:
    listed = universe.listed(len(memory)).astype(np.float64)
    total = (universe.peers @ (memory * listed).T).T
    weight = (universe.peers @ listed.T).T
    has_peers = weight > 0
    mean = np.divide(total, weight, out=np.zeros_like(total), where=has_peers)
    return np.where(has_peers, mean - shared * memory, 0.0), has_peers


def _student_scale(df: float, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Scale that makes a normal shock Student-distributed, with mean square 1."""
    scale: FloatArray = np.sqrt((df - 2) / rng.chisquare(df, shape))
    return scale


def _news_jumps(settings: SampleMarketSettings, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    happens = rng.random(shape) < settings.news_odds
    jump: FloatArray = np.where(happens, settings.news_size * rng.standard_normal(shape), 0.0)
    return jump


def _garch_variance(shock: FloatArray, long_run: FloatArray | float, settings: SampleMarketSettings) -> FloatArray:
    """GARCH(1, 1) variance, `(date + 1, column)`, starting from the long-run one."""
    alpha, beta = settings.garch_shock, settings.garch_memory
    variance = np.empty((len(shock) + 1, shock.shape[1]))
    variance[0] = long_run
    omega = (1 - alpha - beta) * variance[0]
    for t, squared in enumerate(shock**2):  # a recursion: each session needs the one before
        variance[t + 1] = omega + (alpha * squared + beta) * variance[t]
    return variance


def _draw_factors(
    settings: SampleMarketSettings, n_sessions: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Returns before and after the open, `(date, 34)`: the market's, then the sectors'."""
    long_run = np.full(1 + len(SECTORS_33), settings.sector_volatility**2)
    long_run[0] = settings.market_volatility**2
    shape = (n_sessions, len(long_run))
    tail = _student_scale(settings.tail_df, shape, rng)
    share = settings.overnight_share
    before = np.sqrt(share) * tail * rng.standard_normal(shape)
    after = np.sqrt(1 - share) * tail * rng.standard_normal(shape)
    volatility = np.sqrt(_garch_variance(before + after, long_run, settings)[:-1])
    return volatility * before, volatility * after


def _exposure(factors: FloatArray, universe: Universe) -> FloatArray:
    column = 1 + np.searchsorted(list(SECTORS_33), universe.sector)
    exposure: FloatArray = factors[:, :1] * universe.beta + factors[:, column]
    return exposure
