"""The client keeps to the rate, waits out what passes, and says of the rest what to do."""

import pandas as pd
import pytest

from gogooku_kedro.jquants import client as client_module
from gogooku_kedro.jquants.client import (
    JQuantsClient,
    KeyRejected,
    NotSubscribed,
    OutsideSubscription,
    RateExceeded,
    RequestRefused,
    ServiceUnavailable,
    api_key,
    refusal,
)
from gogooku_kedro.jquants.plans import PLANS, Limiter
from tests.jquants.conftest import client_of
from tests.jquants.fake_server import KEY, Fault, VirtualClock

BARS = "/equities/bars/daily"
DAY = {"date": "2020-12-30"}


def test_no_sixty_seconds_have_more_calls_than_the_plan_allows():
    clock = VirtualClock("2020-12-31 20:00")
    limiter, times = Limiter(5, clock.time, clock.sleep), []
    for _ in range(40):
        limiter.acquire()
        times.append(clock.time())
    assert all(later - earlier > 60 for earlier, later in zip(times, times[5:], strict=False))
    assert times[-1] - times[0] == pytest.approx(7 * 60 / 0.9)


def test_a_call_that_waits_for_one_limit_counts_in_the_other_when_it_is_made():
    clock = VirtualClock("2020-12-31 20:00")
    wide, narrow, times = Limiter(4, clock.time, clock.sleep), Limiter(2, clock.time, clock.sleep), []
    for number in range(12):
        wide.acquire(*([narrow] if number % 3 else []))
        times.append(clock.time())
    assert all(later - earlier > 60 for earlier, later in zip(times, times[4:], strict=False))


def test_a_process_that_follows_another_waits_for_its_minute_to_pass():
    clock = VirtualClock("2020-12-31 20:00")
    limiter = Limiter(5, clock.time, clock.sleep)
    limiter.count_earlier(clock.time() - 10)
    limiter.acquire()
    assert clock.slept == pytest.approx([60 / 0.9 - 10])


def test_a_plan_serves_its_window():
    today = pd.Timestamp("2026-11-26 20:00")
    assert PLANS["free"].window(today) == (pd.Timestamp("2024-09-03"), pd.Timestamp("2026-09-03"))
    assert PLANS["premium"].window(today) == (pd.Timestamp("2006-11-26"), pd.Timestamp("2026-11-26"))


def test_an_answer_has_all_its_pages(server, market):
    server.page_bytes = 2_000
    rows = client_of(server).rows(BARS, DAY)
    assert rows == market.rows["bars"][DAY["date"]]
    assert len(server.requests) >= 3
    assert server.refused == 0


def test_the_methods_of_the_official_client_keep_to_the_rate_too(server, clock):
    server.plan = "light"
    client = client_of(server)
    for _ in range(70):
        client.get_eq_bars_daily(date_yyyymmdd="2020-12-30")
    assert server.refused == 0
    assert sum(clock.slept) > 60 / 0.9 - 5
    assert set(client.get_eq_master(date="2020-12-30")["ProdCat"]) == {"011"}


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ("429", [60.0, 90.0]),
        ("500", [2.0, 4.0]),
        ("503", [2.0, 4.0]),
        ("reset", [2.0, 4.0]),
        ("timeout", [2.0, 4.0]),
        ("truncated gzip", [2.0, 4.0]),
        ("invalid JSON", [2.0, 4.0]),
        ("wrong content type", [2.0, 4.0]),
    ],
)
def test_what_passes_is_waited_out(server, clock, market, monkeypatch, kind, waits):
    monkeypatch.setattr(client_module, "_TIMEOUT", (1, 0.2))
    server.faults.append(Fault(kind, times=2))
    assert client_of(server).rows(BARS, DAY) == market.rows["bars"][DAY["date"]]
    assert clock.slept == waits


@pytest.mark.parametrize(
    ("kind", "error", "requests"),
    [("429", RateExceeded, 4), ("500", ServiceUnavailable, 6), ("invalid JSON", ServiceUnavailable, 6)],
)
def test_what_does_not_pass_ends_with_a_sentence(server, kind, error, requests):
    server.faults.append(Fault(kind, times=100))
    with pytest.raises(error, match="fetched is kept"):
        client_of(server).rows(BARS, DAY)
    assert len(server.requests) == requests


