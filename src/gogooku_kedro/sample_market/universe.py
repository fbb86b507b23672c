"""The issues of the sample market: what stays fixed about each code, and the hidden graph of neighbours."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from gogooku_kedro.exchange.tse import SECTORS_33, SEGMENT_SUCCESSOR
from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray, TextArray

_SPLIT_RATIOS = np.array([2, 3, 4, 5, 10])
_SPLIT_ODDS = np.array([0.55, 0.2, 0.06, 0.12, 0.07])
_CHEAP = 250.0
_TAKEOVER, _FAILURE = np.log(1.25), np.log(0.7)
_ANNOUNCED_BEFORE = 25


@dataclass(frozen=True)
class Universe:
    """Fixed facts of each code, arrays `(code,)` in the ascending order of `codes`.

    `first` and `last` are the positions of the first and last listed session. `split_factor` is the
    adjustment factor of the one split (0.5 for 1:2, 10 for a 10:1 consolidation, 1 for none) on
    session `split_session`. `jump` is the log return on news of a coming delisting, on session
    `jump_session`; 0 for none. `peers` is the hidden graph, `(target, source)`, rows sum to 1.
    """

    codes: TextArray
    sector: TextArray
    scale: TextArray
    segment: TextArray
    segment_after_reform: TextArray
    beta: FloatArray
    volatility: FloatArray
    first_price: FloatArray
    log_shares: FloatArray
    no_trade_odds: FloatArray
    first: IntArray
    last: IntArray
    split_session: IntArray
    split_factor: FloatArray
    jump_session: IntArray
    jump: FloatArray
    cluster: IntArray
    peers: csr_array

    def listed(self, n_sessions: int) -> BoolArray:
        """Return whether a code is listed on a session, `(date, code)`."""
        session = np.arange(n_sessions)[:, None]
        listed: BoolArray = (self.first <= session) & (session <= self.last)
        return listed

    def split_level(self, n_sessions: int) -> FloatArray:
        """Return the product of the adjustment factors to date, `(date, code)`: raw = adjusted price x level."""
        session = np.arange(n_sessions)[:, None]
        return np.where(session >= self.split_session, self.split_factor, 1.0)

    def adjustment_factor(self, n_sessions: int) -> FloatArray:
        """Return the adjustment factor of each session, `(date, code)`; 1 except on an ex-date."""
        session = np.arange(n_sessions)[:, None]
        return np.where(session == self.split_session, self.split_factor, 1.0)


def draw_universe(settings: SampleMarketSettings, replicate: int = 0) -> Universe:
    """Draw the issues of a market; every sector occurs from 33 codes on.

    Args:
        settings: The market's settings.
        replicate: 0 for the market itself, else the number of a Monte Carlo replicate.
    """
    rng = random_stream(settings.seed, replicate, "universe")
    n, n_sessions = settings.n_codes, len(settings.sessions)
    size = rng.standard_normal(n)
    size_rank = np.argsort(np.argsort(-size)) / n  # 0 = the largest
    sector = _draw_sectors(n, rng)
    segment, after = _draw_segments(size_rank, rng)
    cluster = _deal_clusters(sector, settings.cluster_size, rng)
    price = np.clip(1_500 * np.exp(0.9 * rng.standard_normal(n)), 80, 60_000)
    log_turnover = np.log(3e8) + 1.4 * size + 0.4 * rng.standard_normal(n)
    log_volatility = settings.volatility_spread * (0.9 * rng.standard_normal(n) - 0.43 * size)
    first, last = _draw_listings(settings, n_sessions, rng)
    split_session, split_factor = _draw_splits(settings, price, first, last, rng)
    jump_session, jump = _draw_delisting_news(first, last, n_sessions, rng)
    return Universe(
        codes=_draw_codes(first, rng),
        sector=sector,
        scale=_scale_category(size_rank),
        segment=segment,
        segment_after_reform=after,
        beta=np.clip(1 + settings.beta_spread * rng.standard_normal(n), 0.3, 1.9),
        volatility=settings.median_volatility * np.exp(log_volatility),
        first_price=price,
        log_shares=log_turnover - np.log(price),
        no_trade_odds=_no_trade_odds(log_turnover),
        first=first,
        last=last,
        split_session=split_session,
        split_factor=split_factor,
        jump_session=jump_session,
        jump=jump,
        cluster=cluster,
        peers=_weigh_peers(cluster, rng),
    )


def _no_trade_odds(log_turnover: FloatArray) -> FloatArray:
    """Up to 15% of sessions pass without a trade among the tenth of codes with the least turnover."""
    rank = np.argsort(np.argsort(log_turnover)) / len(log_turnover)
    return np.asarray(0.15 * np.clip(1 - rank / 0.1, 0, 1))


def _draw_codes(first: IntArray, rng: np.random.Generator) -> TextArray:
    numbers = np.sort(rng.choice(np.arange(1300, 9900), size=len(first), replace=False))
    text = numbers.astype("U4")
    newer = (first > 0) & (np.arange(len(first)) % 2 == 0)  # since 2024 new codes end in a letter, as 130A
    stems, decade, uses = np.unique(numbers // 10, return_inverse=True, return_counts=True)
    lettered = np.char.add(stems.astype("U3")[decade], "A0")
    codes: TextArray = np.where(newer & (uses[decade] == 1), lettered, np.char.add(text, "0"))
    return codes


def _draw_sectors(n: int, rng: np.random.Generator) -> TextArray:
    names = np.array(list(SECTORS_33))
    odds = 1 / np.arange(3, 3 + len(names))
    drawn = rng.choice(rng.permutation(names), size=n, p=odds / odds.sum())
    present = min(n, len(names))
    drawn[:present] = rng.permutation(names)[:present]
    return rng.permutation(drawn)


def _draw_segments(size_rank: FloatArray, rng: np.random.Generator) -> tuple[TextArray, TextArray]:
    by_size = np.array(["0101", "0102", "0106", "0104", "0107"])
    upper = np.array([0.55, 0.70, 0.85, 0.97])
    segment = by_size[np.searchsorted(upper, size_rank, side="right")]
    after = np.array([SEGMENT_SUCCESSOR[code] for code in by_size])[np.searchsorted(upper, size_rank, side="right")]
    to_standard = (segment == "0101") & (rng.random(len(segment)) < 0.1)
    return segment, np.where(to_standard, "0112", after)


def _scale_category(size_rank: FloatArray) -> TextArray:
    names = np.array(["TOPIX Core30", "TOPIX Large70", "TOPIX Mid400", "TOPIX Small 1", "TOPIX Small 2", "-"])
    return names[np.searchsorted([0.03, 0.1, 0.4, 0.7, 0.85], size_rank, side="right")]


def _deal_clusters(sector: TextArray, cluster_size: int, rng: np.random.Generator) -> IntArray:
    """Deal each sector's codes one by one to the clusters, so that a cluster crosses sectors."""
    n = len(sector)
    n_clusters = round(n / cluster_size)
    order = np.lexsort((rng.random(n), sector))
    cluster = np.empty(n, dtype=np.int64)
    cluster[order] = np.arange(n) % n_clusters
    return cluster


