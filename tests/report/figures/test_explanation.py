"""Figures of what a model learned draw what their tables hold."""

import pandas as pd

from gogooku_kedro.report.figures.explanation import (
    attention_network,
    importance_bars,
    largest_sector,
    weights_by_month,
)


def pairs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": ["b", "c", "x", "y", "a"],
            "target": ["a", "a", "b", "c", "z"],
            "lift": [2.0, 0.5, 1.0, 9.0, 5.0],
            "sign": [1, -1, 1, 1, 1],
            "days": [10, 10, 10, 2, 10],
            "target_sector": ["Foods", "Foods", "Foods", "Foods", "Banks"],
        }
    )


def test_the_network_shows_steady_pairs_of_one_sector():
    assert largest_sector(pairs()) == "Foods"
    figure = attention_network(pairs(), 10)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [line.line.width for line in lines] == [4.0, 2.0, 1.0]  # y hears c on two days of ten: left out
    assert len({line.line.color for line in lines}) == 2  # c moves against a
    inner, outer = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert (list(inner.text), list(outer.text)) == (["a", "b"], ["c", "x"])
    assert "Foods" in figure.layout.title.text
    assert len([t for t in attention_network(pairs(), 1).data if t.mode == "lines"]) == 1


def test_figures_of_a_model_without_graph_or_selection_are_empty_and_drawn():
    network = attention_network(pairs()[:0], 10)
    assert [len(trace.x) for trace in network.data] == [0, 0]
    empty = pd.DataFrame(columns=["month", "family", "features", "weight", "ratio"])
    assert weights_by_month(empty).to_json()


def test_the_heat_map_has_the_favoured_family_on_top():
    table = pd.DataFrame(
        {
            "month": ["2021-01", "2021-01", "2021-02", "2021-02"],
            "family": ["one", "two", "one", "two"],
            "ratio": [1.5, 0.5, 1.3, 0.7],
        }
    )
    (heat,) = weights_by_month(table).data
    assert list(heat.y) == ["two", "one"]  # the last row is drawn on top
    assert [list(row) for row in heat.z] == [[0.5, 0.7], [1.5, 1.3]]
    assert heat.zmid == 1


def test_bars_have_their_intervals_and_one_horizon_is_shown_first():
    rows = [
        {"family": family, "horizon": horizon, "drop": drop, "low": drop - 0.01, "high": drop + 0.02}
        for horizon in ("1d", "5d", "10d", "20d")
        for family, drop in (("used", 0.05), ("vain", 0.0))
    ]
    table = pd.DataFrame(rows)
    table.loc[table["family"] == "vain", ["low", "high"]] = None
    figure = importance_bars(table)
    assert {trace.name: trace.visible for trace in figure.data} == {
        "1d": "legendonly",
        "5d": True,
        "10d": "legendonly",
        "20d": "legendonly",
    }
    shown = figure.data[1]
    assert list(shown.y) == ["vain", "used"]
    assert list(shown.error_x.array) == [None, 0.02]
    assert list(shown.error_x.arrayminus) == [None, 0.01]
