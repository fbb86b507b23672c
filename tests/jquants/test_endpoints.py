"""The tables are those of the official client, and what is not is refused or said."""

import jquantsapi
import pytest

from gogooku_kedro.jquants.endpoints import ENDPOINTS, OFFICIAL, SchemaChanged
from gogooku_kedro.jquants.tables import TABLES
from gogooku_kedro.market import investor_flows, margin_balances, statements
from tests.jquants.conftest import client_of

BARS = ENDPOINTS["bars"]
ROW = dict.fromkeys(OFFICIAL["bars"], 1.0) | {"Date": "2020-12-30", "Code": "13010", "UL": "0", "LL": "0"}


def test_the_fake_server_answers_with_the_columns_of_the_official_client(server, market):
    for name, endpoint in ENDPOINTS.items():
        rows = [row for day in market.rows[name].values() for row in day]
        assert tuple(rows[0]) == OFFICIAL[name], name
        assert set(endpoint.columns) <= set(OFFICIAL[name])
        assert {*endpoint.required, *endpoint.key, endpoint.day} <= set(endpoint.columns)
    light = (server.__setattr__("plan", "light"), client_of(server).rows(BARS.path, {"date": "2020-12-30"}))[1]
    assert [name for name in OFFICIAL["bars"] if name[0] not in "MA" or name.startswith("Adj")] == list(light[0])


def test_the_methods_of_the_official_client_read_every_table_of_the_fake_server(server):
    client = client_of(server)
    read = {
        "listed_issues": client.get_eq_master(date="2020-12-30"),
        "bars": client.get_eq_bars_daily(date_yyyymmdd="2020-12-30"),
        "calendar": client.get_mkt_calendar(from_yyyymmdd="2020-12-01", to_yyyymmdd="2020-12-31"),
        "market_index": client.get_idx_bars_daily_topix(from_yyyymmdd="2020-12-01", to_yyyymmdd="2020-12-30"),
        "investor_flows": client.get_eq_investor_types(from_yyyymmdd="2020-12-01", to_yyyymmdd="2020-12-30"),
        "margin_balances": client.get_mkt_margin_interest(date_yyyymmdd="2020-12-25"),
        "short_ratio": client.get_mkt_short_ratio(date_yyyymmdd="2020-12-30"),
    }
    for name, frame in read.items():
        assert len(frame) > 0, name
        assert set(frame) <= set(OFFICIAL[name]), name
    assert jquantsapi.__version__.startswith("2.8")


def test_what_the_panel_needs_is_required_of_the_answers():
    assert set(statements.REQUIRED) <= set(ENDPOINTS["statements"].required)
    assert set(investor_flows.REQUIRED) <= set(ENDPOINTS["investor_flows"].required)
    assert set(margin_balances.REQUIRED) <= set(ENDPOINTS["margin_balances"].required)
    assert set(TABLES) <= set(ENDPOINTS)


def test_rows_become_columns_of_fixed_types_in_the_order_of_the_key():
    rows = [ROW | {"Code": "99990", "C": None, "Vo": ""}, ROW | {"Code": "130A0", "C": "100.5"}]
    table, notes = BARS.table(rows, "2020-12-30")
    assert table.column_names == list(BARS.columns)
    assert table["Code"].to_pylist() == ["130A0", "99990"]
    assert table["C"].to_pylist() == [100.5, None]
    assert table["Vo"].to_pylist() == [1.0, None]
    assert notes == []


def test_rows_that_came_twice_count_once():
    table, (note,) = BARS.table([ROW, ROW | {"C": 2.0}], "2020-12-30")
    assert table["C"].to_pylist() == [2.0]
    assert "1 rows came twice" in note


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({k: v for k, v in ROW.items() if k != "C"}, "no column C"),
        (ROW | {"C": "n/a"}, "C is 'n/a' where a number belongs"),
        (ROW | {"Date": "2020-12-29"}, "asked for 2020-12-30, the answer has Date '2020-12-29'"),
        ({"Date": "2020-12-30", "Code": "13010", "Open": 1, "AdjustmentFactor": 1.0}, "names of V1"),
    ],
)
def test_an_answer_that_is_not_the_table_is_refused(row, words):
    with pytest.raises(SchemaChanged, match=words):
        BARS.table([row], "2020-12-30")


def test_optional_and_new_columns_are_said():
    row = {k: v for k, v in ROW.items() if k != "Va"} | {"Vwap": 3}
    table, notes = BARS.table([row], "20201230"[:4])
    assert table["Va"].to_pylist() == [None]
    assert [note.split(":")[1].split(" in ")[0].strip() for note in notes] == [
        "no column Va",
        "new columns Vwap; they are not used",
    ]
