"""A small sample market behind the fake server, and a client and a store for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gogooku_kedro.jquants.client import JQuantsClient
from gogooku_kedro.jquants.fetch import Fetch, Wanted
from gogooku_kedro.jquants.plans import PLANS
from gogooku_kedro.jquants.store import Store
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.jquants.fake_server import KEY, FakeServer, ServedMarket, VirtualClock, serving

TABLES = ("bars", "listed_issues", "statements", "market_index", "investor_flows", "margin_balances")
START, END = "2020-07-01", "2020-12-30"


@pytest.fixture(scope="session")
def market() -> ServedMarket:
    """Half a year of 30 issues, with listings, delistings, splits and the outage of 2020-10-01."""
    settings = SampleMarketSettings(
        n_codes=30, start=START, end=END, seed=4, replicates=2, listing_rate=0.3, delisting_rate=0.2, split_rate=0.4
    )
    return ServedMarket(generate_sample_market(settings))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock("2020-12-31 20:00")


@pytest.fixture
def server(market: ServedMarket, clock: VirtualClock):
    with serving(FakeServer(market, clock)) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "01_raw" / "jquants")


def client_of(server: FakeServer, plan: str | None = None, key: str = KEY) -> JQuantsClient:
    """A client on the server's clock."""
    return JQuantsClient(key, PLANS[plan or server.plan], server.url, clock=server.clock.time, sleep=server.clock.sleep)


def fetch_of(server: FakeServer, store: Store, tables: tuple[str, ...] = TABLES, **wanted) -> Fetch:
    """A fetch from the start of the market, without bulk files unless asked for."""
    import pandas as pd

    options = {"start": pd.Timestamp(START), "bulk": False} | wanted
    return Fetch(client_of(server), store, Wanted(tables, **options))


def files_of(store: Store) -> dict[str, bytes]:
    """Content of every partition."""
    return {path.relative_to(store.folder).as_posix(): path.read_bytes() for path in store.folder.rglob("*.parquet")}


Clients = Callable[..., JQuantsClient]
