import numpy as np
import pandas as pd
import pandera.errors
import pytest
from kedro.io import DataCatalog
from kedro.validation.exceptions import DataValidationError

from gogooku_kedro.schemas import (
    DailyBars,
    GraphEdges,
    Predictions,
    WalkForwardDailyMetrics,
    WalkForwardPredictions,
    rises_strictly,
)


def daily_bars():
    return pd.DataFrame(
        {
            "date": pd.to_datetime(["2024-01-04", "2024-01-04", "2024-01-05"]).as_unit("ns"),
            "code": ["13010", "72030", "13010"],
            "open": [100.0, np.nan, 100],
            "high": [110.0, np.nan, 110],
            "low": [90.0, np.nan, 90],
            "close": [105.0, np.nan, 105],
            "volume": [10.0, np.nan, 10],
            "turnover_value": np.nan,
            "adj_factor": [1.0, 1.0, 0.5],
            "limit_up": False,
            "limit_down": False,
            "sector": "n/a",
            "market": "n/a",
        }
    )


def edges():
    return pd.DataFrame(
        {
            "asof": pd.to_datetime(["2024-01-04"] * 2),
            "source": ["13010", "72030"],
            "target": ["13010", "13010"],
            "correlation": np.float32([1, -0.4]),
            "abs_correlation": np.float32([1, 0.4]),
            "same_sector": np.float32([1, 0]),
            "is_self": np.float32([1, 0]),
            "is_correlation": np.float32([0, 1]),
            "is_sector_nearest": np.float32([0, 1]),
            "is_lead_lag": np.float32([0, 0]),
            "lead_correlation": np.float32([0, -0.2]),
        }
    )


def predictions():
    scores = {f"score_{h}": [0.1, -0.2] for h in ("1d", "5d", "10d", "20d")}
    return pd.DataFrame(
        {"date": pd.to_datetime(["2024-01-04"] * 2), "code": ["13010", "72030"], "split": "test"} | scores
    )


def failures(model, frame):
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        model.validate(frame, lazy=True)
    return " | ".join(caught.value.failure_cases["check"].astype(str))


@pytest.mark.parametrize("model", [DailyBars, GraphEdges, Predictions])
def test_good_tables_pass_and_survive_parquet(model, tmp_path):
    frame = {DailyBars: daily_bars, GraphEdges: edges, Predictions: predictions}[model]()
    frame.to_parquet(tmp_path / "t.parquet")
    checked = model.validate(pd.read_parquet(tmp_path / "t.parquet"), lazy=True)
    assert checked.iloc[:, 0].dtype == "datetime64[ns]"


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("close", 0, 0.0, "greater_than(0)"),
        ("adj_factor", 2, 0.0, "greater_than(0)"),
        ("adj_factor", 2, np.nan, "not_nullable"),
        ("high", 0, 104.0, "low <= open, close <= high"),
        ("low", 0, 101.0, "low <= open, close <= high"),
        ("low", 0, 111.0, "low <= open, close <= high"),
        ("volume", 1, 5.0, "a row without a close has no open, high, low, volume"),
        ("code", 1, "13010", "no stock-day occurs twice"),
        ("code", 1, "10000", "rows are sorted by date and code"),
        ("date", 2, pd.Timestamp("2024-01-05 15:00"), "date is at midnight"),
        ("date", 2, pd.Timestamp("2024-01-03"), "rows are sorted by date and code"),
    ],
)
def test_daily_bars_refuse_what_a_market_cannot_do(column, row, value, message):
    frame = daily_bars()
    frame.loc[row, column] = value
    assert message in failures(DailyBars, frame)


def test_missing_and_further_columns_of_daily_bars_are_refused():
    assert "column_in_dataframe" in failures(DailyBars, daily_bars().drop(columns="sector"))
    assert "column_in_schema" in failures(DailyBars, daily_bars().assign(extra=1))


