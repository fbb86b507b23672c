"""Facts of the Tokyo calendar."""

import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import sessions


def test_golden_week_of_2019_closed_the_exchange_for_ten_days():
    days = sessions("2019-04-25", "2019-05-08")
    assert [f"{day:%m-%d}" for day in days] == ["04-25", "04-26", "05-07", "05-08"]
    assert days.dtype == "datetime64[ns]"
    assert days.tz is None


def test_2019_to_2022_hold_972_sessions():
    assert len(sessions("2019-01-04", "2022-12-30")) == 972


def test_the_outage_is_no_session():
    assert pd.Timestamp("2020-10-01") not in sessions("2020-09-28", "2020-10-02")


def test_end_before_start_is_an_error():
    with pytest.raises(ValueError, match="end=2020-01-01 lies before start=2020-02-01"):
        sessions("2020-02-01", "2020-01-01")
