"""A small market whose last sessions have a split, a halt, a listing and filings."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.params import FeaturesParams, LabelsParams
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.flow import TABLES
from tests.test_time_rules import after, features_params, labels_params

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="session")
def tables() -> Tables:
    settings = SampleMarketSettings(
        n_codes=24, start="2019-04-01", end="2020-11-12", seed=3, replicates=2, listing_rate=0.3, split_rate=0.4
    )
    market = generate_sample_market(settings)
    return {name: market[name] for name in TABLES}


@pytest.fixture(scope="session")
def features_settings() -> FeaturesParams:
    """Every family, and every way to normalise."""
    return features_params()


def plain_labels() -> LabelsParams:
    """Returns themselves, which the model here does not learn."""
    return labels_params().model_copy(update={"residual": ("none",) * 4})


def known_at(tables: Tables, t: pd.Timestamp, withheld: pd.Index | None = None) -> Tables:
    """What has been published by the evening of t, without some filings that come late."""
    known = {name: table[~_later(table, t)].copy() for name, table in tables.items()}
    if withheld is not None:
        known["statements"] = known["statements"].drop(withheld, errors="ignore")
    return known


def with_accidents(tables: Tables, sessions: pd.DatetimeIndex) -> Tables:
    """A split on the second of the sessions, a halt of a stock from the third on, and an issue new on the fourth."""
    bars = tables["bars"].copy()
    codes = bars.groupby("Code").size().sort_values().index[-3:]
    split = (bars["Code"] == codes[0]) & (bars["Date"] >= sessions[1])
    bars.loc[split & (bars["Date"] == sessions[1]), "AdjFactor"] = 0.5
    bars.loc[split, ["O", "H", "L", "C"]] *= 0.5
    bars.loc[split, "Vo"] *= 2
    halted = (bars["Code"] == codes[1]) & (bars["Date"] >= sessions[2])
    bars.loc[halted, ["O", "H", "L", "C", "Vo", "Va"]] = np.nan
    unlisted = (bars["Code"] == codes[2]) & (bars["Date"] < sessions[3])
    return tables | {"bars": bars[~unlisted]}


def _later(table: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    """Rows dated after t; of events those published after it."""
    return after(table, t + pd.Timedelta(days=1)) if {"DiscDate", "PubDate"} & set(table) else after(table, t)
