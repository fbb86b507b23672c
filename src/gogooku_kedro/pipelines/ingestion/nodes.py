"""Raw bars of any source become validated daily bars, a panel, and the events known on it."""

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro import market
from gogooku_kedro.params import IngestionParams


def standardise_bars(
    raw_bars: pd.DataFrame, listed_issues: pd.DataFrame, params: IngestionParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Classify and count the dirt of the raw bars, and handle it by written rules."""
    return market.standardise_bars(
        raw_bars,
        listed_issues,
        timezone=params.timezone,
        calendar=params.calendar,
        max_move=params.max_move,
        split_like_jumps=params.split_like_jumps == "invalid",
        extra_columns=[*params.extra_columns],
    )


def build_panel(daily_bars: pd.DataFrame, market_index: pd.DataFrame, params: IngestionParams) -> xr.Dataset:
    """Arrange the bars as (date, code) with causally adjusted prices."""
    return market.build_panel(
        daily_bars,
        market_index,
        max_move=params.max_move,
        price_limits=params.price_limits,
        calendar=params.calendar,
        split_like_jumps=params.split_like_jumps == "invalid",
        extra_columns=params.extra_columns,
    )


def build_events(
    panel: xr.Dataset, statements: pd.DataFrame, investor_flows: pd.DataFrame, margin_balances: pd.DataFrame
) -> xr.Dataset:
    """Put the optional event tables on the panel's grid, as they were known on each session."""
    return market.build_events(panel, statements, investor_flows, margin_balances)
