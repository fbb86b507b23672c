"""A market, rankings published on its last sessions, and a backtest before them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro import market
from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.columns import HORIZONS, SCORES, horizon_name, score_column
from gogooku_kedro.daily.publication import REASONS, Publications
from gogooku_kedro.daily.ranking import change_column, rank_column
from gogooku_kedro.labels.returns import forward_returns
from gogooku_kedro.params import EvaluationParams, LabelsParams
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.conftest import settings_of

PUBLISHED = 60
MIN_HISTORY = 20


class Desk(NamedTuple):
    panel: xr.Dataset
    rankings: pd.DataFrame
    backtest: pd.DataFrame
    raw_features: xr.Dataset
    facts: dict
    settings: tuple[LabelsParams, EvaluationParams]

    def in_universe(self) -> xr.DataArray:
        return universe_mask(self.panel, min_history=MIN_HISTORY)


@pytest.fixture(scope="session")
def desk() -> Desk:
    settings = SampleMarketSettings(n_codes=40, start="2019-01-04", end="2020-06-30", seed=3)
    bars, _ = market.standardise_bars(generate_sample_market(settings)["bars"])
    panel = market.build_panel(bars)
    dates = panel.indexes["date"]
    labels = forward_returns(panel, HORIZONS, "next_open")["ret"]
    rng = np.random.default_rng(0)
    inside = universe_mask(panel, min_history=MIN_HISTORY)[-PUBLISHED:].to_series()
    rows = inside[inside].index.to_frame(index=False)
    known = labels.sel(horizon=1).to_series().reindex(pd.MultiIndex.from_frame(rows)).fillna(0).to_numpy()
    scores = {name: 20 * known + rng.normal(size=len(rows)) for name in SCORES}
    before = dates[-PUBLISHED - 150 : -PUBLISHED]
    backtest = pd.concat(
        pd.DataFrame(
            {
                "horizon": horizon_name(h),
                "date": before,
                "split": np.where(np.arange(150) < 40, "valid", "test"),
                "rank_ic": rng.normal(0.1, 0.1, 150),
            }
        )
        for h in HORIZONS
    )
    raw = xr.Dataset({name: (("date", "code"), rng.normal(size=panel["close"].shape)) for name in ("a", "b", "c")})
    raw = raw.assign_coords(date=dates, code=panel["code"].values)
    entries = [{"name": n, "family": f, "kind": k} for n, f, k in (("a", "one", "stock"), ("b", "one", "stock"))]
    manifest = {"features": [*entries, {"name": "c", "family": "two", "kind": "stock"}]}
    span = [f"{dates[at]:%Y-%m-%d}" for at in (30, 180)]
    sections = settings_of("test")
    chosen = (LabelsParams.model_validate(sections["labels"]), EvaluationParams.model_validate(sections["evaluation"]))
    facts = {"split": {"train": span}, "feature_manifest": manifest}
    return Desk(panel, rows.assign(**scores), backtest, raw, facts, chosen)


def publish(predictions: pd.DataFrame, folder: Path) -> Publications:
    """Publish predictions session by session, as the daily run does."""
    publications = Publications(folder)
    for _, rows in predictions.groupby("date"):
        table = rows[["date", "code"]].assign(name="", sector="n/a", tradable=True, **rows[[*SCORES]])
        for horizon in HORIZONS:
            table[rank_column(horizon)] = rows[score_column(horizon)].rank(ascending=False, method="min").astype(int)
            table[change_column(horizon)] = pd.array([None] * len(rows), "Int64")
            table[f"q50_{horizon_name(horizon)}"] = rows[score_column(horizon)]
        publications.publish(table.assign(**dict.fromkeys(REASONS, "")), "<html>", {})
    return publications
