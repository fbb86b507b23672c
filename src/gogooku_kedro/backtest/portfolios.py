"""From scores to the daily results of every portfolio: one row per model, part, portfolio, horizon, cost and date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.backtest.fills import TradableMarket, loanable_stocks
from gogooku_kedro.backtest.simulation import PortfolioPaths, simulate_portfolios
from gogooku_kedro.backtest.targets import PORTFOLIOS, portfolio_legs, stack_legs
from gogooku_kedro.columns import horizon_name
from gogooku_kedro.labels.returns import Entry
from gogooku_kedro.metrics.align import Predictions, WidePart, wide_parts
from gogooku_kedro.params.evaluation import PortfolioParams
from gogooku_kedro.typing import BoolArray, FloatArray

PORTFOLIO_COLUMNS = [
    "model",
    "split",
    "portfolio",
    "horizon",
    "cost_bps",
    "date",
    "gross",
    "cost",
    "net",
    "benchmark",
    "turnover",
    "long",
    "short",
    "n_long",
    "n_short",
    "unfilled",
    "capacity",
]


def backtest_portfolios(
    predictions: Predictions,
    labels: xr.Dataset,
    panel: xr.Dataset,
    events: xr.Dataset,
    entry: Entry,
    rules: PortfolioParams,
    costs_bps: Sequence[float],
) -> pd.DataFrame:
    """Return what the portfolios of every model earn session by session, at every cost.

    Args:
        predictions: date, code, split, score_<h>d, optionally model (several models stacked); whole or in
            frames of whole models.
        labels: Labels of the panel; their sessions, codes and horizons are used, never their returns.
        panel: Market panel, for prices, limits, halts, traded values and sectors.
        events: Events on the panel's grid, for the loanable issues (`execution.loanable_stocks`).
        entry: `next_open` or `close`.
        rules: The portfolios.
        costs_bps: Costs per side in basis points. They change no trade: net = gross - cost.

    Returns:
        Columns `PORTFOLIO_COLUMNS`, fractions of the constant notional of one leg; `date` is the decision
        session. `turnover` is half of what is bought and sold, `unfilled` the notional of refused
        orders, `benchmark` what the equally weighted universe earned on the invested share (0 for
        long_short), `capacity` in the currency of the prices. NaN where a portfolio neither holds nor trades
        (a constant score, no loanable stock) or its result is not known yet.

    Raises:
        ValueError: Predictions do not fit (`wide_parts`), the panel is not that of the labels, or a cost
            is negative.
    """
    if min(costs_bps) < 0:
        raise ValueError(f"costs_bps are {list(costs_bps)}; give costs per side of 0 basis points or more")
    for name in ("date", "code"):
        if not panel.indexes[name].equals(labels.indexes[name]):
            raise ValueError(f"panel and labels differ in {name}; evaluate with the labels of this panel")
    market = TradableMarket.read(panel, entry)
    loanable, _ = loanable_stocks(panel, events, rules.loanable == "all")
    sessions = pd.DatetimeIndex(panel.indexes["date"])
    frames = []
    for part in wide_parts(predictions, labels):
        first = int(sessions.searchsorted(part.dates[0]))
        frames.append(_part_table(part, market, loanable, first, rules, costs_bps))
    if not frames:
        return pd.DataFrame(columns=PORTFOLIO_COLUMNS)
    return pd.concat(frames, ignore_index=True)


def describe_portfolios(panel: xr.Dataset, events: xr.Dataset, entry: Entry, rules: PortfolioParams) -> dict[str, Any]:
    """Return the rules as they apply to this market: settings, and what was known or assumed.

    `loanable` says whether short sales follow margin balances or an assumption, and which share of the
    stock-days could be sold short; a sector cap is void (None) where one sector at most is known.
    """
    stocks, source = loanable_stocks(panel, events, rules.loanable == "all")
    listed = panel["listed"].transpose("date", "code").values
    settings = rules.model_dump(mode="json", exclude={"costs_bps", "loanable"})
    if len(np.unique(panel["sector"].values)) == 1:
        settings["sector_cap"] = None
    share = float(stocks[listed].mean()) if listed.any() else None
    return settings | {"entry": entry, "loanable": {"source": source, "share_of_stock_days": share}}


def _part_table(
    part: WidePart,
    market: TradableMarket,
    loanable: BoolArray,
    first: int,
    rules: PortfolioParams,
    costs_bps: Sequence[float],
) -> pd.DataFrame:
    portfolios = [(portfolio, horizon) for horizon in part.scores for portfolio in PORTFOLIOS]
    shortable = loanable[first : first + len(part.dates)]
    legs = stack_legs([portfolio_legs(portfolio, part.scores[h], shortable, rules) for portfolio, h in portfolios])
    scored = np.stack([np.isfinite(part.scores[h]) for _, h in portfolios])
    paths = simulate_portfolios(legs, scored, market, first, [h for _, h in portfolios], rules)
    return _long_table(part, portfolios, paths, costs_bps)


def _long_table(
    part: WidePart, portfolios: list[tuple[str, int]], paths: PortfolioPaths, costs_bps: Sequence[float]
) -> pd.DataFrame:
    n_portfolios, n_dates = paths.gross.shape
    each = n_dates * len(costs_bps)

    def repeated(values: FloatArray) -> FloatArray:
        return np.repeat(values[:, None, :], len(costs_bps), axis=1).ravel()

    cost_bps = np.tile(np.repeat(np.asarray(costs_bps, dtype=np.float64), n_dates), n_portfolios)
    gross, traded = repeated(paths.gross), repeated(paths.traded)
    cost = cost_bps * 1e-4 * traded
    columns: dict[str, Any] = {
        "model": part.model,
        "split": part.split,
        "portfolio": np.repeat([portfolio for portfolio, _ in portfolios], each),
        "horizon": np.repeat([horizon_name(h) for _, h in portfolios], each),
        "cost_bps": cost_bps,
        "date": np.tile(part.dates, n_portfolios * len(costs_bps)),
        "gross": gross,
        "cost": cost,
        "net": gross - cost,
        "turnover": traded / 2.0,
    }
    names = ("benchmark", "long", "short", "n_long", "n_short", "unfilled", "capacity")
    columns |= {name: repeated(getattr(paths, name)) for name in names}
    return pd.DataFrame(columns)[PORTFOLIO_COLUMNS]
