"""What a stock's own history reveals of its hidden neighbours: a Kalman filter of the spill-over."""

import numpy as np

from gogooku_kedro.sample_market.latent import LatentMarket
from gogooku_kedro.sample_market.settings import SampleMarketSettings
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import FloatArray


def peer_news_seen_alone(settings: SampleMarketSettings, universe: Universe, latent: LatentMarket) -> FloatArray:
    """Return the expectation of the neighbours' unshared news W ũ - kappa ũ, given the code's own returns.

    A code's idiosyncratic return in units of its current shock scale, less the known effect of its
    characteristic, is

        y_t = u_t + H_t theta_{t-1},    theta = (ũ, W ũ),    H_t = lambda_t g (-kappa, 1)
        theta_t = psi theta_{t-1} + sqrt(1 - psi²) (u_t, v_t),    v = W u,    cov(u, v) = rho

    with lambda_t = long-run volatility / (sigma_t s_t). Volatility, tail and factor returns count
    as known, so that no observer of one code alone can do better. Kalman filter with correlated
    noises (Anderson and Moore 1979, section 5.5).

    Args:
        settings: The market's settings.
        universe: Its issues.
        latent: Its latent returns.

    Returns:
        Conditional mean, `(date, code)`, in units of a shock; 0 where a code has no listed neighbour.
    """
    gain = settings.signal_strength * settings.peer_signal
    loading = gain * universe.volatility / (np.sqrt(latent.variance[:-1]) * latent.tail)
    loading[1:] *= latent.has_peers[:-1]
    observed = latent.shock.copy()
    observed[1:] += loading[1:] * latent.unshared_news[:-1]
    mean = _filter_memories(settings, _shock_variance_of_peers(settings, universe), observed, loading)
    return np.where(latent.has_peers, mean, 0.0)


def _shock_variance_of_peers(settings: SampleMarketSettings, universe: Universe) -> FloatArray:
    """Variance of W u: rho + (1 - rho) sum of squared weights."""
    rho = settings.peer_correlation
    squared_weights = np.asarray(universe.peers.multiply(universe.peers).sum(axis=1)).ravel()
    return np.asarray(rho + (1 - rho) * squared_weights)


def _filter_memories(
    settings: SampleMarketSettings, peer_variance: FloatArray, observed: FloatArray, loading: FloatArray
) -> FloatArray:
    """Filtered mean of W ũ - kappa ũ, `(date, code)`; `own` and `peer` make up theta."""
    psi, rho, kappa = settings.peer_persistence, settings.peer_correlation, settings.shared_news
    fresh = np.sqrt(1 - psi**2)
    unseen = peer_variance - rho**2  # variance of v that u does not explain
    mean = np.empty_like(observed)
    own, peer = observed[0], rho * observed[0]
    p_oo, p_op, p_pp = np.zeros_like(own), np.zeros_like(own), unseen
    mean[0] = peer - kappa * own
    for t in range(1, len(observed)):  # a recursion: the posterior of a session is the prior of the next
        h = loading[t]
        load_own, load_peer = h * (p_op - kappa * p_oo), h * (p_pp - kappa * p_op)  # P H'
        spread = 1 + h * (load_peer - kappa * load_own)
        surprise = observed[t] - h * (peer - kappa * own)
        own, peer = own + load_own * surprise / spread, peer + load_peer * surprise / spread
        p_oo = p_oo - load_own**2 / spread
        p_op = p_op - load_own * load_peer / spread
        p_pp = p_pp - load_peer**2 / spread
        shock = observed[t] - h * (peer - kappa * own)
        own, peer = psi * own + fresh * shock, psi * peer + fresh * rho * shock
        a_oo, a_op = psi + fresh * h * kappa, -fresh * h  # psi I - fresh (1, rho)' H
        a_po, a_pp = fresh * rho * h * kappa, psi - fresh * rho * h
        p_oo, p_op, p_pp = (
            a_oo**2 * p_oo + 2 * a_oo * a_op * p_op + a_op**2 * p_pp,
            a_oo * a_po * p_oo + (a_oo * a_pp + a_op * a_po) * p_op + a_op * a_pp * p_pp,
            a_po**2 * p_oo + 2 * a_po * a_pp * p_op + a_pp**2 * p_pp + fresh**2 * unseen,
        )
        mean[t] = peer - kappa * own
    return mean
