"""Plotly figures of a run over time: rank IC by month, and turnover of the portfolios."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.report.figures.style import add_model_line, lay_out, model_order, plain_numbers
from gogooku_kedro.report.names import first_shown, shown_models

SMOOTHED = 20
"""Sessions over which turnover is averaged."""

LABELS = 6
"""Months named below the heat map."""


def rank_ic_by_month(daily: pd.DataFrame, horizon: str, model: str = "model") -> go.Figure:
    """Return heat maps of the mean daily rank IC by month: the model's horizons, and models at one horizon.

    A month counts from its first session in the valid or the test part; white is 0.

    Args:
        daily: Table of `daily_metrics`.
        horizon: Horizon at which models are compared, e.g. "5d".
        model: Model whose horizons are shown.
    """
    check_columns(daily, ["model", "split", "horizon", "date", "rank_ic"], "daily metrics")
    month = daily["date"].dt.strftime("%Y-%m").rename("month")
    drawn = [name for name in model_order(list(daily["model"].unique())) if first_shown(name) is True][::-1]
    own, all_models = daily[daily["model"] == model], daily[daily["horizon"] == horizon]
    by_horizon = own.groupby(["horizon", month], sort=False)["rank_ic"].mean().unstack("month")
    by_model = all_models.groupby(["model", month], sort=False)["rank_ic"].mean().unstack("month")
    order = sorted(by_horizon.index, key=lambda name: -horizon_sessions(name))
    panels = [by_horizon.loc[order].sort_index(axis=1), by_model.reindex(drawn).sort_index(axis=1)]
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        row_heights=[max(1, len(panel)) for panel in panels],
        vertical_spacing=0.12,
        subplot_titles=[f"{model}, every horizon", f"every model, {horizon} horizon"],
    )
    for row, panel in enumerate(panels, start=1):
        figure.add_heatmap(
            x=panel.columns.tolist(),
            y=panel.index.tolist(),
            z=[plain_numbers(values, 4) for _, values in panel.iterrows()],
            coloraxis="coloraxis",
            hovertemplate="%{y}, %{x}: %{z:+.4f}<extra></extra>",
            row=row,
            col=1,
        )
    first = daily.loc[daily["split"] == "test", "date"].min()
    note = f"the test part begins {first:%Y-%m-%d}" if pd.notna(first) else "no test part"
    styled = lay_out(figure, title=f"Rank IC by month<br><sup>{note}</sup>", x=None, y=None)
    months = sorted(month.unique())[:: -(-month.nunique() // LABELS)]
    names = [f"{pd.Period(name):%b<br>’%y}" for name in months]
    styled.update_xaxes(type="category", tickvals=months, ticktext=names, tickangle=0)
    scale = {"colorscale": "RdBu", "cmid": 0.0, "colorbar": {"thickness": 10, "tickformat": "+.2f"}}
    return styled.update_layout(
        coloraxis=scale, hovermode="closest", height=520, margin={"l": 104, "r": 8, "t": 88, "b": 40}
    )


def portfolio_turnover(portfolio_returns: pd.DataFrame, horizon: str, *, split: str = "test") -> go.Figure:
    """Return the turnover a session of the long-short portfolio per model, a running mean of 20 sessions.

    Args:
        portfolio_returns: Table of `portfolios.backtest_portfolios`; turnover is the same at every cost.
        horizon: Name of the horizon, e.g. "5d".
        split: Part of the split.
    """
    columns = ["model", "split", "portfolio", "horizon", "cost_bps", "date", "turnover"]
    check_columns(portfolio_returns, columns, "portfolio returns")
    chosen = (portfolio_returns[["split", "portfolio", "horizon"]] == [split, LONG_SHORT, horizon]).all(axis=1)
    rows = portfolio_returns[chosen & (portfolio_returns["cost_bps"] == portfolio_returns["cost_bps"].min())]
    figure = go.Figure()
    for model in shown_models(model_order(list(rows["model"].unique()))):
        days = rows[rows["model"] == model].sort_values("date")
        add_model_line(figure, model, days["date"], days["turnover"].rolling(SMOOTHED).mean())
    figure.update_xaxes(nticks=6, tickangle=0, tickformat="%b\n%Y")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    title = f"Turnover, long-short portfolio, {horizon} horizon ({split} part)"
    note = f"of the notional of one leg a session, mean of {SMOOTHED} sessions"
    return lay_out(figure, title=f"{title}<br><sup>{note}</sup>", x="Session", y="Turnover")
