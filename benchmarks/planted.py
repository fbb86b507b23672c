"""A market whose signal runs along a known graph, so that the best rank IC is known with and without it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.stats import norm, rankdata

from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.training import MarketTensors, market_tensors

Array = npt.NDArray[np.float64]
Graph = Literal["true", "identity", "permuted", "mean"]

SHOCK, MARKET, SECTOR, BETA_DEVIATION = 0.02, 0.01, 0.005, 0.4
"""Standard deviations of a stock's own shock, of the market's and a sector's return, and of the betas."""
SECTORS, PERSISTENCE = 10, 0.95
CORRELATION, THRESHOLD, WINDOW = 0.35, 0.2, 250
"""Correlation of true neighbours; an edge is a sample correlation over the window beyond the threshold."""
ATTRIBUTES = ("correlation", "abs_correlation", "same_sector", "is_self")


@dataclass(frozen=True)
class PlantedSettings:
    """A market of `stocks` over `sessions`; `peers` is the number of stocks each one follows.

    `own` is the own signal's standard deviation a day, `gain` the share by which knowing the graph
    raises the best IC, `cadence` the sessions between two graphs.
    """

    stocks: int = 600
    sessions: int = 1500
    peers: int = 10
    own: float = 0.001
    gain: float = 0.5
    signal_strength: float = 1.0
    noise_features: int = 4
    cadence: int = 50
    seed: int = 0

    @property
    def spill_over(self) -> float:
        r"""Return of a stock per unit of its neighbours' mean shock, :math:`V_{nb} = g^2\sigma^2/k`."""
        return self.own * float(np.sqrt(((1 + self.gain) ** 2 - 1) * self.peers)) / SHOCK


@dataclass(frozen=True)
class PlantedMarket:
    r"""What :func:`simulate` draws.

    Attributes:
        settings: The settings.
        x: `(T, N, F)` features: the characteristic, the stock's shock of the day, and noise.
        levels: `(T, N, 2)` random walks that foretell nothing.
        own: `(T, N)` part of the coming return that the stock's own characteristic foretells.
        shock: `(T, N)` the stock's own shock of the day, which its followers will feel the day after.
        ret: `(T, N)` return of the coming session.
        peers: `(N, k)` the stocks that each stock follows.
        sector: `(N,)`.
    """

    settings: PlantedSettings
    x: Array
    levels: Array
    own: Array
    shock: Array
    ret: Array
    peers: npt.NDArray[np.int64]
    sector: npt.NDArray[np.int64]

    @property
    def dates(self) -> pd.DatetimeIndex:
        """Sessions `(T,)`."""
        return pd.bdate_range("2015-01-05", periods=self.settings.sessions)

    @property
    def codes(self) -> pd.Index:
        """Stocks `(N,)`."""
        return pd.Index([f"{i:04d}0" for i in range(self.settings.stocks)], dtype=object)

    @property
    def features(self) -> list[str]:
        """Names of the features `(F,)`."""
        return ["characteristic", "shock", *(f"noise_{i}" for i in range(self.settings.noise_features))]

    def is_peer(self) -> npt.NDArray[np.bool_]:
        """`(N, N)`: the stock of the row follows the stock of the column."""
        matrix = np.zeros((self.settings.stocks,) * 2, dtype=bool)
        np.put_along_axis(matrix, self.peers, True, axis=1)
        return matrix


