"""The market of a morning is that of the stage `ingestion`, with every setting of it."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.daily.morning import market_of_morning
from gogooku_kedro.params import DailyParams
from gogooku_kedro.pipelines.daily.nodes import gather_tables
from gogooku_kedro.pipelines.ingestion import nodes
from tests.conftest import settings_of
from tests.flow import TABLES
from tests.test_time_rules import INGESTION, RATED


@pytest.mark.parametrize("ingestion", [INGESTION, RATED], ids=["plain", "with columns of the user's"])
def test_a_morning_has_the_panel_of_the_pipeline(tables, ingestion):
    rng = np.random.default_rng(0)
    bars = tables["bars"].assign(**{name: rng.normal(size=len(tables["bars"])) for name in RATED.extra_columns})
    gathered = gather_tables(*({**tables, "bars": bars}[name] for name in TABLES))
    newest = bars["Date"].max()
    daily = DailyParams.model_validate(settings_of("test")["daily"] | {"as_of": newest.date()})
    found = market_of_morning(gathered, ingestion, daily, pd.Timestamp(newest, tz="Asia/Tokyo"))
    daily_bars, _ = nodes.standardise_bars(bars, tables["listed_issues"], ingestion)
    xr.testing.assert_identical(found.panel, nodes.build_panel(daily_bars, tables["market_index"], ingestion))
    assert {f"extra_{name}" for name in ingestion.extra_columns} <= set(found.panel.data_vars)
