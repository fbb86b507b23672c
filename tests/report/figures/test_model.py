"""Figures of the network on series that can be checked by hand."""

import numpy as np
import pandas as pd

from gogooku_kedro.report.figures.model import calibration_plot, graph_monitoring, loss_curves


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


def test_the_training_of_several_seeds_has_a_line_for_each_and_one_legend() -> None:
    rows = {"epoch": [0, 1], "train/loss": [1.0, 0.9], "valid/rank_ic_1d": [-np.inf, 0.02]}
    both = pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed in (3, 4)], ignore_index=True)
    one, two = loss_curves(both[both["seed"] == 3]), loss_curves(both)
    assert [trace.name for trace in one.data] == ["train/loss", "rank IC 1d"]
    assert [trace.name for trace in two.data] == ["train/loss", "rank IC 1d"] * 2
    assert [trace.showlegend for trace in two.data] == [True, True, False, False]
    assert two.data[1].y == two.data[3].y == (None, 0.02)
    assert two.data[1].line.color == two.data[3].line.color
