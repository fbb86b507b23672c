"""The market: raw bars of any source become validated daily bars and a (date, code) panel."""

from gogooku_kedro.market.adjustment import DerivedFactors, chain_link, factors_from_adj_close, split_like
from gogooku_kedro.market.bar_columns import DAILY_BARS, OPTIONAL, REQUIRED, column_map
from gogooku_kedro.market.cleaning import standardise_bars
from gogooku_kedro.market.events import build_events
from gogooku_kedro.market.issue_rules import RULES
from gogooku_kedro.market.panel import build_panel, market_from_bars
from gogooku_kedro.market.quality import data_hash, thin_sessions

__all__ = [
    "DAILY_BARS",
    "OPTIONAL",
    "REQUIRED",
    "RULES",
    "DerivedFactors",
    "build_events",
    "build_panel",
    "chain_link",
    "column_map",
    "data_hash",
    "factors_from_adj_close",
    "market_from_bars",
    "split_like",
    "standardise_bars",
    "thin_sessions",
]
