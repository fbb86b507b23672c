"""Investor flows and margin balances on the panel's grid."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import build_events
from tests.market.events_factory import NAN, flow, make_panel, margin

DAYS = pd.bdate_range("2024-02-01", periods=30)  # Thursday


def flows(name, *rows, dates=DAYS):
    return build_events(make_panel(dates), None, pd.DataFrame(list(rows)))[name].values


def margins(name, *rows, dates=DAYS, **arguments):
    events = build_events(make_panel(dates, **arguments), None, None, pd.DataFrame(list(rows)))
    values = events[name]
    return (values.sel(code="13010") if "code" in values.dims else values).values


def same(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_week_counts_from_the_session_after_its_publication_for_15_sessions():
    found = flows("flow_foreign_balance", flow("2024-02-06", "2024-02-02"))
    same(found, [NAN] * 4 + [10] * 16 + [NAN] * 10)
    same(flows("flow_sessions_since", flow("2024-02-06", "2024-02-02"))[4:20], range(16))


def test_the_last_revision_then_known_counts_and_an_old_week_does_not_come_back():
    rows = [
        flow("2024-02-06", "2024-02-02", foreign=(100, 10)),
        flow("2024-02-09", "2024-02-02", foreign=(100, 12)),
        flow("2024-02-13", "2024-02-09", foreign=(100, -5)),
        flow("2024-02-15", "2024-02-02", foreign=(100, 99)),
    ]
    for order in (rows, rows[::-1]):
        found = flows("flow_foreign_balance", *order)
        same(found[:12], [NAN] * 4 + [10] * 3 + [12] * 2 + [-5] * 3)
    same(flows("flow_sessions_since", *rows)[4:10], [0, 1, 2, 3, 4, 0])  # a revision is no new week


def test_sections_are_added_up_and_the_union_is_left_out():
    rows = [
        flow("2024-02-06", "2024-02-02", "TSEPrime", (100, 10)),
        flow("2024-02-06", "2024-02-02", "TSEGrowth", (20, -4)),
        flow("2024-02-06", "2024-02-02", "TokyoNagoya", (900, 900)),
    ]
    for name, value in {
        "flow_foreign_balance": 6,
        "flow_foreign_turnover": 120,
        "flow_large_foreign_balance": 10,
        "flow_small_foreign_balance": -4,
        "flow_total_turnover": 120 + 2 * 50,
        "flow_imbalance": 6 + 6,
        "flow_breadth": 1 / 11,  # foreigners alone buy
    }.items():
        assert flows(name, *rows)[5] == pytest.approx(value), name


def test_a_column_that_is_missing_is_named():
    row = flow("2024-02-06", "2024-02-02")
    del row["FrgnBal"]
    with pytest.raises(ValueError, match=r"investor_flows: no column \['FrgnBal'\]"):
        flows("flow_foreign_balance", row)


def test_a_balance_without_publication_date_counts_from_the_third_session():
    same(margins("margin_long", margin("2024-02-02"))[:6], [NAN] * 4 + [500] * 2)  # Friday is position 1
    holiday = DAYS.drop("2024-02-06")
    same(margins("margin_long", margin("2024-02-02"), dates=holiday)[:6], [NAN] * 4 + [500] * 2)
    same(margins("margin_long", margin("2024-02-03"))[:6], [NAN] * 4 + [500] * 2)  # dated on a Saturday


def test_a_balance_with_publication_date_counts_from_the_next_session():
    same(margins("margin_long", margin("2024-02-02", PubDate="2024-02-08"))[:8], [NAN] * 6 + [500] * 2)


def test_a_balance_is_forgotten_after_15_sessions():
    found = margins("margin_long", margin("2024-02-02"))
    assert np.flatnonzero(~np.isnan(found)).tolist() == list(range(4, 20))
    since = margins("margin_sessions_since", margin("2024-02-02"), margin("2024-02-09", code="13020"))
    same(since[4:12], [0, 1, 2, 3, 4, 0, 1, 2])


def weekly(values, first="2024-01-26"):
    days = pd.date_range(first, periods=len(values), freq="7D")
    return [margin(day, long=value) for day, value in zip(days, values, strict=True)]


def test_earlier_weeks_are_those_of_the_calendar():
    rows = weekly([1, 2, 4, 8, 16])  # 01-26 to 02-23
    same(margins("margin_long", *rows)[[0, 4, 9, 14, 19]], [1, 2, 4, 8, 16])
    same(margins("margin_long_1w", *rows)[[0, 4, 9, 14, 19]], [NAN, 1, 2, 4, 8])
    same(margins("margin_long_4w", *rows)[[14, 19]], [NAN, 1])
    without = [row for row in rows if row["LongVol"] != 4]  # a week of two sessions has no data
    same(margins("margin_long_1w", *without)[[14, 19]], [2, 8])


def test_daily_balances_look_back_whole_weeks_too():
    days = pd.bdate_range("2024-01-29", periods=14)
    rows = [margin(day, long=float(i), PubDate=day + pd.offsets.BDay(1)) for i, day in enumerate(days)]
    found = margins("margin_long_1w", *rows)
    # the last balance of the week before: Friday 02-02 is number 4, Friday 02-09 number 9
    same(found[[7, 8, 12]], [4, 4, 9])


def test_balances_follow_a_split_between_event_and_today():
    rows = [margin("2024-02-02", long=500.0), margin("2024-02-09", long=1500.0)]
    split = (6, 3)  # 1:3 between the two
    same(margins("margin_long", *rows, split=split)[[4, 8, 9]], [500, 500, 500])
    same(margins("margin_long_1w", *rows, split=split)[9], 500)


def test_an_issue_is_loanable_as_its_last_balance_says():
    rows = [margin("2024-02-02", IssType="2"), margin("2024-02-09", IssType="1")]
    same(margins("margin_loanable", *rows)[[3, 4, 8, 9]], [NAN, 1, 1, 0])
    assert np.isnan(margins("margin_loanable", *rows)[25:]).all()  # more than 15 sessions old
    assert "margin_loanable" not in build_events(make_panel(DAYS), None, None, pd.DataFrame([margin("2024-02-02")]))


def test_a_balance_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="margin_balances: column 'LongVol' has 1 values"):
        margins("margin_long", margin("2024-02-02", LongVol="many"))
