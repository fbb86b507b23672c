"""The sample market: a seeded synthetic Tokyo market with a planted, known predictability."""

from gogooku_kedro.sample_market.oracle import daily_rank_ic, forward_weight, rank_ic_bounds
from gogooku_kedro.sample_market.settings import SampleMarketSettings, full_profile
from gogooku_kedro.sample_market.tables import TABLES, generate_sample_market

__all__ = [
    "TABLES",
    "SampleMarketSettings",
    "daily_rank_ic",
    "forward_weight",
    "full_profile",
    "generate_sample_market",
    "rank_ic_bounds",
]
