import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines.rules import momentum_20d, random, reversal_1d, reversal_5d
from tests.baselines.conftest import CODES, COORDS, DATES, HORIZONS, context_of


def rules(panel: xr.Dataset, in_universe: xr.DataArray, horizons: list[int], seed: int) -> pd.DataFrame:
    """The predictions of every rule, one after the other."""
    labels = xr.Dataset(coords={**COORDS, "horizon": horizons})
    context = context_of(in_universe.to_dataset(name="in_universe"), labels, panel, seed=seed)
    fits = (reversal_1d, reversal_5d, momentum_20d, random)
    return pd.concat([fit(context).assign(model=fit.__name__) for fit in fits], ignore_index=True)


def test_rules_are_the_past_returns_with_their_sign() -> None:
    close = 100.0 * 1.01 ** np.arange(120.0)[:, None] * np.ones((1, 40))
    close[100, 0] = np.nan
    panel = xr.Dataset({"adj_close": (("date", "code"), close.astype(np.float32))}, coords=COORDS)
    in_universe = xr.DataArray(np.ones((120, 40), bool), dims=("date", "code"), coords=COORDS)
    rows = rules(panel, in_universe, HORIZONS, seed=1)
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
    one, same, other = (rules(panel, in_universe, [1], seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    chance = one["model"] == "random"
    assert (one.loc[chance, "score_1d"] != other.loc[chance, "score_1d"]).all()
