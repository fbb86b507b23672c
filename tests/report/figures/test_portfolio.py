"""Figures of the simulated portfolios on series that can be checked by hand."""

import pandas as pd
import pytest

from gogooku_kedro.baselines import table
from gogooku_kedro.report.figures.portfolio import portfolio_drawdown, portfolio_equity, portfolio_turnover
from tests.report.report_run import portfolios_of


def test_turnover_is_a_mean_of_twenty_sessions_of_the_long_short_portfolio(daily) -> None:
    portfolios = portfolios_of(daily)
    first = portfolios["date"].min()
    portfolios.loc[(portfolios["date"] == first) & (portfolios["portfolio"] == "long_short"), "turnover"] = 2.2
    portfolios.loc[portfolios["portfolio"] == "long_only", "turnover"] = 9.0
    curve = next(trace for trace in portfolio_turnover(portfolios, "5d").data if trace.name == "model")
    assert curve.y[18] is None
    assert curve.y[19] == pytest.approx((2.2 + 19 * 0.2) / 20)
    assert curve.y[20] == pytest.approx(0.2)


def test_few_models_are_shown_at_first_and_no_neutral_versions_of_baselines_at_all(daily) -> None:
    assert sum(model.drawn for model in table.MODELS) <= 8
    portfolios = portfolios_of(daily)
    many = pd.concat(
        [portfolios, portfolios.assign(model="model_pca_neutral"), portfolios.assign(model="ridge_neutral")]
    )
    shown = {"model": True, "lightgbm": True, "model_pca_neutral": "legendonly"}
    for figure in (portfolio_equity(many, 10.0), portfolio_drawdown(many, 10.0), portfolio_turnover(many, "5d")):
        assert {trace.name: trace.visible for trace in figure.data} == shown
