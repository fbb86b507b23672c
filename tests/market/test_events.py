"""Statements on the panel's grid: when they count, which filing counts, and what they leave known."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import build_events
from tests.market.events_factory import NAN, filing, make_panel, statements

DAYS = pd.bdate_range("2024-02-01", periods=12)  # 2024-02-12 is a Monday
Y23, Y24 = "2023-03-31", "2024-03-31"


def known(table, name="stmt_sales", dates=DAYS, code="13010", **panel_arguments):
    panel = make_panel(dates, **panel_arguments)
    return build_events(panel, table)[name].sel(code=code).values.tolist()


def same(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize("time", ["08:30:00", "11:30:00", "15:30:00", ""])
def test_an_event_counts_from_the_next_session_whatever_its_time(time):
    table = statements(filing("2024-02-06", "3Q", Y24, Sales=30, time=time))
    same(known(table), [NAN] * 4 + [30] * 8)  # 02-06 is position 3


def test_an_event_on_a_day_without_a_session_counts_from_the_session_after_it():
    holiday = DAYS.drop("2024-02-06")
    same(known(statements(filing("2024-02-06", "3Q", Y24, Sales=30)), dates=holiday), [NAN] * 3 + [30] * 8)
    same(known(statements(filing("2024-02-10", "3Q", Y24, Sales=30))), [NAN] * 7 + [30] * 5)  # a Saturday


def test_an_event_on_or_after_the_last_session_counts_nowhere():
    table = statements(
        filing("2023-11-06", "2Q", Y24, Sales=20),
        filing(DAYS[-1], "3Q", Y24, Sales=30),
        filing("2024-05-10", "FY", Y24, Sales=40),
    )
    same(known(table), [20] * 12)


def test_an_older_event_is_known_from_the_first_session():
    table = statements(filing("2024-01-31", "3Q", Y24, Sales=30))
    same(known(table), [30] * 12)
    same(known(table, "stmt_sessions_since"), range(12))
    earlier = statements(filing("2024-01-26", "3Q", Y24, Sales=30))  # three weekdays earlier
    same(known(earlier, "stmt_sessions_since"), range(3, 15))


def test_of_several_filings_on_a_day_the_last_by_time_and_number_counts():
    rows = [
        filing("2024-02-06", "3Q", Y24, Sales=33, time="15:30", number=3),
        filing("2024-02-06", "3Q", Y24, Sales=31, time="9:00:00", number=9),
        filing("2024-02-06", "3Q", Y24, Sales=32, time="15:30:00", number=2),
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        same(known(statements(*(rows[i] for i in order)))[4], 33)


def test_a_correction_replaces_its_period_from_its_own_availability_on():
    table = statements(
        filing("2024-02-02", "3Q", Y24, Sales=30, number=1),
        filing("2024-02-08", "3Q", Y24, Sales=29, number=2),
    )
    same(known(table), [NAN] * 2 + [30] * 4 + [29] * 6)
    same(known(table, "stmt_sessions_since")[2:], range(10))  # a correction is no new period


def test_a_correction_of_an_older_period_changes_what_is_compared_with_it_only():
    table = statements(
        filing("2023-02-03", "3Q", Y23, Sales=25),
        filing("2024-02-02", "3Q", Y24, Sales=30),
        filing("2024-02-08", "3Q", Y23, Sales=24),
    )
    same(known(table), [NAN] * 2 + [30] * 10)
    same(known(table, "stmt_sales_year_ago"), [NAN] * 2 + [25] * 4 + [24] * 6)


def test_twelve_months_and_single_quarters_come_from_cumulative_figures():
    table = statements(
        filing("2022-08-05", "1Q", Y23, NP=1),
        filing("2022-11-04", "2Q", Y23, NP=3),
        filing("2023-02-03", "3Q", Y23, NP=6),
        filing("2023-05-12", "FY", Y23, NP=10),
        filing("2023-08-04", "1Q", Y24, NP=2),
        filing("2023-11-06", "2Q", Y24, NP=5),
        filing("2024-02-06", "3Q", Y24, NP=9),
    )
    after, before = 4, 3
    for name, now, then in (
        ("stmt_np", 9, 5),
        ("stmt_np_year_ago", 6, 3),
        ("stmt_np_quarter", 9 - 5, 5 - 2),
        ("stmt_np_quarter_year_ago", 6 - 3, 3 - 1),
        ("stmt_np_ttm", 10 + 9 - 6, 10 + 5 - 3),
        ("stmt_fy_np", 10, 10),
    ):
        found = known(table, name)
        assert (found[after], found[before]) == (now, then), name
    assert np.isnan(known(table, "stmt_np_ttm_year_ago")).all()  # needs the year before FY 2023/3


def test_a_changed_year_end_has_no_year_ago():
    table = statements(filing("2023-02-03", "3Q", "2023-03-31", NP=6), filing("2024-02-02", "3Q", "2023-12-31", NP=9))
    assert np.isnan(known(table, "stmt_np_year_ago")).all()


def test_cash_flows_are_those_of_the_last_period_that_states_them():
    table = statements(
        filing("2022-11-04", "2Q", Y23, NP=3, CFO=4),
        filing("2023-05-12", "FY", Y23, NP=10, CFO=12),
        filing("2023-11-06", "2Q", Y24, NP=5, CFO=7),
        filing("2024-02-06", "3Q", Y24, NP=9),
    )
    same(known(table, "stmt_cfo_ttm"), [12 + 7 - 4] * 12)
    same(known(table, "stmt_np_ttm_of_cfo"), [10 + 5 - 3] * 12)


def guidance():
    return statements(
        filing("2023-05-12", "FY", Y23, OP=8, FOP="", NxFOP=10),
        filing("2023-11-06", "2Q", Y24, OP=5, FOP=10),
        filing("2024-02-02", "3Q", Y24, OP=8, FOP=10),
        filing("2024-02-06", "FY", Y24, kind="forecast", FOP=12),
        filing("2024-02-07", "FY", Y24, kind="forecast", FDivAnn=20),
        filing("2024-02-14", "FY", Y24, OP=13, NxFOP=15),
    )


def test_a_forecast_document_updates_forecasts_only():
    same(known(guidance(), "stmt_op"), [5] * 2 + [8] * 8 + [13] * 2)
    same(known(guidance(), "stmt_forecast_op"), [10] * 4 + [12] * 6 + [15] * 2)
    same(known(guidance(), "stmt_forecast_op_previous"), [10] * 10 + [15] * 2)  # first of a year: itself
    same(known(guidance(), "stmt_forecast_op_initial"), [10] * 10 + [15] * 2)
    same(known(guidance(), "stmt_adj_forecast_dividend")[:10], [NAN] * 5 + [20] * 5)
    same(known(guidance(), "stmt_revision_balance"), [0] * 4 + [1] * 8)
    same(known(guidance(), "stmt_revision_sessions_since"), [NAN] * 4 + list(range(8)))


def test_the_document_type_says_whether_figures_are_results():
    stray = filing("2024-02-06", "3Q", Y24, kind="forecast", Sales=99, FSales=40)
    table = statements(filing("2024-02-02", "2Q", Y24, Sales=20), stray)
    same(known(table), [NAN] * 2 + [20] * 10)
    same(known(table, "stmt_forecast_sales"), [NAN] * 4 + [40] * 8)
    same(known(table.drop(columns="DocType")), [NAN] * 2 + [20] * 2 + [99] * 8)
    empty = statements(filing("2024-02-02", "2Q", Y24, Sales=20), filing("2024-02-06", "3Q", Y24, TA=5))
    same(known(empty), [NAN] * 2 + [20] * 10)


def test_a_forecast_of_a_year_is_replaced_as_a_whole():
    table = statements(
        filing("2024-02-02", "3Q", Y24, Sales=30, FSales=40, FOP=4),
        filing("2024-02-06", "FY", Y24, kind="forecast", FSales=41),
    )
    same(known(table, "stmt_forecast_sales"), [NAN] * 2 + [40] * 2 + [41] * 8)
    same(known(table, "stmt_forecast_op"), [NAN] * 2 + [4] * 2 + [NAN] * 8)  # withdrawn


def test_a_full_year_is_held_against_the_last_forecast_before_it():
    same(known(guidance(), "stmt_own_forecast_op"), [10] * 4 + [12] * 8)
    same(known(guidance(), "stmt_fy_op"), [8] * 10 + [13] * 2)
    same(known(guidance(), "stmt_fy_forecast_op"), [NAN] * 10 + [12] * 2)
    same(known(guidance(), "stmt_previous_fy_op"), [8] * 12)


def test_what_is_said_about_a_year_after_its_results_is_no_forecast_of_it():
    table = statements(
        filing("2024-02-02", "3Q", Y24, OP=8, FOP=12),
        filing("2024-02-05", "FY", Y24, OP=13, FOP=13, NxFOP=15),
        filing("2024-02-07", "FY", Y24, kind="forecast", FOP=14),
    )
    same(known(table, "stmt_own_forecast_op"), [NAN] * 2 + [12] * 10)
    same(known(table, "stmt_fy_forecast_op"), [NAN] * 3 + [12] * 9)
    same(known(table, "stmt_forecast_op"), [NAN] * 2 + [12] + [15] * 9)


def test_revisions_are_counted_for_a_year():
    days = [f"2022-{month:02d}-06" for month in (6, 9, 12)] + ["2023-06-06", "2024-02-06"]
    ups = [filing(day, "FY", Y24, kind="forecast", FOP=10 + i) for i, day in enumerate(days)]
    # three raised by June 2023; of those only the last lies within a year of February 2024
    same(known(statements(*ups), "stmt_revision_balance"), [3] * 4 + [2] * 8)


def test_the_next_results_are_due_52_weeks_after_last_years():
    table = statements(
        filing("2023-05-12", "FY", Y23, NP=10),  # a Friday; 52 weeks later is Friday 2024-05-10
        filing("2024-02-02", "3Q", Y24, NP=9),
    )
    due = known(table, "stmt_weekdays_to_next")
    same(due[2:], np.busday_count(DAYS[2:].to_numpy().astype("datetime64[D]"), np.datetime64("2024-05-10")))


def test_shares_and_dividends_follow_a_split_between_event_and_today():
    table = statements(filing("2024-02-02", "3Q", Y24, Sales=1, ShOutFY=1100, TrShFY=100, FSales=1, FDivAnn=6))
    split = (6, 3)  # 1:3 on the seventh session, after the filing
    same(known(table, "stmt_adj_shares", split=split), [NAN] * 2 + [1000] * 10)
    same(known(table, "stmt_adj_forecast_dividend", split=split), [NAN] * 2 + [6] * 10)
    panel = make_panel(DAYS, split=split)
    events = build_events(panel, table).sel(code="13010")
    raw = panel["close"].sel(code="13010").values
    shares_today = np.where(np.arange(12) >= 6, 3000, 1000)
    value = (events["stmt_adj_shares"] * panel["adj_close"].sel(code="13010")).values
    np.testing.assert_allclose(value[2:], (raw * shares_today)[2:], rtol=1e-6)
    after = statements(filing("2024-02-12", "3Q", Y24, Sales=1, ShOutFY=3300, TrShFY=300, FSales=1, FDivAnn=2))
    same(known(after, "stmt_adj_shares", split=split)[8:], [1000] * 4)  # filed in new shares
    same(known(after, "stmt_adj_forecast_dividend", split=split)[8:], [6] * 4)


def test_a_filing_on_an_ex_date_states_new_shares_and_one_on_the_day_before_old_ones():
    split = (6, 3)  # 1:3 on 2024-02-09
    for day, shares, dividend, first in (("2024-02-08", 1000, 6, 6), ("2024-02-09", 3000, 2, 7)):
        table = statements(filing(day, "3Q", Y24, Sales=1, ShOutFY=shares, FSales=1, FDivAnn=dividend))
        unknown = [NAN] * first
        same(known(table, "stmt_adj_shares", split=split), unknown + [1000] * (12 - first))
        same(known(table, "stmt_adj_forecast_dividend", split=split), unknown + [6] * (12 - first))


def test_figures_are_forgotten_after_200_sessions():
    dates = pd.bdate_range("2023-02-01", periods=230)
    table = statements(
        filing("2023-02-01", "3Q", Y23, Sales=30, FSales=40),
        filing("2023-03-01", "FY", Y23, kind="forecast", FSales=41),
    )
    sales, forecast = known(table, dates=dates), known(table, "stmt_forecast_sales", dates=dates)
    assert np.flatnonzero(~np.isnan(sales)).tolist() == list(range(1, 202))  # ages 0 to 200
    assert np.flatnonzero(~np.isnan(forecast)).tolist() == list(range(1, 222))
    assert forecast[220] == 41


def test_each_code_reads_its_own_filings_and_unknown_codes_are_ignored():
    table = statements(
        filing("2024-02-02", "3Q", Y24, code="1302", Sales=7),
        filing("2024-02-02", "3Q", Y24, code="99990", Sales=99),
        filing("2024-02-05", "3Q", Y24, code=13010, Sales=5),
    )
    same(known(table), [NAN] * 3 + [5] * 9)
    same(known(table, code="13020"), [NAN] * 2 + [7] * 10)


def test_blank_text_is_missing_and_an_absent_table_gives_nothing():
    table = statements(filing("2024-02-02", "3Q", Y24, Sales=30, OP="", NP="-5"))
    assert np.isnan(known(table, "stmt_op")).all()
    assert known(table, "stmt_np")[2] == -5
    events = build_events(make_panel(DAYS), None, pd.DataFrame(columns=["PubDate"]), None)
    assert list(events.data_vars) == []
    assert dict(events.sizes) == {"date": 12, "code": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Sales": "n.m."}, "statements: column 'Sales' has 1 values that are not numbers: row 0: 'n.m.'"),
        (
            {"DiscDate": "06/02/2024"},
            "statements: column 'DiscDate' has dates that may be day or month first",
        ),
        ({"Code": "88880"}, "statements: none of its codes is in the panel.*leave the table out"),
        ({"CurFYEn": None}, r"statements: no column \['CurFYEn'\].*J-Quants V2 names DiscDate, Code"),
    ],
)
def test_what_cannot_be_read_names_table_column_and_fix(change, message):
    row = filing("2024-02-06", "3Q", Y24, Sales=30) | change
    table = pd.DataFrame([{name: value for name, value in row.items() if value is not None}])
    with pytest.raises(ValueError, match=message):
        known(table)
