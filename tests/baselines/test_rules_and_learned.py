import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines.learned import fit_lightgbm, fit_ridge, learning_rows
from gogooku_kedro.baselines.rules import rule_baselines
from gogooku_kedro.metrics.daily import daily_metrics, summarise_metrics

DATES = pd.bdate_range("2024-01-04", periods=120)
CODES = [str(1301 + i) for i in range(40)]
COORDS = {"date": DATES, "code": CODES}
HORIZONS = [1, 5]


def iso(position: int) -> str:
    return f"{DATES[position]:%Y-%m-%d}"


SPLIT = {
    "train": [iso(0), iso(59)],
    "valid": [iso(66), iso(89)],
    "test": [iso(96), iso(119)],
    "purge_sessions": 6,
}


@pytest.fixture
def market() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Features, members and labels; feature 0 drives horizon 1, feature 1 drives horizon 5."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 40, 5)).astype(np.float32)
    noise = rng.normal(size=(120, 40, 2))
    ret = (0.01 * (0.5 * x[..., :2] + noise)).astype(np.float32)
    ret[-2:] = np.nan
    ret[rng.random(ret.shape) < 0.02] = np.nan
    in_universe = rng.random((120, 40)) < 0.95
    return (
        xr.DataArray(x, dims=("date", "code", "feature"), coords=COORDS),
        xr.DataArray(in_universe, dims=("date", "code"), coords=COORDS),
        xr.DataArray(ret, dims=("date", "code", "horizon"), coords={**COORDS, "horizon": HORIZONS}),
    )


def test_rules_are_the_past_returns_with_their_sign() -> None:
    close = 100.0 * 1.01 ** np.arange(120.0)[:, None] * np.ones((1, 40))
    close[100, 0] = np.nan
    panel = xr.Dataset({"adj_close": (("date", "code"), close.astype(np.float32))}, coords=COORDS)
    in_universe = xr.DataArray(np.ones((120, 40), bool), dims=("date", "code"), coords=COORDS)
    rows = rule_baselines(panel, in_universe, SPLIT, HORIZONS, seed=1)
    means = rows.groupby("model")["score_1d"].mean()
    assert means["reversal_1d"] == pytest.approx(-0.01, rel=1e-3)
    assert means["reversal_5d"] == pytest.approx(-(1.01**5 - 1), rel=1e-3)
    assert means["momentum_20d"] == pytest.approx(1.01**20 - 1, rel=1e-3)
    assert list(rows.columns) == ["date", "code", "split", "score_1d", "score_5d", "model"]
    reversal = rows[(rows["model"] == "reversal_1d") & (rows["code"] == CODES[0])]
    assert not reversal["date"].isin(DATES[100:102]).any()  # no close today, or none yesterday
    assert set(rows["split"]) == {"valid", "test"}


def test_random_scores_repeat_under_their_seed() -> None:
    panel = xr.Dataset({"adj_close": (("date", "code"), np.ones((120, 40)))}, coords=COORDS)
    in_universe = xr.DataArray(np.ones((120, 40), bool), dims=("date", "code"), coords=COORDS)
    one, same, other = (rule_baselines(panel, in_universe, SPLIT, [1], seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    chance = one["model"] == "random"
    assert (one.loc[chance, "score_1d"] != other.loc[chance, "score_1d"]).all()


@pytest.mark.parametrize("fit", [fit_ridge, lambda rows: fit_lightgbm(rows, num_threads=1, max_rounds=40)])
def test_learner_finds_the_planted_signal_of_each_horizon(market, fit) -> None:
    x, in_universe, ret = market
    predictions = fit(learning_rows(x, in_universe, ret, SPLIT))
    assert set(predictions["split"]) == {"valid", "test"}
    assert len(predictions) == int(in_universe.values[66:90].sum() + in_universe.values[96:].sum())
    daily = daily_metrics(predictions, ret.to_dataset(name="ret"), 0.0)
    (numbers,) = summarise_metrics(daily, 245, replications=20)["test"].values()
    # the best rank IC is (6/pi) arcsin(rho / 2) with rho = 0.5 / sqrt(1.25): 0.43
    assert numbers["1d"]["rank_ic"] > 0.3
    assert numbers["5d"]["rank_ic"] > 0.3


@pytest.mark.parametrize("fit", [fit_ridge, lambda rows: fit_lightgbm(rows, num_threads=1, max_rounds=20)])
def test_scores_do_not_depend_on_test_labels_or_on_stocks_outside_the_universe(market, fit) -> None:
    x, in_universe, ret = market
    first = fit(learning_rows(x, in_universe, ret, SPLIT))
    changed, features = ret.copy(), x.copy()
    changed[90:] = 99.0
    features.values[~in_universe.values] = 1e6
    changed.values[~in_universe.values] = 99.0
    second = fit(learning_rows(features, in_universe, changed, SPLIT))
    pd.testing.assert_frame_equal(first, second)


def test_labels_of_the_purge_are_not_learned(market) -> None:
    x, in_universe, ret = market
    first = fit_ridge(learning_rows(x, in_universe, ret, SPLIT))
    ret = ret.copy()
    ret[60:66] = -ret[60:66]
    pd.testing.assert_frame_equal(first, fit_ridge(learning_rows(x, in_universe, ret, SPLIT)))


def test_arrays_from_different_panels_are_refused(market) -> None:
    x, in_universe, ret = market
    with pytest.raises(ValueError, match="labels target and features x differ in date"):
        learning_rows(x, in_universe, ret[1:], SPLIT)


def test_empty_part_is_named(market) -> None:
    x, in_universe, ret = market
    with pytest.raises(ValueError, match=r"split\.valid"):
        learning_rows(x, in_universe, ret, {**SPLIT, "valid": ["2030-01-01", "2030-02-01"]})