def simulate(settings: PlantedSettings) -> PlantedMarket:
    r"""Draw a market with Gaussian noise of constant variance.

    .. math::
        r_{i,t+1} = b_i' f_{t+1} + a\,x_{it} + g \frac{1}{k}\sum_{j \in P_i} u_{jt} + u_{i,t+1}

    with the characteristic :math:`x` an AR(1) of unit variance, shocks :math:`u` that are independent
    between stocks and days, a market and a sector factor :math:`f`, and :math:`k` true neighbours
    :math:`P_i`. `signal_strength` multiplies :math:`a` and :math:`g`.
    """
    s, rng = settings, np.random.default_rng(settings.seed)
    shape = (s.sessions, s.stocks)
    shock = SHOCK * rng.standard_normal((s.sessions + 1, s.stocks))
    slow = _autoregression(rng.standard_normal((s.sessions, s.stocks, 1 + s.noise_features)))
    peers = _others(rng, np.eye(s.stocks, dtype=bool), s.peers)
    sector = rng.integers(SECTORS, size=s.stocks)
    beta = 1 + BETA_DEVIATION * rng.standard_normal(s.stocks)
    factors = beta * MARKET * rng.standard_normal((s.sessions, 1))
    factors = factors + (SECTOR * rng.standard_normal((s.sessions, SECTORS)))[:, sector]
    own = s.signal_strength * s.own * slow[..., 0]
    market = PlantedMarket(
        s,
        np.concatenate([slow[..., :1], shock[:-1, :, None] / SHOCK, slow[..., 1:]], axis=-1),
        rng.standard_normal((*shape, 2)).cumsum(axis=0),
        own,
        shock[:-1],
        np.zeros(shape),
        peers,
        sector,
    )
    market.ret[:] = factors + own + spill_over(market) + shock[1:]
    return market


def spill_over(market: PlantedMarket) -> Array:
    """Part of the coming return that the true neighbours' shocks foretell, `(T, N)`."""
    weight = np.zeros((market.settings.stocks,) * 2)
    np.put_along_axis(weight, market.peers, 1 / market.settings.peers, axis=1)
    return market.settings.signal_strength * market.settings.spill_over * (market.shock @ weight.T)


def graph_edges(market: PlantedMarket, graph: Graph = "true") -> pd.DataFrame:
    """Edges as a rolling correlation would give them, anew every `cadence` sessions.

    A stock has edges from its true neighbours, as many distractors and itself. Correlations are those of 250 sessions:
    about 0.35 for true neighbours, about 0 for any other stock; distractors are such stocks beyond the
    threshold of 0.2 by chance.

    Args:
        market: The market.
        graph: `true` as above; `identity` leaves the self loops and one edge to a distractor, because
            without any edge the training would rightly refuse to go on; `permuted` renames the sources
            by one random permutation and keeps the attributes; `mean` replaces the sources by as many
            stocks drawn at random for every graph, a sample of the market's mean.

    Returns:
        Columns `asof, source, target`, the attributes, and `true_peer`.
    """
    rng = np.random.default_rng((market.settings.seed, 1))
    n, k = market.settings.stocks, market.settings.peers
    itself = np.eye(n, dtype=bool)
    renamed = rng.permutation(n)
    tables = []
    for asof in market.dates[:: market.settings.cadence]:
        source = np.concatenate([market.peers, _others(rng, itself | market.is_peer(), k)], axis=1)
        correlation = np.concatenate([_sample_correlation(rng, rho, (n, k)) for rho in (CORRELATION, 0.0)], axis=1)
        if graph == "permuted":
            source = renamed[source]
        elif graph == "mean":
            source = _others(rng, itself, 2 * k)
        table = _edge_table(market, source, correlation)
        if graph == "identity":
            table = table[(table["is_self"] == 1) | (table.index == 2 * k - 1)]
        tables.append(table.assign(asof=asof))
    return pd.concat(tables, ignore_index=True)


def tensors(market: PlantedMarket, edges: pd.DataFrame) -> MarketTensors:
    """The market as the training reads it; the label of one session stands for every horizon."""
    coords = {"date": market.dates, "code": market.codes}
    target = np.repeat(market.ret[..., None], 4, axis=-1).astype(np.float32)
    features = xr.Dataset(
        {
            "x": (("date", "code", "feature"), market.x.astype(np.float32)),
            "levels": (("date", "code", "channel"), market.levels.astype(np.float32)),
            "in_universe": (("date", "code"), np.ones(market.ret.shape, dtype=bool)),
        },
        coords | {"feature": market.features},
    )
    labels = xr.Dataset({"target": (("date", "code", "horizon"), target)}, coords)
    return market_tensors(features, labels, edges, ATTRIBUTES)


