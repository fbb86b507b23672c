import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm

from gogooku_kedro.metrics.quantiles import (
    CALIBRATION_COLUMNS,
    DAILY_QUANTILE_COLUMNS,
    daily_quantiles,
    quantile_calibration,
)

CODES = list("ABCDEF")
LEVELS = (0.25, 0.5)


def ranks_of(values: np.ndarray) -> xr.DataArray:
    codes = CODES if values.shape[1] == len(CODES) else [f"{i:04d}" for i in range(values.shape[1])]
    coords = {
        "date": pd.bdate_range("2024-01-04", periods=len(values)),
        "code": codes,
        "horizon": [1],
    }
    return xr.DataArray(values[..., None].astype(np.float32), coords, ("date", "code", "horizon"))


def predictions_for(ranks: xr.DataArray, **quantiles: np.ndarray | float) -> pd.DataFrame:
    days, codes = ranks.sizes["date"], ranks["code"].values
    frame = pd.DataFrame({"date": np.repeat(ranks["date"].values, len(codes)), "code": np.tile(codes, days)})
    columns = {name: np.broadcast_to(values, (days, len(codes))).ravel() for name, values in quantiles.items()}
    return frame.assign(split="test", **columns)


def test_share_below_counts_the_labelled_stocks_under_their_own_quantile() -> None:
    ranks = ranks_of(np.array([[-1.0, -0.5, 0.0, 0.5, 1.0, np.nan], [-1.0, 0.0, 1.0, 2.0, np.nan, np.nan]]))
    predictions = predictions_for(ranks, q25_1d=[-0.75, -0.75, 0.1, 0.0, 2.0, 9.0], q50_1d=0.25)
    daily = daily_quantiles(predictions, ranks, LEVELS)
    assert list(daily) == DAILY_QUANTILE_COLUMNS
    first, second = (daily[daily["date"] == day] for day in ranks["date"].values)
    assert first["level"].tolist() == [0.25, 0.5]
    # A below -0.75, C below 0.1, E below 2: three of five; A, B, C below 0.25
    assert first["share_below"].tolist() == [3 / 5, 3 / 5]
    assert first["n"].tolist() == [5, 5]
    # E and F: the median lies below the lower quartile of one of them (2.0 and 9.0 against 0.25)
    assert first["crossing"].tolist() == [2 / 6, 2 / 6]
    # four labels are too few for a share; six predictions are enough to see them cross
    assert second["share_below"].isna().all()
    assert second["crossing"].tolist() == [2 / 6, 2 / 6]


def test_quantiles_cross_where_any_two_neighbours_do() -> None:
    ranks = ranks_of(np.linspace(-1.0, 1.0, 6)[None])
    quantiles = {
        #           in order, the lower two, the upper two, all equal, turned round, in order
        "q25_1d": [-0.5, 0.2, -0.5, 0.0, 0.5, -9.0],
        "q50_1d": [0.0, 0.1, 0.3, 0.0, 0.0, 0.0],
        "q75_1d": [0.5, 0.5, 0.2, 0.0, -0.5, 9.0],
    }
    daily = daily_quantiles(predictions_for(ranks, **quantiles), ranks, (0.25, 0.5, 0.75))
    assert daily["crossing"].tolist() == [3 / 6] * 3


@pytest.fixture(scope="module")
def calibrated() -> pd.DataFrame:
    """A predictor that knows each stock's distribution, and one that is too sure (half the spread)."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(120, 200))
    ranks = ranks_of(centre + rng.normal(size=centre.shape))
    frames = {}
    for split, spread in (("valid", 1.0), ("test", 0.5)):
        names = {f"q{round(100 * q):02d}_1d": centre + spread * norm.ppf(q) for q in (0.05, 0.5, 0.95)}
        frames[split] = predictions_for(ranks, **names).assign(split=split)
    daily = daily_quantiles(pd.concat(frames.values(), ignore_index=True), ranks, (0.05, 0.5, 0.95))
    return quantile_calibration(daily)


def test_true_quantiles_are_calibrated_and_their_interval_covers_the_level(calibrated) -> None:
    assert list(calibrated) == CALIBRATION_COLUMNS
    true = calibrated[calibrated["split"] == "valid"]
    error = 3 * np.sqrt(true["level"] * (1 - true["level"]) / (120 * 200))
    assert ((true["share_below"] - true["level"]).abs() < error).all()
    assert (true["low"] < true["level"]).all()
    assert (true["level"] < true["high"]).all()
    assert (true["crossing"] == 0).all()
    assert (true["days"] == 120).all()


def test_too_narrow_quantiles_are_seen(calibrated) -> None:
    narrow = calibrated[calibrated["split"] == "test"].set_index("level")
    expected = norm.cdf(0.5 * norm.ppf(0.05))  # 0.205 instead of 0.05
    assert narrow.at[0.05, "share_below"] == pytest.approx(expected, abs=0.01)
    assert narrow.at[0.95, "share_below"] == pytest.approx(1 - expected, abs=0.01)
    assert narrow.at[0.05, "low"] > 0.05


def test_missing_quantiles_and_foreign_stocks_are_named() -> None:
    ranks = ranks_of(np.zeros((1, 6)))
    predictions = predictions_for(ranks, q25_1d=0.0)
    with pytest.raises(ValueError, match="lacks the column 'q50_1d'"):
        daily_quantiles(predictions, ranks, LEVELS)
    with pytest.raises(ValueError, match="the labels have not"):
        daily_quantiles(predictions.assign(code="Z"), ranks, (0.25,))
