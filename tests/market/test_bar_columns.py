import datetime as dt

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market.bar_columns import column_map, unknown_columns
from gogooku_kedro.market.parsing import code_note, parse_codes, parse_dates, parse_flags, parse_numbers

NAMES = ["date", "code", "open", "high", "low", "close", "volume"]


def dates(values, **options):
    return parse_dates(pd.Series(values), source="f.csv", **options).dt.strftime("%F").tolist()


def codes(values, **options):
    return parse_codes(pd.Series(values), source="f.csv", **options).tolist()


@pytest.mark.parametrize(
    "found",
    [
        ["Date", "Code", "O", "H", "L", "C", "Vo"],
        ["Datetime", "Ticker", "Open", "Hight", "Low", "Close", "Volume"],
        ["DATE", "SecuritiesCode", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"],
        ["timestamp", "symbol", "open", "high", "low", "close", "vol"],
        ["日付", "銘柄コード", "始値", "高値", "安値", "終値", "出来高"],
    ],
)
def test_required_columns_of_common_sources_are_recognised(found):
    assert list(column_map(found, source="f.csv").values()) == NAMES


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Adj Close", "adj_close"),
        ("AdjC", "adj_close"),
        ("AdjFactor", "adj_factor"),
        ("AdjustmentFactor", "adj_factor"),
        ("S33Nm", "sector"),
        ("Va", "turnover_value"),
        ("UL", "limit_up"),
        ("MktNm", "market"),
    ],
)
def test_optional_columns_are_recognised(theirs, ours):
    assert column_map([*NAMES, theirs], source="f.csv")[theirs] == ours


def test_adjusted_prices_other_than_the_close_are_unknown_columns():
    found = [*NAMES, "AdjO", "AdjVo", "RowId"]
    assert unknown_columns(found, column_map(found, source="f")) == ["AdjO", "AdjVo", "RowId"]


def test_a_missing_column_is_named_with_the_found_ones_and_the_fix():
    found = ["Date", "Code", "Open", "High", "Low", "Schluss", "Volume"]
    with pytest.raises(ValueError, match=r"no column for close; found .*'Schluss'.*columns: {"):
        column_map(found, source="f.csv")
    assert column_map(found, {"Schluss": "close"}, source="f.csv")["Schluss"] == "close"


def test_two_columns_of_one_meaning_are_ambiguous_until_the_map_chooses():
    found = [*NAMES, "Close Price"]
    with pytest.raises(ValueError, match=r"\['close', 'Close Price'\] all mean 'close'"):
        column_map(found, source="f.csv")
    chosen = column_map(found, {"Close Price": "close"}, source="f.csv")
    assert chosen["Close Price"] == "close"
    assert "close" not in chosen


def test_a_map_to_an_absent_column_or_a_foreign_name_is_refused():
    with pytest.raises(ValueError, match=r"names .'Last'., which the file does not have"):
        column_map(NAMES, {"Last": "close"}, source="f.csv")
    with pytest.raises(ValueError, match=r"leads to .'price'."):
        column_map(NAMES, {"close": "price"}, source="f.csv")


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-04",
        "2024/1/4",
        "20240104",
        20240104,
        20240104.0,
        dt.date(2024, 1, 4),
        dt.datetime(2024, 1, 4, 15),
        np.datetime64("2024-01-04T23:00"),
        "2024-01-04 15:30:00",
        "2024-01-03T15:00:00Z",  # midnight in Tokyo
        "2024-01-04T00:00:00+09:00",
    ],
)
def test_a_stamp_is_the_session_of_its_local_date(stamp):
    assert dates([stamp]) == ["2024-01-04"]


def test_an_offset_is_that_of_the_local_date_and_utc_is_converted_to_the_zone_of_the_market():
    evening_in_new_york = pd.to_datetime(["2024-01-04 16:00"]).tz_localize("America/New_York")
    assert dates(evening_in_new_york, timezone="America/New_York") == ["2024-01-04"]
    assert dates(evening_in_new_york) == dates(["2024-01-04T16:00:00-05:00"]) == ["2024-01-04"]
    assert dates(evening_in_new_york.tz_convert("UTC")) == ["2024-01-05"]  # 21:00 in UTC is the next day in Tokyo


def test_daylight_saving_offsets_in_one_text_column_are_read():
    stamps = ["2024-03-08 00:00:00-05:00", "2024-03-11 00:00:00-04:00"]
    assert dates(stamps, timezone="America/New_York") == ["2024-03-08", "2024-03-11"]


def test_blank_dates_are_missing():
    assert parse_dates(pd.Series(["2024-01-04", "", None]), source="f").isna().tolist() == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("stamp", ["01/02/2024", "2023-02-29", "soon", 45000])
def test_a_date_of_unknown_order_or_meaning_is_refused_with_its_row(stamp):
    with pytest.raises(ValueError, match=r"f.csv: column 'date' .*row 1: "):
        dates(pd.Series(["2024-01-04", stamp], dtype=object))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([7203, 6758], ["72030", "67580"]),
        ([7203.0, 6758.0], ["72030", "67580"]),
        (["7203.T", "130a"], ["72030", "130A0"]),
        (["72030", "25935"], ["72030", "25935"]),
        (["AAPL", "7203"], ["AAPL", "7203"]),
        (["00700", "09988"], ["00700", "09988"]),
        (["005930"], ["005930"]),
    ],
)
def test_only_a_file_of_tokyo_codes_gets_five_characters(raw, expected):
    assert codes(raw) == expected