def _weigh_peers(cluster: IntArray, rng: np.random.Generator) -> csr_array:
    order = np.argsort(cluster, kind="stable")
    sizes = np.bincount(cluster)[cluster[order]]
    start = np.searchsorted(cluster[order], cluster[order])
    target = np.repeat(order, sizes)
    offset = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    source = order[np.repeat(start, sizes) + offset]
    weight = np.where(source == target, 0.0, rng.uniform(0.5, 1.5, len(source)))
    weight /= np.bincount(target, weight)[target]
    keep = source != target
    return csr_array((weight[keep], (target[keep], source[keep])), shape=(len(cluster), len(cluster)))


def _draw_listings(
    settings: SampleMarketSettings, n_sessions: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    n = settings.n_codes
    n_new = max(1, round(settings.listing_rate * settings.years * n))
    n_gone = max(1, round(settings.delisting_rate * settings.years * n))
    moved = rng.permutation(n)[: n_new + n_gone]
    first, last = np.zeros(n, dtype=np.int64), np.full(n, n_sessions - 1, dtype=np.int64)
    first[moved[:n_new]] = rng.integers(20, n_sessions - 40, n_new)
    last[moved[n_new:]] = rng.integers(40, n_sessions - 5, len(moved) - n_new)
    return first, last


def _draw_splits(
    settings: SampleMarketSettings, price: FloatArray, first: IntArray, last: IntArray, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """At most one a code; the dearest always splits 1:10, the cheapest consolidates 10:1."""
    session = rng.integers(first + 5, last - 4)
    ratio = rng.choice(_SPLIT_RATIOS, size=len(price), p=_SPLIT_ODDS)
    factor = np.where(price < _CHEAP, 10.0, 1 / ratio)
    happens = rng.random(len(price)) < -np.expm1(-settings.split_rate * settings.years)
    factor = np.where(happens, factor, 1.0)
    factor[np.argmax(price)], factor[np.argmin(price)] = 0.1, 10.0
    return session, factor


def _draw_delisting_news(
    first: IntArray, last: IntArray, n_sessions: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    jump = np.where(rng.random(len(first)) < 0.5, _TAKEOVER, _FAILURE)
    session = np.maximum(last - _ANNOUNCED_BEFORE, first + 1)
    return session, np.where(last < n_sessions - 1, jump, 0.0)
