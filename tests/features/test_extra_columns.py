"""A column of the user's, and a function of a notebook, become features like all others."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.features import Execution, compute_features, feature_manifest, registry
from gogooku_kedro.market import build_panel, standardise_bars

DATES = pd.bdate_range("2024-01-04", periods=30)
CODES = ["AAA", "BBB", "CCC"]


@pytest.fixture
def bars() -> pd.DataFrame:
    """30 sessions of three stocks; `rating` counts the rows."""
    rng = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product([DATES, CODES], names=["date", "code"]).to_frame(index=False)
    close = 100 + rng.normal(size=len(keys)).round(2)
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1000.0}
    return keys.assign(**prices, rating=np.arange(90.0), note="as the user likes")


@pytest.fixture
def manifest_of():
    def describe(panel):
        return feature_manifest(
            panel, ["returns"], normalisation="gaussian_rank", normalisation_of={}, sector_neutral=["extra"], clip=8.0
        )

    return describe


@pytest.fixture
def registered():
    registry.REGISTERED.clear()
    yield registry.REGISTERED
    registry.REGISTERED.clear()


@pytest.mark.parametrize("lag", [0, 2])
def test_a_column_is_known_its_lag_after_its_row(bars, lag, manifest_of):
    daily, report = standardise_bars(bars, extra_columns=["rating"])
    assert report["unknown_columns"] == ["note"]
    panel = build_panel(daily, extra_columns={"rating": lag})
    stated = np.arange(90.0).reshape(30, 3)
    np.testing.assert_array_equal(panel["extra_rating"][lag:], stated[: 30 - lag])
    assert panel["extra_rating"][:lag].isnull().all()

    raw = compute_features(panel, ["returns"], Execution("local", None, 1, 64))
    np.testing.assert_array_equal(raw["extra_rating"], panel["extra_rating"])
    (entry,) = [entry for entry in manifest_of(panel)["features"] if entry["family"] == "extra"]
    assert (entry["name"], entry["column"], entry["needs"]) == (
        "extra_rating",
        "extra_rating_sector_rank",
        ["extra_rating"],
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_gives_the_columns_it_is_asked_for(bars, ending, tmp_path):
    path = tmp_path / f"bars.{ending}"
    bars.to_csv(path, index=False) if ending == "csv" else bars.to_parquet(path)
    source = OhlcvFileDataset(filepath=str(path))
    assert "extra_rating" not in source.load()
    source.extra = ("rating",)
    daily, _ = standardise_bars(source.load(), extra_columns=["rating"])
    np.testing.assert_array_equal(daily["extra_rating"], np.arange(90.0))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("score", "names 'score', which is not there; found"),
        ("volume", "names 'volume', which is the volume of the bars already"),
        ("note", "column 'note' has 90 values that are not numbers"),
    ],
)
def test_a_column_that_cannot_be_a_feature_is_refused(bars, name, sentence):
    bars.attrs["source"] = "mine.csv"
    with pytest.raises(ValueError, match=r"mine\.csv: ") as refusal:
        standardise_bars(bars, extra_columns=[name])
    assert sentence in str(refusal.value)


def test_a_function_is_registered_in_three_lines(bars, manifest_of, registered):
    @registry.feature(needs=["adj_close"], lookback=5)
    def above_average(panel):
        return panel["adj_close"] / panel["adj_close"].rolling(date=5).mean() - 1

    panel = build_panel(standardise_bars(bars)[0])
    raw = compute_features(panel, ["returns"], Execution("local", None, 1, 64))
    close = panel["adj_close"].astype("float64")
    by_hand = close / close.rolling(date=5).mean() - 1
    np.testing.assert_allclose(raw["above_average"][5:], by_hand[5:], rtol=1e-5)
    assert "above_average_rank" in manifest_of(panel)["columns"]
    before = registry.registered_identity()

    @registry.feature(needs=["adj_close"], lookback=9, name="above_average")
    def another(panel):
        return panel["adj_close"]

    assert registered["above_average"].lookback == 9
    assert registry.registered_identity() != before


@pytest.mark.parametrize(
    ("name", "needs", "lookback"),
    [("return_5d", ["close"], 5), ("extra_x", ["close"], 0), ("mine", "close", 0), ("mine", ["close"], -1)],
)
def test_what_is_no_feature_is_refused(name, needs, lookback, registered):
    with pytest.raises(ValueError, match=f"feature '{name}'"):
        registry.feature(needs=needs, lookback=lookback, name=name)(lambda panel: panel["close"])
    assert registered == {}


def test_a_registered_feature_does_not_leave_this_process(bars, registered):
    registry.feature(needs=["close"], lookback=0, name="mine")(lambda panel: panel["close"])
    panel = build_panel(standardise_bars(bars)[0])
    with pytest.raises(ValueError, match="the registered features mine are in this process alone"):
        compute_features(panel, ["returns"], Execution("dask", None, 1, 64))
