"""Mornings in a row give a ranking each, or a refusal where one is due; replayed, they are the same in every bit."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.daily.checks import NotPublishedError
from gogooku_kedro.daily.knowledge import known_tables
from gogooku_kedro.params import FeaturesParams
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from gogooku_kedro.training import build_market, predict_market
from tests.daily.conftest import plain_labels, with_accidents
from tests.daily.mornings import Desk, scores_of
from tests.flow import TABLES, data_flow, normalised
from tests.jquants.fake_server import FakeServer, Fault, ServedMarket, VirtualClock, serving
from tests.test_time_rules import INGESTION, features_params, graph_params, other_prices

START, END = "2020-07-01", "2020-12-11"  # tests.jquants.conftest fetches from there
FAMILIES = ("returns", "oscillators", "sector", "neighbours", "calendar", "regime", "statements")


@pytest.fixture(scope="module")
def market():
    settings = SampleMarketSettings(n_codes=24, start=START, end=END, seed=4, replicates=2, listing_rate=0.3)
    tables = generate_sample_market(settings)
    return {name: tables[name] for name in TABLES}


def days_of(tables) -> pd.DatetimeIndex:
    """Sessions of the exchange; on 2020-10-01 it was closed by an outage."""
    days = pd.DatetimeIndex(np.sort(tables["bars"]["Date"].unique()))
    return days[days != pd.Timestamp("2020-10-01")]


def settings() -> FeaturesParams:
    return features_params().model_copy(update={"families": FAMILIES})


@pytest.fixture(scope="module")
def manifest(market):
    known = known_tables(market, days_of(market)[-30])
    return data_flow(known, INGESTION, settings(), graph_params("market"), plain_labels()).candidates


@pytest.fixture
def desk(manifest, tmp_path) -> Desk:
    graph = graph_params("market").model_copy(update={"cache_dir": str(tmp_path / "graphs")})
    return Desk(tmp_path, manifest, settings(), graph)


def run_mornings(desk: Desk, tables, sessions: pd.DatetimeIndex, outage: int, short: int) -> dict[pd.Timestamp, str]:
    """State of each morning: published, or the sentence of its refusal; a filing is a session late."""
    served = ServedMarket(with_accidents(tables, sessions))
    filings, states = served.rows["statements"], {}
    late = next(day for day in filings if day >= f"{sessions[1]:%Y-%m-%d}")
    withheld = filings.pop(late)
    with serving(FakeServer(served, VirtualClock(f"{sessions[0]:%Y-%m-%d} 19:00"), limited=False)) as server:
        for number, session in enumerate(sessions):
            server.clock.set(f"{session:%Y-%m-%d} 19:00")
            if f"{session:%Y-%m-%d}" > late and withheld:
                filings[late], withheld = withheld, []
            server.faults = []
            if number == outage:
                server.faults = [Fault("503", times=1000)]
            elif number == short:
                server.faults = [Fault("short", "/equities/bars/daily", after=2)]  # the newest of three
            found = desk.fetched_morning(server)
            states[session] = found if isinstance(found, str) else found["state"]
    assert withheld == []
    return states


def assert_replayed(desk: Desk, states: dict[pd.Timestamp, str]) -> None:
    published = [session for session, state in states.items() if state == "published"]
    assert desk.published.sessions() == published
    assert desk.published.latest() == published[-1]
    for session in published:
        assert desk.replay(session)["state"] == "replayed as published", session


def test_four_mornings_with_split_halt_late_filing_and_short_fetch(market, desk):
    sessions = days_of(market)[-4:]
    states = run_mornings(desk, market, sessions, outage=99, short=2)
    published = "published"
    assert list(states.values()) == [published, published, states[sessions[2]], published]
    assert "rows on" in states[sessions[2]]
    assert_replayed(desk, states)
    last, before = (desk.published.ranking(sessions[n]) for n in (3, 1))
    moved = before.set_index("code")["rank_5d"].reindex(last["code"]).to_numpy() - last["rank_5d"].to_numpy()
    np.testing.assert_array_equal(last["rank_change_5d"].to_numpy(dtype=float, na_value=np.nan), moved)
    assert (last["reason_1"].str.contains(r"\([+-]")).all()
    assert last["name"].ne("").all()


@pytest.mark.slow
def test_twenty_mornings_give_twenty_rankings_or_a_refusal_where_one_is_due(market, desk):
    sessions = days_of(market)[-20:]  # before them the market is too young for every feature
    states = run_mornings(desk, market, sessions, outage=7, short=12)
    refused = {n: state for n, state in enumerate(states.values()) if state != "published"}
    assert list(refused) == [7, 12], refused
    assert "503" in states[sessions[7]] or "answer" in states[sessions[7]]
    assert_replayed(desk, states)


def test_a_replay_has_the_scores_of_inference_and_of_the_test_part(market, desk):
    """A listing among the sessions makes matrices of another size, and the last bit of a score may be another."""
    sessions = days_of(market)[-5:]
    tables = with_accidents(market, sessions)
    data = data_flow(tables, INGESTION, desk.features, desk.graph, plain_labels())
    whole = build_market(
        normalised(data, desk.manifest, desk.features), data.labels, data.edges, desk.manifest, desk.model
    )
    n_days = len(whole.dates)
    parts = {"test": list(range(n_days - 5, n_days))}
    predicted, _ = predict_market(desk.ensemble, whole, desk.model, parts, "cpu")
    for session in sessions[[0, 3, 4]]:
        found = desk.morning(tables, pd.Timestamp.now(tz="UTC"), as_of=session.date())
        assert found["state"] == "replayed"
        ranking = pd.read_parquet(desk.root / f"rankings/replays/ranking_{session:%Y-%m-%d}.parquet")
        expected = scores_of(predicted[predicted["date"] == session])
        if session < sessions[3]:
            np.testing.assert_allclose(scores_of(ranking), expected, rtol=0, atol=1e-6)
        else:
            np.testing.assert_array_equal(scores_of(ranking).to_numpy(), expected.to_numpy())
    assert desk.published.sessions() == []


def test_nothing_after_the_session_reaches_the_ranking(market, desk):
    t = days_of(market)[-3]
    found = []
    for tables in (market, other_prices(market, t)):
        desk.morning(tables, pd.Timestamp.now(tz="UTC"), as_of=t.date())
        found.append(pd.read_parquet(desk.root / f"rankings/replays/ranking_{t:%Y-%m-%d}.parquet"))
    pd.testing.assert_frame_equal(*found, check_exact=True)


def test_the_same_morning_twice_changes_nothing(market, desk):
    now = pd.Timestamp(f"{END} 19:00", tz="Asia/Tokyo")
    assert desk.morning(market, now)["state"] == "published"
    before = {path: path.stat().st_mtime_ns for path in (desk.root / "rankings").iterdir()}
    again = desk.morning(market, now)
    assert again["state"] == "published before"
    assert {path: path.stat().st_mtime_ns for path in (desk.root / "rankings").iterdir()} == before
    with pytest.raises(NotPublishedError, match=r"newest prices are of 2020-12-11, .* of the exchange is 2020-12-14"):
        desk.morning(market, now + pd.Timedelta(days=3))
    assert desk.morning(market, now + pd.Timedelta(days=1))["state"] == "published before"  # a Saturday
