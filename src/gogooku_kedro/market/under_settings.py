"""Bars and panel as the section `ingestion` asks for them: one call for the pipeline and for a morning."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.market.cleaning import standardise_bars
from gogooku_kedro.market.panel import build_panel
from gogooku_kedro.params import IngestionParams


def bars_under(
    raw_bars: pd.DataFrame, listed_issues: pd.DataFrame, params: IngestionParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the daily bars and the quality report of `standardise_bars`."""
    return standardise_bars(
        raw_bars,
        listed_issues,
        timezone=params.timezone,
        calendar=params.calendar,
        max_move=params.max_move,
        split_like_jumps=params.split_like_jumps == "invalid",
        extra_columns=[*params.extra_columns],
    )


def panel_under(daily_bars: pd.DataFrame, market_index: pd.DataFrame, params: IngestionParams) -> xr.Dataset:
    """Return the panel of `build_panel`."""
    return build_panel(
        daily_bars,
        market_index,
        max_move=params.max_move,
        price_limits=params.price_limits,
        calendar=params.calendar,
        split_like_jumps=params.split_like_jumps == "invalid",
        extra_columns=params.extra_columns,
    )
