"""What is left for trading: scores smoothed over sessions, held for 5 to 20 of them, after costs.

The smoothing is chosen on the validation part and frozen for the test part.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.backtest.fills import TradableMarket, loanable_stocks
from gogooku_kedro.backtest.simulation import PortfolioPaths, simulate_portfolios
from gogooku_kedro.backtest.targets import LONG_SHORT, portfolio_legs, stack_legs
from gogooku_kedro.baselines import table
from gogooku_kedro.columns import horizon_name
from gogooku_kedro.labels.returns import Entry
from gogooku_kedro.metrics.align import Predictions, WidePart, frames_of, wide_parts
from gogooku_kedro.metrics.daily import number, one_day_late
from gogooku_kedro.metrics.rank_ic import rank_shares
from gogooku_kedro.metrics.sharpe_intervals import SharpeIntervals
from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.params import EvaluationParams
from gogooku_kedro.typing import FloatArray

logger = logging.getLogger(__name__)

VERSIONS = ("plain", "smoothed", "one_day_late")
"""Scores as they come, smoothed, and the smoothed ones of the session before."""


def smoothed(score: FloatArray, decay: float) -> FloatArray:
    """Return the exponentially weighted mean of a stock's ranks up to the session (date, code).

    s_t = decay * s_{t-1} + (1 - decay) * r_t with r the rank among the stocks of the date as a share, 0 to 1. A stock
    begins with its first rank; a session without a score has none and leaves the mean as it was.

    Args:
        score: (date, code), NaN = no score.
        decay: At least 0, which keeps the ranks, and below 1.
    """
    mean = pd.DataFrame(rank_shares(score)).ewm(alpha=1 - decay, adjust=False, ignore_na=True).mean().to_numpy()
    return np.where(np.isfinite(score), mean, np.nan)


class Trading:
    """The long-short portfolio of `evaluation.portfolio` on smoothed scores of several horizons.

    Args:
        panel: Market panel, for prices, limits, halts, traded values and sectors.
        events: Events on the panel's grid, for the loanable issues.
        entry: `next_open` or `close`.
        params: Section `evaluation`.
    """

    def __init__(self, panel: xr.Dataset, events: xr.Dataset, entry: Entry, params: EvaluationParams) -> None:
        self.market, self.params = TradableMarket.read(panel, entry), params
        self.loanable, _ = loanable_stocks(panel, events, params.portfolio.loanable == "all")
        self.sessions = pd.DatetimeIndex(panel.indexes["date"])
        self.intervals = SharpeIntervals(params.sessions_per_year, params.bootstrap_samples, seed=params.seed)

    def chosen(self, part: WidePart, horizon: int) -> tuple[float, float]:
        """Return the decay with the highest net Sharpe ratio on a part, at `evaluation.cost_bps`, and that ratio.

        Args:
            part: The validation part.
            horizon: Sessions that a portfolio is held.
        """
        decays = self.params.trading.decays
        paths = self._held(part, [smoothed(part.scores[horizon], decay) for decay in decays], horizon)
        ratios = [self._net_sharpe(paths, k, self.params.cost_bps) for k in range(len(decays))]
        best = int(np.argmax(np.nan_to_num(ratios, nan=-np.inf)))
        return decays[best], ratios[best]

    def measured(self, part: WidePart, horizon: int, decay: float) -> dict[str, Any]:
        """Return turnover and net Sharpe ratios of a part {version: {"turnover", "costs": {bps: {...}}}}.

        Args:
            part: The test part.
            horizon: Sessions that a portfolio is held.
            decay: As chosen on another part.
        """
        soft = smoothed(part.scores[horizon], decay)
        scores = (smoothed(part.scores[horizon], 0.0), soft, one_day_late(soft))
        paths = self._held(part, scores, horizon)
        return {version: self._figures(paths, k, horizon) for k, version in enumerate(VERSIONS)}

    def _held(self, part: WidePart, scores: Sequence[FloatArray], horizon: int) -> PortfolioPaths:
        first, rules = int(self.sessions.searchsorted(part.dates[0])), self.params.portfolio
        shortable = self.loanable[first : first + len(part.dates)]
        legs = stack_legs([portfolio_legs(LONG_SHORT, score, shortable, rules) for score in scores])
        scored = np.stack([np.isfinite(score) for score in scores])
        return simulate_portfolios(legs, scored, self.market, first, [horizon] * len(scores), rules)

    def _net_sharpe(self, paths: PortfolioPaths, position: int, cost_bps: float) -> float:
        return sharpe(_net(paths, position, cost_bps), self.params.sessions_per_year)

    def _figures(self, paths: PortfolioPaths, position: int, horizon: int) -> dict[str, Any]:
        costs_bps, costs = self.params.trading.costs_bps, {}
        intervals = self.intervals.of([_net(paths, position, cost) for cost in costs_bps], horizon)
        for cost, ends in zip(costs_bps, intervals, strict=True):
            ratio = number(self._net_sharpe(paths, position, cost))
            costs[f"{cost:g}"] = {"sharpe_net": ratio, "sharpe_net_ci": [number(end) for end in ends]}
        traded = paths.traded[position]
        turnover = number(float(np.nanmean(traded)) / 2.0) if np.isfinite(traded).any() else None
        return {"turnover": turnover, "costs": costs}


def trading_view(
    predictions: Predictions,
    labels: xr.Dataset,
    panel: xr.Dataset,
    events: xr.Dataset,
    entry: Entry,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Return {model: {horizon: figures}} of network, blends and their members on the test part.

    Args:
        predictions: model, date, code, split, score_<h>d of valid and test; whole or in frames of whole models.
        labels: Labels of the panel; their sessions and codes are used, never their returns.
        panel: As of `Trading`.
        events: As of `Trading`.
        entry: As of `Trading`.
        params: Section `evaluation`.

    Returns:
        `decay` (chosen on valid), `valid_sharpe_net` (the best of all decays tried: too good) and, of `VERSIONS`,
        `turnover` and the net Sharpe ratio with its interval by cost. None = does not exist.
    """
    trading = Trading(panel, events, entry, params)
    models = [model.name for model in table.MODELS if model.name in _traded()]
    found: dict[str, Any] = {}
    for frame in frames_of(predictions):
        of = frame[frame["model"].isin(models)]
        for name, rows in of.groupby("model", sort=False):
            parts = {part.split: part for part in wide_parts(rows, labels)}
            if parts.keys() >= {"valid", "test"}:
                found[str(name)] = _view(trading, parts["valid"], parts["test"])
    return {name: found[name] for name in models if name in found}


def _view(trading: Trading, valid: WidePart, test: WidePart) -> dict[str, Any]:
    view = {}
    for horizon in trading.params.trading.sessions:
        decay, ratio = trading.chosen(valid, horizon)
        name = horizon_name(horizon)
        logger.debug("%s, held for %d sessions: decay %g chosen on valid", valid.model, horizon, decay)
        view[name] = {"decay": decay, "valid_sharpe_net": number(ratio)} | trading.measured(test, horizon, decay)
    return view


def _traded() -> set[str]:
    blends = {model.name for model in table.MODELS if model.members}
    return blends | {member for model in table.MODELS for member in model.members}


def _net(paths: PortfolioPaths, position: int, cost_bps: float) -> FloatArray:
    net: FloatArray = paths.gross[position] - cost_bps * 1e-4 * paths.traded[position]
    return net
