"""The table of predictions and labels, read by alphalens-reloaded."""

import warnings
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.export import alphalens_table
from gogooku_kedro.metrics.daily import daily_metrics

with warnings.catch_warnings():  # its import takes seconds and warns about old syntax
    warnings.simplefilter("ignore")
    alphalens = import_module("alphalens")


@pytest.fixture(scope="module")
def table(panel, labels, predictions, tmp_path_factory) -> pd.DataFrame:
    """Written to Parquet and read back."""
    file = tmp_path_factory.mktemp("out") / "factor.parquet"
    alphalens_table(predictions, labels, panel["sector"].to_series(), 5).to_parquet(file)
    return pd.read_parquet(file)


def test_alphalens_measures_the_rank_ic_of_this_project(table, labels, predictions):
    assert list(alphalens.utils.get_forward_returns_columns(table.columns)) == ["1D", "5D"]
    for horizon in (1, 5):
        kept = table.dropna(subset=["factor", f"{horizon}D", "factor_quantile"])[["factor", f"{horizon}D"]]
        theirs = alphalens.performance.factor_information_coefficient(kept)[f"{horizon}D"]
        scored = predictions.assign(**{f"score_{horizon}d": predictions["score_5d"]})
        ours = daily_metrics(scored, labels, 0.0).query(f"horizon == '{horizon}d'").set_index("date")["rank_ic"]
        np.testing.assert_allclose(theirs, ours.reindex(theirs.index), atol=1e-12)
        assert len(theirs) >= 50


def test_alphalens_reads_quantiles_and_groups(table):
    clean = table.dropna(subset=["factor", "1D", "5D", "factor_quantile"])
    means, _ = alphalens.performance.mean_return_by_quantile(clean, by_group=True, demeaned=False)
    assert set(means.index.get_level_values("factor_quantile")) == set(range(1, 11))
    assert set(means.index.get_level_values("group")) <= set(table["group"])
    day = clean.loc[clean.index.get_level_values("date")[0]]
    assert day.sort_values("factor")["factor_quantile"].is_monotonic_increasing


def test_a_missing_label_is_missing_and_its_row_stays(table, predictions, labels):
    assert len(table) == len(predictions)
    last = table.loc[predictions["date"].max()]
    assert last[["1D", "5D"]].isna().all(axis=None)
    assert last["factor"].notna().all()
    day, code = predictions["date"].min(), predictions["code"].iloc[0]
    assert table.loc[(day, code), "5D"] == labels["ret"].sel(date=day, code=code, horizon=5)


def test_scores_that_make_no_ten_groups_have_no_quantile(panel, labels, predictions):
    tied = predictions.assign(score_5d=np.sign(predictions["score_5d"]))
    table = alphalens_table(tied, labels, panel["sector"].to_series(), 5)
    assert table["factor_quantile"].isna().all()


def test_predictions_without_rows_or_scores_are_refused(panel, labels, predictions):
    sectors = panel["sector"].to_series()
    with pytest.raises(ValueError, match="hold no rows"):
        alphalens_table(predictions[:0], labels, sectors, 5)
    with pytest.raises(ValueError, match="lacks the column 'score_20d'"):
        alphalens_table(predictions.drop(columns="score_20d"), labels, sectors, 20)
