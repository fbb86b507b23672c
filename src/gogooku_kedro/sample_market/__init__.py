"""The sample market: a seeded synthetic Tokyo market with a planted, known predictability."""

from gogooku_kedro.sample_market.settings import SampleMarketSettings, full_profile
from gogooku_kedro.sample_market.tables import TABLES, generate_sample_market

__all__ = ["TABLES", "SampleMarketSettings", "full_profile", "generate_sample_market"]