@pytest.mark.parametrize(
    ("raw", "example"),
    [
        ([None, 7203.0, 7203.0, 6758.0], "7203 is 72030"),
        (["72030", "7203.T"], "7203.T is 72030"),
        (["72030", "130A0"], None),
        (["AAPL", "7203"], None),
    ],
)
def test_codes_that_are_written_otherwise_than_in_the_source_are_said(raw, example):
    values = pd.Series(raw)
    note = code_note(values, parse_codes(values, source="f.csv"))
    assert (note is None) if example is None else f": {example} in every table" in note


def test_code_style_overrides_the_guess():
    assert codes(["2330"], code_style="as_is") == ["2330"]
    with pytest.raises(ValueError, match=r"1 codes that are not Tokyo codes, .*AAPL"):
        codes(["7203", "AAPL"], code_style="tse")
    with pytest.raises(ValueError, match=r"code_style is 'jp'"):
        codes(["7203"], code_style="jp")


def test_text_numbers_are_read_and_blank_text_is_missing():
    column = pd.Series(["1,234.5", " 7 ", "-", "", "NA", None, "-3", "1e3"], name="close")
    expected = [1234.5, 7, np.nan, np.nan, np.nan, np.nan, -3, 1000]
    np.testing.assert_array_equal(parse_numbers(column, source="f.csv"), expected)


@pytest.mark.parametrize("text", ["12,34", "¥", "abc12M", "1.2M", "1.234,5", "inf", "abc"])
def test_a_value_that_is_no_number_is_shown_with_file_column_and_row(text):
    column = pd.Series(["1", text], name="open")
    with pytest.raises(ValueError, match=r"f.csv: column 'open' has 1 values .*row 1: "):
        parse_numbers(column, source="f.csv")


def test_currency_signs_and_units_are_left_out_and_amounts_may_be_scaled():
    prices = pd.Series(["¥1,234", "￥1,234.5", "$12", "-€3", "1,234円", "USD 7"], name="close")
    assert parse_numbers(prices, source="f.csv").tolist() == [1234, 1234.5, 12, -3, 1234, 7]
    amounts = pd.Series(["1.2M", "350K", "2b", "12万", "3百万", "1,500株", "7"], name="volume")
    expected = [1.2e6, 350e3, 2e9, 12e4, 3e6, 1500, 7]
    np.testing.assert_allclose(parse_numbers(amounts, source="f.csv", scaled=True), expected)


@pytest.mark.parametrize(
    ("stamps", "first"),
    [
        (["30/12/2016", "05/01/2017"], "2016-12-30"),
        (["12/30/2016", "01/05/2017"], "2016-12-30"),
        (["30.12.2016", "5.1.2017"], "2016-12-30"),
        (["30-12-2016 00:00:00", "05-01-2017 00:00:00"], "2016-12-30"),
        (["30-Dec-2016", "5-Jan-2017"], "2016-12-30"),
        (["Dec 30, 2016", "January 5, 2017"], "2016-12-30"),
        (["Fri Dec 30, 2016", "Thu Jan 5, 2017"], "2016-12-30"),
        (["平成28年12月30日", "H29.1.5"], "2016-12-30"),
        (["令和元年12月30日", "R2/1/6"], "2019-12-30"),
    ],
)
def test_a_date_with_the_year_last_is_read_where_the_column_shows_its_order(stamps, first):
    assert dates(stamps)[0] == first
    assert pd.Timestamp(dates(stamps)[1]).month == 1


@pytest.mark.parametrize(
    ("stamps", "sentence"),
    [
        (["01/02/2017", "02/02/2017"], r"may be day or month first: row 0: '01/02/2017'.*load_args: {dayfirst: true}"),
        (["30/12/2016", "01/31/2017"], r"neither all day first nor all month first: row 0: '30/12/2016'"),
        (["30-Dec-16"], r"not dates with the year in four digits: row 0: '30-Dec-16'.*date_format"),
        (["30/Foo/2016"], r"not dates"),
    ],
)
def test_a_date_of_unknown_order_names_the_key_to_set(stamps, sentence):
    with pytest.raises(ValueError, match=sentence):
        dates(stamps)


def test_at_most_five_offending_rows_are_shown():
    with pytest.raises(ValueError, match=r"has 9 values .*row 4: 'x'\. Clean"):
        parse_numbers(pd.Series(["x"] * 9, name="open"), source="f.csv")


def test_limit_flags_arrive_as_text():
    assert parse_flags(pd.Series(["0", "1", None, ""]), source="f").tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert parse_flags(pd.Series([0.0, 1.0, np.nan]), source="f").tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"neither 0 nor 1: row 0: '2'"):
        parse_flags(pd.Series(["2"], name="limit_up"), source="f")
