"""Who is in a portfolio: its legs by rank, the band in which a held stock stays, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from gogooku_kedro.metrics.decile_portfolios import equal_weights
from gogooku_kedro.metrics.rank_ic import MIN_PAIRS, is_constant, row_ranks
from gogooku_kedro.params.evaluation import PortfolioParams
from gogooku_kedro.typing import BoolArray, FloatArray, TextArray

LONG_SHORT, LONG_ONLY = "long_short", "long_only"
PORTFOLIOS = (LONG_SHORT, LONG_ONLY)
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Legs:
    """Stocks that may enter a leg and that may stay in it, bool (portfolio, date, code).

    Attributes:
        enter_long: Bought whether held or not.
        stay_long: Kept while held; never fewer than `enter_long`.
        enter_short: Sold short whether held or not.
        stay_short: Kept short while held.
        hedged: (portfolio,) bool; such a portfolio has two legs or none.
    """

    enter_long: BoolArray
    stay_long: BoolArray
    enter_short: BoolArray
    stay_short: BoolArray
    hedged: BoolArray

    def members(self, session: int, held: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Return long and short leg (portfolio, code) of a session, given the weights held so far."""
        long = self.enter_long[:, session] | (self.stay_long[:, session] & (held > 0))
        short = self.enter_short[:, session] | (self.stay_short[:, session] & (held < 0))
        return long, short


def best_ranked(score: ArrayLike, *, shares: Sequence[float] = (), counts: Sequence[int] = ()) -> tuple[BoolArray, ...]:
    """Return the stocks (date, code) that rank among the best share or the best count of a date, for each of them.

    With rank 1 the best, a stock belongs to it when rank - 1 < share * (n - 1), the top quantile of `pandas.qcut`,
    or rank - 1/2 <= count: tied stocks enter together or stay out together. Dates with fewer than `MIN_PAIRS`
    scores, or with a constant score, have nobody. A share of 1/10 is the top decile of `decile_legs`.

    Args:
        score: (date, code), NaN = not ranked.
        shares: Fractions of the ranked stocks.
        counts: Numbers of stocks; what they give comes after that of the shares.
    """
    before, span, usable = _places(-np.asarray(score, dtype=np.float64))
    inside = [before < share * span - _ROUNDING for share in shares] + [before + 0.5 <= count for count in counts]
    return tuple(one & usable for one in inside)


def worst_ranked(score: ArrayLike, shares: Sequence[float]) -> tuple[BoolArray, ...]:
    """Return the stocks (date, code) that rank among the worst share of a date, for each of the shares.

    With rank 1 the worst, a stock belongs to it when rank - 1 <= share * (n - 1), the bottom quantile of
    `pandas.qcut`: a stock exactly on the edge is in it, as it is in none of the best. A share of 1/10 is the
    bottom decile of `decile_legs`. Ties and dates without anybody as in `best_ranked`.
    """
    before, span, usable = _places(np.asarray(score, dtype=np.float64))
    return tuple((before <= share * span + _ROUNDING) & usable for share in shares)


