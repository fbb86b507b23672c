"""Raw bars of any source become validated daily bars, a panel, and the events known on it."""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro import market
from gogooku_kedro.market.under_settings import bars_under, panel_under
from gogooku_kedro.params import IngestionParams


def standardise_bars(
    raw_bars: pd.DataFrame, listed_issues: pd.DataFrame, params: IngestionParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Classify and count the dirt of the raw bars, and handle it by written rules."""
    return bars_under(raw_bars, listed_issues, params)


def build_panel(daily_bars: pd.DataFrame, market_index: pd.DataFrame, params: IngestionParams) -> xr.Dataset:
    """Arrange the bars as (date, code) with causally adjusted prices."""
    return panel_under(daily_bars, market_index, params)


def build_events(
    panel: xr.Dataset, statements: pd.DataFrame, investor_flows: pd.DataFrame, margin_balances: pd.DataFrame
) -> xr.Dataset:
    """Put the optional event tables on the panel's grid, as they were known on each session."""
    return market.build_events(panel, statements, investor_flows, margin_balances)
