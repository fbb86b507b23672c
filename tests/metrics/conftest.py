"""A tiny market whose returns are known, and predictors of known quality."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.metrics.daily import daily_metrics

HORIZONS = [1, 5, 10, 20]


@pytest.fixture
def labels() -> xr.Dataset:
    """60 sessions, 30 stocks, independent returns; the last session has no label yet."""
    rng = np.random.default_rng(7)
    ret = rng.normal(0.0, 0.02, size=(60, 30, 4)).astype(np.float32)
    ret[-1] = np.nan
    coords = {
        "date": pd.bdate_range("2024-01-04", periods=60),
        "code": [str(1301 + i) for i in range(30)],
        "horizon": HORIZONS,
    }
    return xr.Dataset({"ret": (("date", "code", "horizon"), ret)}, coords=coords)


@pytest.fixture
def predict(labels: xr.Dataset) -> Callable[..., pd.DataFrame]:
    """Long predictions of one model from a wide score (date, code), or one per horizon."""

    def build(score: np.ndarray, model: str = "model", split: str = "test") -> pd.DataFrame:
        dates, codes = labels["date"].values, labels["code"].values
        score = np.broadcast_to(score, (len(dates), len(codes)))
        frame = pd.DataFrame(
            {
                "date": np.repeat(dates, len(codes)),
                "code": np.tile(codes, len(dates)),
                "split": split,
            }
        )
        for horizon in HORIZONS:
            frame[f"score_{horizon}d"] = score.ravel().astype(np.float32)
        return frame.assign(model=model)

    return build


@pytest.fixture
def daily(labels: xr.Dataset, predict: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """Daily metrics of a model that knows the one-session return nearly, a worse LightGBM, and chance."""
    truth = labels["ret"].sel(horizon=1).values
    rng = np.random.default_rng(0)
    models = {"model": 0.05, "lightgbm": 0.2, "random": 1e6}
    rows = [predict(truth + rng.normal(0, noise, truth.shape), name) for name, noise in models.items()]
    return daily_metrics(pd.concat(rows, ignore_index=True), labels, 10.0)
