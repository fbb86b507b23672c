"""Plotly figures of the simulated portfolios: equity net of costs, drawdown and turnover."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from gogooku_kedro.backtest.performance import drawdown, equity
from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.baselines.table import NETWORK
from gogooku_kedro.columns import sorted_horizons
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import add_model_line, lay_out, model_order, month_maps, name_dates
from gogooku_kedro.report.names import first_shown, shown_models

SMOOTHED = 20
"""Sessions over which turnover is averaged."""

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
    choice = _choice(portfolio_returns, cost_bps, portfolio, horizon, split)
    figure = _curves(portfolio_returns, choice, "net", lambda net: pd.Series(equity(net), net.index))
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
    choice = _choice(portfolio_returns, cost_bps, portfolio, horizon, split)
    figure = _curves(portfolio_returns, choice, "net", lambda net: pd.Series(-drawdown(net), net.index))
    figure.update_yaxes(tickformat=".0%")
    title = f"Drawdown: {TITLES[portfolio]}, {horizon} horizon, after {cost_bps:g} bps per side ({split} part)"
    return lay_out(figure, title=title, x="Session", y="Below the high")


def portfolio_turnover(portfolio_returns: pd.DataFrame, horizon: str, *, split: str = "test") -> go.Figure:
    """Return the turnover a session of the long-short portfolio per model, a running mean of 20 sessions.

    Args:
        portfolio_returns: Table of `portfolios.backtest_portfolios`; turnover is the same at every cost.
        horizon: Name of the horizon, e.g. "5d".
        split: Part of the split.
    """
    cost_bps = portfolio_returns["cost_bps"].min()
    choice = {"portfolio": LONG_SHORT, "horizon": horizon, "split": split, "cost_bps": cost_bps}
    figure = _curves(portfolio_returns, choice, "turnover", lambda turnover: turnover.rolling(SMOOTHED).mean())
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    title = f"Turnover, long-short portfolio, {horizon} horizon ({split} part)"
    note = f"of the notional of one leg a session, mean of {SMOOTHED} sessions"
    return lay_out(figure, title=f"{title}<br><sup>{note}</sup>", x="Session", y="Turnover")


def monthly_returns(
    portfolio_returns: pd.DataFrame, cost_bps: float, *, model: str = NETWORK, horizon: str = "5d", split: str = "test"
) -> go.Figure:
    """Return heat maps of the net return by month of the long-short portfolio: horizons of a model, and models.

    Daily returns of a month add up, as the notional stays the same; fractions of one leg are shown in percent.

    Args:
        portfolio_returns: Table of `portfolios.backtest_portfolios`.
        cost_bps: Which cost per side.
        model: Model whose horizons are shown.
        horizon: Horizon at which models are compared.
        split: Part of the split.
    """
    choice = _choice(portfolio_returns, cost_bps, LONG_SHORT, horizon, split)
    rows = portfolio_returns[
        (portfolio_returns[["portfolio", "split", "cost_bps"]] == [LONG_SHORT, split, cost_bps]).all(axis=1)
    ]
    month = rows["date"].dt.strftime("%Y-%m").rename("month")
    sums = rows.groupby(["model", "horizon", month])["net"].sum(min_count=1).unstack("month")
    models = [name for name in model_order(list(rows["model"].unique())) if first_shown(name) is True][::-1]
    names = sorted_horizons(rows["horizon"])[::-1]
    own = sums.reindex([(model, name) for name in names]).droplevel("model")
    beside = sums.reindex([(name, choice["horizon"]) for name in models]).droplevel("horizon")
    title = f"Net return by month ({split} part)<br><sup>long-short, after {cost_bps:g} bps per side</sup>"
    panels = {f"{model}, every horizon": own, f"every model, {horizon} horizon": beside}
    return month_maps(panels, title=title, spec="+.1%")


def _choice(
    portfolio_returns: pd.DataFrame, cost_bps: float, portfolio: str, horizon: str, split: str
) -> dict[str, object]:
    check_columns(portfolio_returns, ["cost_bps"], "portfolio returns")
    costs = portfolio_returns["cost_bps"].unique()
    if cost_bps not in costs:
        raise ValueError(f"cost_bps is {cost_bps:g}; portfolio returns have the costs {sorted(costs.tolist())}")
    return {"portfolio": portfolio, "horizon": horizon, "split": split, "cost_bps": cost_bps}


def _curves(
    portfolio_returns: pd.DataFrame,
    choice: dict[str, object],
    column: str,
    curve: Callable[[pd.Series[float]], pd.Series[float]],
) -> go.Figure:
    check_columns(portfolio_returns, [*choice, "model", "date", column], "portfolio returns")
    rows = portfolio_returns[(portfolio_returns[list(choice)] == list(choice.values())).all(axis=1)]
    figure = go.Figure()
    for model in shown_models(model_order(list(rows["model"].unique()))):
        days = rows[rows["model"] == model].set_index("date")[column].sort_index()
        values = curve(days.dropna() if column == "net" else days)
        add_model_line(figure, model, values.index.to_series(), values)
    return name_dates(figure)
