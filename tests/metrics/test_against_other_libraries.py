"""The daily series against SciPy and alphalens-reloaded, on predictions with gaps."""

import warnings
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gogooku_kedro.metrics.daily import daily_metrics, daily_metrics_and_deciles

# Its import takes seconds and warns about old syntax.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    alphalens = import_module("alphalens")


@pytest.fixture
def predictions(labels, predict) -> pd.DataFrame:
    """A slow score that knows a little; every stock has a label on every day but the last."""
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(60, 30)), axis=0)
    return predict(slow + 100 * labels["ret"].sel(horizon=1).fillna(0).values)


@pytest.fixture
def clean(labels, predictions) -> pd.DataFrame:
    """The table that alphalens works on, with score deciles."""
    keys = pd.MultiIndex.from_frame(predictions[["date", "code"]], names=["date", "asset"])
    frame = pd.DataFrame({"factor": predictions["score_1d"].to_numpy()}, index=keys)
    frame["1D"], frame["5D"] = (labels["ret"].sel(horizon=h).values.ravel() for h in (1, 5))
    frame = frame.dropna()
    frame["factor_quantile"] = frame.groupby(level="date")["factor"].transform(
        lambda day: pd.qcut(day, 10, labels=False) + 1
    )
    return frame


@pytest.fixture
def daily(labels, predictions) -> pd.DataFrame:
    table = daily_metrics(predictions, labels, 0.0)
    return table[table["rank_ic"].notna()]


def test_rank_ic_and_ic_are_scipys(labels, predictions) -> None:
    holes = predictions[np.random.default_rng(1).random(len(predictions)) > 0.2]
    daily = daily_metrics(holes, labels, 0.0).set_index(["horizon", "date"])
    for horizon in (1, 20):
        ret = labels["ret"].sel(horizon=horizon).to_series()
        for day in labels["date"].values[[0, 30]]:
            rows = holes[holes["date"] == day]
            both = rows[f"score_{horizon}d"].to_numpy(), ret[day].reindex(rows["code"]).to_numpy()
            found = daily.loc[(f"{horizon}d", day)]
            assert found["rank_ic"] == pytest.approx(stats.spearmanr(*both)[0])
            assert found["ic"] == pytest.approx(stats.pearsonr(*both)[0])
            assert found["dispersion"] == pytest.approx(stats.tstd(both[0]))


def test_rank_ic_of_every_date_is_that_of_alphalens(clean, daily) -> None:
    theirs = alphalens.performance.factor_information_coefficient(clean)
    for name in ("1d", "5d"):
        ours = daily[daily["horizon"] == name].set_index("date")["rank_ic"]
        np.testing.assert_allclose(ours, theirs[name.upper()], atol=1e-12)


def test_decile_returns_are_those_of_alphalens(labels, predictions, clean) -> None:
    theirs, _ = alphalens.performance.mean_return_by_quantile(clean, by_date=True, demeaned=False)
    deciles = daily_metrics_and_deciles(predictions, labels, 0.0)[1].dropna()
    for name in ("1d", "5d"):
        ours = deciles[deciles["horizon"] == name].set_index(["decile", "date"])["mean_return"]
        expected = theirs[name.upper()].rename_axis(["decile", "date"]).reindex(ours.index)
        np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_autocorrelation_is_that_of_alphalens(clean, daily) -> None:
    rows = daily[daily["horizon"] == "5d"].set_index("date")
    for column, sessions in (("score_autocorrelation", 1), ("score_autocorrelation_h", 5)):
        theirs = alphalens.performance.factor_rank_autocorrelation(clean, period=sessions)
        np.testing.assert_allclose(rows[column], theirs.reindex(rows.index), atol=1e-12)


def test_turnover_of_the_one_session_portfolio_is_that_of_its_two_deciles(clean, daily) -> None:
    # Legs of three stocks each: half of all that is bought and sold is the share of new names in each leg.
    theirs = sum(alphalens.performance.quantile_turnover(clean["factor_quantile"], decile) for decile in (1, 10))
    ours = daily[daily["horizon"] == "1d"].set_index("date")["turnover"]
    np.testing.assert_allclose(ours.iloc[1:], theirs.reindex(ours.index).iloc[1:], atol=1e-12)
