"""What sectors add to the rank IC adds up to it."""

import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.pipelines.evaluation.nodes import measure_sectors
from gogooku_kedro.report.figures.tear_sheet import rank_ic_by_sector


def test_the_sectors_of_a_horizon_add_up_to_its_mean_rank_ic(labels, predict) -> None:
    codes = labels["code"].to_numpy()
    sectors = np.where(np.arange(len(codes)) % 3 == 0, "Banks", "Steel")
    panel = xr.Dataset({"sector": ("code", sectors)}, coords={"code": codes})
    truth = labels["ret"].sel(horizon=1).values
    scores = predict(truth + np.random.default_rng(0).normal(0, 0.02, truth.shape))
    found = measure_sectors(scores, labels, panel)
    assert set(found["sector"]) == {"Banks", "Steel"}
    assert found.groupby("sector")["stocks"].mean().to_dict() == {"Banks": 10, "Steel": 20}
    means = daily_metrics(scores, labels, 10.0).groupby("horizon")["rank_ic"].mean()
    assert found.groupby("horizon")["rank_ic"].sum().to_dict() == pytest.approx(means.to_dict())
    parts = found[found["horizon"] == "1d"]
    assert rank_ic_by_sector(parts, "1d").data[0].y == tuple(parts.sort_values("rank_ic")["sector"])
