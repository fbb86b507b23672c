"""Portfolios held session by session: orders, fills, drift, and what they earn before costs.

Conventions. A row dated t is decided after the close of t, traded at the entry price of `labels.entry`
and valued at the next session's entry price. Amounts are fractions of a constant notional of one leg:
gains are taken out and losses put in again with every renewal, so that returns add up. An h-session
portfolio is h sub-portfolios of 1/h each; one is renewed a session, the others drift with prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gogooku_kedro.backtest.fills import Sessions, TradableMarket
from gogooku_kedro.backtest.targets import Legs, one_hot, target_weights
from gogooku_kedro.params.evaluation import PortfolioParams
from gogooku_kedro.typing import BoolArray, FloatArray, TextArray

CROWDED_SHARE = 0.1
"""Share of the traded notional that may exceed the participation at the capacity."""
_DUST = 1e-12


class Held(NamedTuple):
    """Portfolios after the trades of one session, fractions of the notional of one leg.

    Attributes:
        weights: Signed positions (portfolio, code).
        trades: Signed trades of the session (portfolio, code), netted over the sub-portfolios.
        refused: Notional of the orders that were not filled (portfolio,).
    """

    weights: FloatArray
    trades: FloatArray
    refused: FloatArray


@dataclass(frozen=True)
class PortfolioPaths:
    """Daily results of several portfolios, each (portfolio, date); NaN where a portfolio neither holds nor trades.

    Attributes:
        gross: Return before costs.
        benchmark: What the equally weighted universe earned on the same invested share; 0 for hedged portfolios.
        traded: Notional bought and sold, both sides added up: costs are paid on it.
        long: Notional of the long positions.
        short: Notional of the short positions, positive.
        n_long: Stocks held long.
        n_short: Stocks held short.
        unfilled: Notional of refused orders.
        capacity: Capital at which a tenth of the traded notional would exceed the participation.
    """

    gross: FloatArray
    benchmark: FloatArray
    traded: FloatArray
    long: FloatArray
    short: FloatArray
    n_long: FloatArray
    n_short: FloatArray
    unfilled: FloatArray
    capacity: FloatArray


def hold_portfolios(
    legs: Legs,
    sessions: Sessions,
    horizons: Sequence[int],
    rules: PortfolioParams,
    sectors: TextArray,
) -> Iterator[Held]:
    """Yield the portfolios after the trades of each session.

    Orders to enter that are refused lapse; orders to leave are tried again every session. A position in
    an issue that is no longer listed is closed at its last price. `turnover_cap` shrinks all orders of a
    session in proportion; what is left over waits for the sub-portfolio's next renewal. `sector_cap` holds at
    a renewal, prices move the shares until the next one; it is void where only one sector is known.

    Args:
        legs: Members of each portfolio; rows are decision sessions.
        sessions: Fills and growth of the same sessions.
        horizons: Sub-portfolios of each portfolio (portfolio,).
        rules: Caps of turnover and sectors.
        sectors: Sector of each stock (code,).
    """
    state = _SubPortfolios(horizons, legs.enter_long.shape[2])
    groups = one_hot(sectors)
    sector_cap = rules.sector_cap if groups.shape[1] > 1 else None
    for t in range(len(sessions.growth)):
        renewed = state.renewed(t)
        long, short = legs.members(t, state.wanted(renewed))
        target = target_weights(long, short, legs.hedged, groups, sector_cap)
        target = np.where(sessions.gone[t], 0.0, target / state.horizons[:, None])
        fills = (sessions.buyable[t], sessions.sellable[t], sessions.gone[t])
        yield state.trade(renewed, target, *fills, rules.turnover_cap)
        state.weights *= 1.0 + sessions.growth[t]


class _SubPortfolios:
    """Weights of all sub-portfolios of all portfolios, and their orders to leave that still wait for a fill."""

    def __init__(self, horizons: Sequence[int], n_codes: int) -> None:
        self.horizons = np.asarray(horizons)
        self._starts = np.r_[0, np.cumsum(self.horizons)[:-1]]
        self.weights = np.zeros((int(self.horizons.sum()), n_codes))
        self._leaving = np.zeros(self.weights.shape, dtype=bool)
        self._side = np.zeros(self.weights.shape)

    def renewed(self, session: int) -> NDArray[np.intp]:
        """Rows of the sub-portfolios whose turn it is, one a portfolio."""
        rows: NDArray[np.intp] = self._starts + session % self.horizons
        return rows

    def wanted(self, rows: NDArray[np.intp]) -> FloatArray:
        """Weights of sub-portfolios without what their last renewal wanted to sell and could not yet."""
        weights = self.weights[rows]
        return np.where(np.sign(weights) == self._side[rows], weights, 0.0)

    def trade(
        self,
        renewed: NDArray[np.intp],
        target: FloatArray,
        buyable: BoolArray,
        sellable: BoolArray,
        gone: BoolArray,
        turnover_cap: float | None,
    ) -> Held:
        leaving = self._leaving | (gone & (self.weights != 0.0))
        wanted = np.where(leaving, 0.0, self.weights)
        wanted[renewed] = target
        orders = wanted - self.weights
        filled = (np.where(orders > 0.0, buyable, sellable) & (orders != 0.0)) | (gone & (wanted == 0.0))
        done = np.where(filled, orders, 0.0)
        trades = self._per_portfolio(done)
        if turnover_cap is not None:
            turnover = np.abs(trades).sum(axis=1) / 2.0
            part = np.minimum(1.0, turnover_cap / np.maximum(turnover, _DUST))
            trades *= part[:, None]
            done *= np.repeat(part, self.horizons)[:, None]
        refused = ~filled & (orders != 0.0)
        self.weights = self.weights + done
        self.weights[np.abs(self.weights) < _DUST] = 0.0
        leaving[renewed] &= target == 0.0
        self._side[renewed] = np.sign(target)
        self._leaving = (refused | leaving) & (self.weights != 0.0) & (self.weights * wanted <= 0.0)
        notional = np.abs(np.where(refused, orders, 0.0)).sum(axis=1)
        return Held(self._per_portfolio(self.weights), trades, np.add.reduceat(notional, self._starts))

    def _per_portfolio(self, values: FloatArray) -> FloatArray:
        total: FloatArray = np.add.reduceat(values, self._starts, axis=0)
        return total


def simulate_portfolios(
    legs: Legs,
    scored: BoolArray,
    market: TradableMarket,
    first: int,
    horizons: Sequence[int],
    rules: PortfolioParams,
) -> PortfolioPaths:
    """Return what the portfolios hold, trade and earn on consecutive decision sessions.

    Args:
        legs: Members of each portfolio (portfolio, date, code).
        scored: Stocks with a score (portfolio, date, code): the universe that a long-only portfolio is held
            against.
        market: The market, on the panel's sessions.
        first: Position of the first decision session in the panel.
        horizons: Sub-portfolios of each portfolio (portfolio,).
        rules: Caps, and the participation that the capacity may reach.
    """
    n_portfolios, n_dates, _ = scored.shape
    sessions = market.sessions(first, first + n_dates - 1)
    names = PortfolioPaths.__dataclass_fields__
    paths = PortfolioPaths(**{name: np.full((n_portfolios, n_dates), np.nan) for name in names})
    for t, held in enumerate(hold_portfolios(legs, sessions, horizons, rules, market.sectors)):
        long, short = held.weights.clip(min=0.0), -held.weights.clip(max=0.0)
        universe = scored[:, t] & sessions.buyable[t]
        earned = (universe * sessions.growth[t]).sum(axis=1) / np.maximum(universe.sum(axis=1), 1)
        figures = {
            "gross": held.weights @ sessions.growth[t],
            "benchmark": np.where(legs.hedged, 0.0, earned * long.sum(axis=1)),
            "traded": np.abs(held.trades).sum(axis=1),
            "long": long.sum(axis=1),
            "short": short.sum(axis=1),
            "n_long": (long > 0.0).sum(axis=1),
            "n_short": (short > 0.0).sum(axis=1),
            "unfilled": held.refused,
            "capacity": crowded_capital(held.trades, sessions.median_value[t], rules.participation),
        }
        alive = (held.weights != 0.0).any(axis=1) | (held.trades != 0.0).any(axis=1)
        for name, values in figures.items():
            getattr(paths, name)[:, t] = np.where(alive, values, np.nan)
    return paths


def crowded_capital(trades: FloatArray, median_value: FloatArray, participation: float) -> FloatArray:
    """Return the capital (portfolio,) at which a tenth of the traded notional exceeds the participation.

    A trade of weight w in a stock with median traded value V reaches the participation p at the capital
    p V / |w|. The smallest capital is returned at which such stocks make up `CROWDED_SHARE` of what
    is traded. NaN when nothing is traded in stocks whose median value is known.

    Args:
        trades: Signed trades (portfolio, code), fractions of the capital.
        median_value: Median traded value of each stock (code,), in currency; NaN = not known.
        participation: Fraction.
    """
    size = np.where(np.isfinite(median_value), np.abs(trades), 0.0)
    capital = np.divide(
        participation * np.nan_to_num(median_value), size, out=np.full(size.shape, np.inf), where=size > 0.0
    )
    order = np.argsort(capital, axis=1)
    crowded = np.cumsum(np.take_along_axis(size, order, axis=1), axis=1)
    total = crowded[:, -1:]
    at = (crowded >= CROWDED_SHARE * total - _DUST).argmax(axis=1)
    limit = np.take_along_axis(capital, np.take_along_axis(order, at[:, None], axis=1), axis=1)[:, 0]
    return np.where(total[:, 0] > 0.0, limit, np.nan)