def attainable(market: PlantedMarket, edges: pd.DataFrame) -> Array:
    """Best score `(T, N)` of one who sees the edges' correlations but not which of them are true."""
    n, s = market.settings.stocks, market.settings
    stock = pd.Series(np.arange(n), index=market.codes)
    between = edges[edges["is_self"] == 0]
    believed = _is_true(between["correlation"].to_numpy())
    source, target = (stock[between[end]].to_numpy() for end in ("source", "target"))
    graph = between["asof"].factorize()[0]
    score = market.own.copy()
    for g, first in enumerate(range(0, s.sessions, s.cadence)):
        weight = np.zeros((n, n))
        here = graph == g
        weight[target[here], source[here]] = believed[here] / s.peers
        days = slice(first, first + s.cadence)
        score[days] += s.signal_strength * s.spill_over * (market.shock[days] @ weight.T)
    return score


def closed_form(settings: PlantedSettings) -> dict[str, float]:
    """Expected rank IC of the best score without (`own`) and with the true graph (`graph`)."""
    own, noise = settings.own**2, SHOCK**2 + (BETA_DEVIATION * MARKET) ** 2 + SECTOR**2
    graph = own * (1 + settings.gain) ** 2
    correlation = {"own": np.sqrt(own / (graph + noise)), "graph": np.sqrt(graph / (graph + noise))}
    return {name: float(6 / np.pi * np.arcsin(ic / 2)) for name, ic in correlation.items()}


def oracle(market: PlantedMarket, edges: pd.DataFrame, days: list[int]) -> dict[str, Array]:
    """Daily rank IC of the best scores on `days`: `own`, true `graph`, `attainable` by the edges."""
    scores = {
        "own": market.own,
        "graph": market.own + spill_over(market),
        "attainable": attainable(market, edges),
    }
    return {name: rank_ic(score[days], market.ret[days]) for name, score in scores.items()}


def area_under_curve(score: Array, positive: npt.NDArray[np.bool_]) -> float:
    """Chance that a random positive scores above a random negative, ties counting half."""
    n = int(positive.sum())
    rank_sum = rankdata(score)[positive].sum()
    return float((rank_sum - n * (n + 1) / 2) / (n * (len(score) - n)))


def _autoregression(innovation: Array) -> Array:
    series = innovation.copy()
    for t in range(1, len(series)):
        series[t] = PERSISTENCE * series[t - 1] + np.sqrt(1 - PERSISTENCE**2) * innovation[t]
    return series


def _others(rng: np.random.Generator, excluded: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int64]:
    lot = rng.random(excluded.shape)
    lot[excluded] = 2.0
    return np.argpartition(lot, count, axis=1)[:, :count]


def _sample_correlation(rng: np.random.Generator, rho: float, shape: tuple[int, int]) -> Array:
    # A normal beyond the threshold, by the inverse of its distribution function.
    deviation = _deviation(rho)
    below = norm.cdf(THRESHOLD, rho, deviation)
    drawn: Array = norm.ppf(below + (1 - below) * rng.random(shape), rho, deviation)
    return drawn


def _is_true(correlation: Array) -> Array:
    true, chance = (
        norm.pdf(correlation, rho, _deviation(rho)) / norm.sf(THRESHOLD, rho, _deviation(rho))
        for rho in (CORRELATION, 0.0)
    )
    believed: Array = true / (true + chance)
    return believed


def _deviation(rho: float) -> float:
    return float((1 - rho**2) / np.sqrt(WINDOW))


def _edge_table(market: PlantedMarket, source: npt.NDArray[np.int64], correlation: Array) -> pd.DataFrame:
    n, codes = market.settings.stocks, market.codes.to_numpy()
    itself = np.arange(n)
    target = np.repeat(itself, source.shape[1])
    kept = source.ravel() != target
    source = np.concatenate([source.ravel()[kept], itself])
    target = np.concatenate([target[kept], itself])
    correlation = np.concatenate([correlation.ravel()[kept], np.ones(n)])
    return pd.DataFrame(
        {
            "source": codes[source],
            "target": codes[target],
            "correlation": correlation,
            "abs_correlation": np.abs(correlation),
            "same_sector": market.sector[source] == market.sector[target],
            "is_self": source == target,
            "true_peer": market.is_peer()[target, source],
        }
    ).astype({"same_sector": float, "is_self": float})
