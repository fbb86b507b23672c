"""Facts of the Tokyo calendar."""

import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import business_days, calendar_differences, sessions, shift_session


def test_golden_week_of_2019_closed_the_exchange_for_ten_days():
    days = sessions("2019-04-25", "2019-05-08")
    assert [f"{day:%m-%d}" for day in days] == ["04-25", "04-26", "05-07", "05-08"]
    assert days.dtype == "datetime64[ns]"
    assert days.tz is None


def test_2019_to_2022_hold_972_sessions():
    assert len(sessions("2019-01-04", "2022-12-30")) == 972


def test_the_outage_is_a_business_day_but_no_session():
    outage = pd.Timestamp("2020-10-01")
    assert outage not in sessions("2020-09-28", "2020-10-02")
    assert list(business_days("2020-09-28", "2020-10-02")) == list(pd.bdate_range("2020-09-28", "2020-10-02"))
    assert outage not in business_days("2020-10-02", "2020-10-09")


def test_shift_session_steps_over_the_outage_and_the_new_year():
    assert shift_session("2020-09-30", 1) == pd.Timestamp("2020-10-02")
    assert shift_session("2020-01-06", -1) == pd.Timestamp("2019-12-30")
    assert shift_session("2020-01-01", 0) == pd.Timestamp("2019-12-30")
    assert shift_session("2020-01-01", 1) == pd.Timestamp("2020-01-06")


def test_calendars_may_differ_on_the_outage_only():
    fetched = business_days("2020-09-01", "2020-10-30")
    assert calendar_differences(fetched, "2020-09-01", "2020-10-30").empty
    missing = fetched.drop(pd.Timestamp("2020-09-15"))
    assert list(calendar_differences(missing, "2020-09-01", "2020-10-30")) == [pd.Timestamp("2020-09-15")]


def test_end_before_start_is_an_error():
    with pytest.raises(ValueError, match="end=2020-01-01 lies before start=2020-02-01"):
        sessions("2020-02-01", "2020-01-01")
