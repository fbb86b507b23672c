"""Figures of rank IC and deciles on series that can be checked by hand."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from gogooku_kedro.metrics.daily import daily_metrics_and_deciles
from gogooku_kedro.metrics.deciles import decile_profile
from gogooku_kedro.report.figures.model import degree_histogram, loss_curves
from gogooku_kedro.report.figures.ranking import cumulative_rank_ic, decile_returns, rank_ic_by_month


def test_the_heat_map_holds_the_mean_of_every_month_by_horizon_and_by_model(daily) -> None:
    figure = rank_ic_by_month(daily, "1d")
    horizons, models = figure.data
    assert list(horizons.y) == ["20d", "10d", "5d", "1d"]  # drawn from below
    assert list(models.y) == ["random", "lightgbm", "model"]
    assert list(models.x) == ["2024-01", "2024-02", "2024-03"]
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")]
    january = rows.loc[rows["date"].dt.month == 1, "rank_ic"].mean()
    assert models.z[2][0] == horizons.z[3][0] == pytest.approx(january, abs=1e-4)


def test_figures_are_small_titled_and_mark_the_test_part(daily, labels, predict) -> None:
    history = pd.DataFrame({"epoch": [0, 1], "train/loss": [1.0, 0.9], "valid/rank_ic_1d": [np.nan, 0.02]})
    edges = pd.DataFrame(
        {
            "asof": pd.Timestamp("2024-01-04"),
            "source": ["B", "C", "A", "B"],
            "target": ["A", "A", "A", "B"],
            "is_self": [0.0, 0.0, 1.0, 1.0],
        }
    )
    _, deciles = daily_metrics_and_deciles(predict(labels["ret"].sel(horizon=1).values), labels, 0.0)
    profile = decile_profile(deciles)
    figures = [cumulative_rank_ic(daily, "1d"), decile_returns(profile), loss_curves(history), degree_histogram(edges)]
    for figure in figures:
        assert isinstance(figure, go.Figure)
        assert figure.layout.title.text
        assert len(figure.to_json()) < 100_000
    assert figures[0].layout.annotations[0].text == "test part"
    assert figures[3].data[0].y == (0.5, 0.0, 0.5)  # B has no neighbour, A has two


def test_cumulative_rank_ic_ends_at_the_sum_of_the_test_part(daily) -> None:
    figure = cumulative_rank_ic(daily, "1d")
    rows = daily[(daily["model"] == "model") & (daily["horizon"] == "1d")]
    trace = next(trace for trace in figure.data if trace.name == "model")
    assert trace.y[-1] == pytest.approx(rows["rank_ic"].sum(), abs=1e-4)


def test_an_axis_of_a_short_test_part_names_days_and_a_long_one_months(daily) -> None:
    axis = cumulative_rank_ic(daily, "1d").layout.xaxis
    short, long = axis.tickformatstops
    assert (short.value, long.value) == ("%b %-d\n%Y", "%b\n%Y")
    assert short.dtickrange[1] < 28 * 86_400_000
    assert long.dtickrange == ("M1", None)
