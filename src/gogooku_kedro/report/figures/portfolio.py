"""Plotly figures of the simulated portfolios: equity net of costs, and drawdown."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from gogooku_kedro.backtest.performance import drawdown, equity
from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import add_model_line, lay_out, model_order
from gogooku_kedro.report.names import shown_models
from gogooku_kedro.typing import FloatArray

_CHOICE = ["portfolio", "horizon", "split", "cost_bps"]
TITLES = {"long_short": "Long-short deciles", "long_only": "Long-only top names"}


def portfolio_equity(
    portfolio_returns: pd.DataFrame,
    cost_bps: float,
    *,
    portfolio: str = LONG_SHORT,
    horizon: str = "5d",
    split: str = "test",
) -> go.Figure:
    """Return the equity of a portfolio after costs per model: 1 plus the running sum of net returns.

    Args:
        portfolio_returns: Table of `portfolios.backtest_portfolios`.
        cost_bps: Which cost per side to draw.
        portfolio: `long_short` or `long_only`.
        horizon: Name of the horizon, e.g. "5d".
        split: Part of the split.

    Raises:
        ValueError: The table has no such cost.
    """
    figure = _curves(portfolio_returns, cost_bps, portfolio, horizon, split, equity)
    title = f"{TITLES[portfolio]}, {horizon} horizon, after {cost_bps:g} bps per side ({split} part)"
    return lay_out(figure, title=title, x="Session", y="Equity, notional of one leg = 1")


def portfolio_drawdown(
    portfolio_returns: pd.DataFrame,
    cost_bps: float,
    *,
    portfolio: str = LONG_SHORT,
    horizon: str = "5d",
    split: str = "test",
) -> go.Figure:
    """Return how far a portfolio lies below its highest equity so far, per model, drawn downwards.

    Arguments as in `portfolio_equity`; fractions of the notional of one leg are shown in percent.
    """

    def below(returns: ArrayLike) -> FloatArray:
        return -drawdown(returns)

    figure = _curves(portfolio_returns, cost_bps, portfolio, horizon, split, below)
    figure.update_yaxes(tickformat=".0%")
    title = f"Drawdown: {TITLES[portfolio]}, {horizon} horizon, after {cost_bps:g} bps per side ({split} part)"
    return lay_out(figure, title=title, x="Session", y="Below the high")


def _curves(
    portfolio_returns: pd.DataFrame,
    cost_bps: float,
    portfolio: str,
    horizon: str,
    split: str,
    curve: Callable[[ArrayLike], FloatArray],
) -> go.Figure:
    check_columns(portfolio_returns, [*_CHOICE, "model", "date", "net"], "portfolio returns")
    costs = portfolio_returns["cost_bps"].unique()
    if cost_bps not in costs:
        raise ValueError(f"cost_bps is {cost_bps:g}; portfolio returns have the costs {sorted(costs.tolist())}")
    chosen = (portfolio_returns[_CHOICE] == [portfolio, horizon, split, cost_bps]).all(axis=1)
    rows = portfolio_returns[chosen]
    figure = go.Figure()
    for model in shown_models(model_order(list(rows["model"].unique()))):
        days = rows[(rows["model"] == model) & rows["net"].notna()].sort_values("date")
        add_model_line(figure, model, days["date"], pd.Series(curve(days["net"])))
    return figure.update_xaxes(nticks=6, tickangle=0, tickformat="%b\n%Y")
