"""Figures of the report on series that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.report.figures.model import calibration_plot, graph_monitoring
from gogooku_kedro.report.figures.portfolio import portfolio_drawdown, portfolio_equity, portfolio_turnover
from gogooku_kedro.report.figures.ranking import rank_ic_by_month
from gogooku_kedro.report.names import DRAWN
from gogooku_kedro.report.results import WalkForward, parse
from gogooku_kedro.report.tables import fold_tables
from tests.report.report_run import portfolios_of, text_rows


def test_the_heat_map_holds_the_mean_of_every_month_by_horizon_and_by_model(daily) -> None:
    figure = rank_ic_by_month(daily, "1d")
    horizons, models = figure.data
    assert list(horizons.y) == ["20d", "10d", "5d", "1d"]  # drawn from below
    assert list(models.y) == ["random", "lightgbm", "model"]
    assert list(models.x) == ["2024-01", "2024-02", "2024-03"]
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")]
    january = rows.loc[rows["date"].dt.month == 1, "rank_ic"].mean()
    assert models.z[2][0] == horizons.z[3][0] == pytest.approx(january, abs=1e-4)


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
    assert len(DRAWN) <= 8
    portfolios = portfolios_of(daily)
    many = pd.concat(
        [portfolios, portfolios.assign(model="model_pca_neutral"), portfolios.assign(model="ridge_neutral")]
    )
    shown = {"model": True, "lightgbm": True, "model_pca_neutral": "legendonly"}
    for figure in (portfolio_equity(many, 10.0), portfolio_drawdown(many, 10.0), portfolio_turnover(many, "5d")):
        assert {trace.name: trace.visible for trace in figure.data} == shown


def test_calibration_is_the_share_below_less_the_level_with_its_interval() -> None:
    rows = {"split": "test", "horizon": "5d", "level": [0.05, 0.5], "crossing": [0.0, 0.25], "days": 90}
    table = pd.DataFrame(rows | {"share_below": [0.08, np.nan], "low": [0.06, np.nan], "high": [0.11, np.nan]})
    figure = calibration_plot(pd.concat([table, table.assign(split="valid")]))
    (trace,) = figure.data
    assert list(trace.x) == ["5%", "50%"]
    assert list(trace.y) == [0.03, None]
    assert (trace.error_y.array[0], trace.error_y.arrayminus[0]) == (0.03, 0.02)
    assert "25.0%" in figure.layout.title.text


def test_monitoring_has_a_line_for_every_seed_and_does_without_a_graph() -> None:
    rows = {"epoch": [0, 1], "gat/attention_entropy": [0.9, 0.8], "gat/lambda_1d": [0.5, np.nan]}
    both = pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed in (3, 4)], ignore_index=True)
    figure = graph_monitoring(both)
    assert [(trace.name, trace.showlegend) for trace in figure.data] == [
        *[("gat/attention_entropy", False)] * 2,
        *[("1d", True), ("1d", False)],
    ]
    assert list(figure.data[2].y) == [0.5, None]
    assert len(graph_monitoring(both[["epoch", "seed"]]).data) == 0


def test_the_table_over_folds_has_a_column_per_fold_and_one_for_all() -> None:
    cell = {"rank_ic": 0.02, "rank_ic_ci": [0.01, 0.03]}
    of_model = {"5d": cell | {"folds": {"1": cell, "2": cell | {"rank_ic": -0.01, "rank_ic_ci": [None, None]}}}}
    spans = [{"split": {"test": [f"202{year}-03-01", "…"]}} for year in (1, 2)]
    found = {"test": {"model": of_model, "ridge_neutral": of_model}, "folds": spans}
    (table,) = fold_tables(parse(WalkForward, found))
    assert [column.heading for column in table.columns] == ["1: 2021-03", "2: 2022-03", "all folds"]
    assert text_rows(table) == [
        ["model", "+0.0200 [+0.010,\u00a0+0.030]", "−0.0100 –", "+0.0200 [+0.010,\u00a0+0.030]"]
    ]