def test_a_stale_pagination_key_starts_the_pages_again(server, market):
    server.page_bytes = 2_000
    server.faults.append(Fault("stale pagination key", after=2))
    assert client_of(server).rows(BARS, DAY) == market.rows["bars"][DAY["date"]]
    server.faults[:] = [Fault("stale pagination key", after=1 + 2 * n) for n in range(3)]
    with pytest.raises(ServiceUnavailable, match="refused its own pagination key 3 times"):
        client_of(server).rows(BARS, DAY)


def test_a_wrong_query_is_not_tried_again(server):
    with pytest.raises(RequestRefused, match="requires at least 1 parameter"):
        client_of(server).rows(BARS, {})
    assert len(server.requests) == 1


def test_the_sentences_of_the_service_have_classes(server):
    with pytest.raises(KeyRejected, match=r"does not take the API key .*dashboard"):
        client_of(server, key="expired").rows(BARS, DAY)
    server.plan = "free"
    with pytest.raises(NotSubscribed):
        client_of(server).rows("/indices/bars/daily/topix", {})
    with pytest.raises(OutsideSubscription) as outside:
        client_of(server).rows(BARS, DAY)
    assert (outside.value.first, outside.value.last) == (pd.Timestamp("2018-10-08"), pd.Timestamp("2020-10-08"))
    with pytest.raises(RequestRefused, match="endpoint does not exist"):
        client_of(server).rows("/prices/daily_quotes", {})
    assert isinstance(refusal(403, "You have no active subscription", ""), KeyRejected)
    assert isinstance(refusal(401, "", ""), KeyRejected)
    open_ended = refusal(400, "Your subscription covers the following dates: 2016-09-21 ~ . If you", "")
    assert isinstance(open_ended, OutsideSubscription)
    assert (open_ended.first, open_ended.last) == (pd.Timestamp("2016-09-21"), None)
    assert "too large" in str(refusal(413, "Response data is too large.", ""))


def test_the_key_is_of_the_environment_or_of_the_local_credentials(tmp_path, monkeypatch):
    monkeypatch.delenv("JQUANTS_API_KEY", raising=False)
    with pytest.raises(KeyRejected, match=r"set the environment variable JQUANTS_API_KEY, or write .*credentials"):
        api_key(tmp_path)
    (tmp_path / "conf/local").mkdir(parents=True)
    (tmp_path / "conf/local/credentials.yml").write_text(f"jquants:\n  api_key: {KEY}\n")
    assert api_key(tmp_path) == KEY
    monkeypatch.setenv("JQUANTS_API_KEY", " of-the-environment\n")
    assert api_key(tmp_path) == "of-the-environment"
    monkeypatch.setenv("JQUANTS_API_KEY", "two words")
    with pytest.raises(KeyRejected) as refused:
        api_key(tmp_path)
    assert "two words" not in str(refused.value)
    monkeypatch.delenv("JQUANTS_API_KEY")
    (tmp_path / "conf/local/credentials.yml").write_text(KEY)
    with pytest.raises(KeyRejected, match="write two lines") as refused:
        api_key(tmp_path)
    assert KEY not in str(refused.value)


def test_the_key_goes_over_https_or_stays_on_this_machine(server):
    for address in ("http://api.jquants.com/v2", "ftp://127.0.0.1", "http://127.0.0.1.example.com"):
        with pytest.raises(ValueError, match="unencrypted"):
            JQuantsClient(KEY, PLANS["free"], address)
    client = JQuantsClient(KEY, PLANS["free"], "https://api.jquants.com/v2/")
    assert client.JQUANTS_API_BASE == "https://api.jquants.com/v2"
    assert KEY not in repr(client)


def test_no_file_of_the_official_client_is_looked_for(tmp_path, monkeypatch, server):
    monkeypatch.setenv("JQUANTS_API_CLIENT_CONFIG_FILE", str(tmp_path / "damaged.toml"))
    (tmp_path / "damaged.toml").write_text("[[[")
    assert client_of(server).rows(BARS, DAY)