def _places(values: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Stocks below each (date, code), ties by half, out of how many at most, and on which dates it counts."""
    n = np.isfinite(values).sum(axis=1, keepdims=True)
    usable = (n >= MIN_PAIRS) & ~is_constant(values)[:, None]
    return row_ranks(values) - 1.0, n - 1.0, usable


def portfolio_legs(portfolio: str, score: FloatArray, loanable: BoolArray, rules: PortfolioParams) -> Legs:
    """Return the legs of one portfolio, arrays (1, date, code).

    `long_short` holds the best share of the stocks and is short of the worst share of the *loanable* ones;
    `long_only` holds the best `top_k`. The band of `hysteresis` widens both in the same proportion.

    Args:
        portfolio: One of `PORTFOLIOS`.
        score: (date, code); high = expected to do better; NaN = no score.
        loanable: Can be sold short (date, code).
        rules: Shares, band and counts.

    Raises:
        ValueError: Unknown portfolio.
    """
    wider = 1.0 if rules.hysteresis is None else rules.hysteresis / rules.decile_share
    if portfolio == LONG_ONLY:
        enter, stay = best_ranked(score, counts=[round(rules.top_k * width) for width in (1.0, wider)])
        nobody = np.zeros_like(enter)
        return _one_portfolio(enter, stay, nobody, nobody, hedged=False)
    if portfolio != LONG_SHORT:
        raise ValueError(f"portfolio is {portfolio!r}; choose one of {PORTFOLIOS}")
    shares = (rules.decile_share, rules.decile_share * wider)
    long = best_ranked(score, shares=shares)
    short = worst_ranked(np.where(loanable, score, np.nan), shares)
    return _one_portfolio(*long, *short, hedged=True)


def _one_portfolio(*legs: BoolArray, hedged: bool) -> Legs:
    enter_long, stay_long, enter_short, stay_short = (leg[None] for leg in legs)
    return Legs(enter_long, stay_long, enter_short, stay_short, np.array([hedged]))


def stack_legs(legs: list[Legs]) -> Legs:
    """Return several portfolios as one, along the axis `portfolio`."""

    def stacked(name: str) -> BoolArray:
        return np.concatenate([getattr(one, name) for one in legs])

    return Legs(**{field.name: stacked(field.name) for field in fields(Legs)})


def target_weights(
    long: BoolArray, short: BoolArray, hedged: BoolArray, sector: FloatArray, sector_cap: float | None
) -> FloatArray:
    """Return the weights (portfolio, code) that a renewal aims at: a long leg of +1 and a short leg of -1.

    Stocks of a leg weigh the same unless a sector exceeds its cap. A leg that the cap leaves smaller
    shrinks the other one with it; a hedged portfolio with one empty leg is empty.

    Args:
        long: Members (portfolio, code).
        short: Members (portfolio, code).
        hedged: (portfolio,) bool.
        sector: 1 where the stock belongs to the sector, else 0 (code, sector).
        sector_cap: Largest share of a leg's notional in one sector; None = no cap.
    """
    legs = [equal_weights(leg) for leg in (long, short)]
    if sector_cap is not None:
        legs = [cap_sectors(leg, sector, sector_cap) for leg in legs]
    size = [leg.sum(axis=1, keepdims=True) for leg in legs]
    both = np.minimum(*size)
    invested = [np.where(hedged[:, None], both / np.maximum(one, _ROUNDING), 1.0) for one in size]
    weights: FloatArray = legs[0] * invested[0] - legs[1] * invested[1]
    return weights


def cap_sectors(leg: FloatArray, sector: FloatArray, cap: float) -> FloatArray:
    """Return the weights of a leg (portfolio, code) with no sector above `cap`.

    What a sector has too much goes to the others in proportion to their weights; where all of them
    are full, the leg stays smaller than 1.

    Args:
        leg: Weights of at least 0, summing to 1 (or 0 for an empty leg).
        sector: 1 where the stock belongs to the sector, else 0 (code, sector).
        cap: Fraction.
    """
    share = leg @ sector
    capped = share.copy()
    for _ in range(sector.shape[1]):
        full = capped >= cap - _ROUNDING
        if not (capped > cap + _ROUNDING).any():
            break
        free = np.where(full, 0.0, capped).sum(axis=1, keepdims=True)
        room = share.sum(axis=1, keepdims=True) - cap * full.sum(axis=1, keepdims=True)
        grown = capped * np.maximum(room, 0.0) / np.maximum(free, _ROUNDING)
        capped = np.where(full, cap, grown)
    factor = np.divide(capped, share, out=np.zeros_like(share), where=share > 0)
    weights: FloatArray = leg * (factor @ sector.T)
    return weights


def one_hot(sectors: TextArray) -> FloatArray:
    """Return 1 where a stock belongs to a sector, else 0 (code, sector)."""
    names, position = np.unique(sectors, return_inverse=True)
    return np.eye(len(names))[position]