def test_a_repeated_index_is_no_obstacle():
    assert len(DailyBars.validate(daily_bars().set_axis([0, 0, 0]))) == 3


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("correlation", 1.5, "less_than_or_equal_to"),
        ("abs_correlation", 0.5, "absolute value of correlation"),
        ("is_self", 1.0, "is_self is 1 exactly where"),
        ("source", "13010", "no edge occurs twice"),
        ("is_lead_lag", 0.5, "isin"),
        ("lead_correlation", np.nan, "not_nullable"),
        ("is_correlation", np.nan, "not_nullable"),
    ],
)
def test_graph_edges_refuse_contradictions(column, value, message):
    frame = edges()
    frame.loc[1, column] = value
    assert message in failures(GraphEdges, frame)


@pytest.mark.parametrize(("row", "kind"), [(0, 1.0), (1, 0.0)])
def test_an_edge_between_two_stocks_has_a_type_and_a_self_loop_has_none(row, kind):
    frame = edges().assign(is_sector_nearest=np.float32([0, 0]))
    frame.loc[row, "is_correlation"] = kind
    assert "has a type, a self loop has none" in failures(GraphEdges, frame)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "train", "isin"),
        ("score_5d", np.nan, "not_nullable"),
        ("score_5d", np.inf, "every score is finite"),
        ("code", "13010", "one row per date, code"),
    ],
)
def test_predictions_refuse_what_cannot_be_ranked(column, value, message):
    frame = predictions()
    frame.loc[1, column] = value
    assert message in failures(Predictions, frame)


def test_baselines_have_one_row_per_model():
    both = pd.concat([predictions().assign(model=name) for name in ("ridge", "lightgbm")])
    assert len(Predictions.validate(both)) == 4


def test_members_of_an_ensemble_have_one_row_per_seed():
    both = pd.concat([predictions().assign(seed=seed) for seed in (0, 1)])
    assert len(Predictions.validate(both)) == 4
    assert "one row per date, code" in failures(Predictions, both.assign(seed=0).reset_index(drop=True))


def test_a_session_is_tested_in_one_fold():
    folds = predictions().assign(fold=1, model="model")
    later = folds.assign(fold=2, date=pd.Timestamp("2024-01-05"))
    assert len(WalkForwardPredictions.validate(pd.concat([folds, later]))) == 4
    twice = pd.concat([folds, folds.assign(fold=2, model="ridge")], ignore_index=True)
    assert "every session is tested in one fold" in failures(WalkForwardPredictions, twice)
    assert "isin" in failures(WalkForwardPredictions, folds.assign(split="valid"))


def test_a_session_of_a_fold_is_measured_once():
    row = {"model": "model", "split": "test", "horizon": "1d", "date": pd.Timestamp("2024-01-04"), "n": 30}
    daily = pd.DataFrame([row | {"fold": 1, "rank_ic": np.nan, "turnover": 0.5, "long_short_net": -0.01}])
    assert len(WalkForwardDailyMetrics.validate(daily)) == 1
    twice = pd.concat([daily, daily], ignore_index=True)
    assert "one row per model (and seed)" in failures(WalkForwardDailyMetrics, twice)
    assert len(WalkForwardDailyMetrics.validate(twice.assign(seed=[0, 1]))) == 2
    assert "isin" in failures(WalkForwardDailyMetrics, daily.assign(horizon="2d"))


def test_the_catalog_refuses_a_bad_table_in_words(tmp_path):
    entry = {
        "type": "gogooku_kedro.datasets.ParquetDataset",
        "filepath": str(tmp_path / "daily_bars.parquet"),
        "validator": "gogooku_kedro.schemas.DailyBars",
    }
    catalog = DataCatalog.from_config({"daily_bars": entry})
    catalog.save("daily_bars", daily_bars())
    assert len(catalog.load("daily_bars")) == 3
    with pytest.raises(DataValidationError, match=r"no stock-day occurs twice"):
        catalog.save("daily_bars", pd.concat([daily_bars(), daily_bars()]))


def test_one_row_is_sorted():
    assert rises_strictly(daily_bars().head(1), ["date", "code"])
