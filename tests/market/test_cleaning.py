import json

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import standardise_bars
from gogooku_kedro.schemas import DailyBars

NAN = np.nan
FIRST = pd.Timestamp("2024-01-04")
PRICED = ["open", "high", "low", "close", "volume"]


def market(*rows, code="AAA", start=FIRST, **more):
    """One issue with a row of open, high, low, close, volume per business day."""
    frame = pd.DataFrame(rows, columns=PRICED)
    frame.insert(0, "date", pd.bdate_range(start, periods=len(rows)))
    frame.insert(1, "code", code)
    frame.attrs["source"] = "bars.csv"
    return frame.assign(**more)


GOOD = (100, 110, 90, 105, 1000)


def clean(rows, **options):
    bars, report = standardise_bars(rows, **options)
    DailyBars.validate(bars, lazy=True)
    json.dumps(report)
    return bars, report["issues"]


def cleaned_row(row):
    """The row between two good days, after cleaning, and the names under which it was counted."""
    others = [market(GOOD, GOOD, GOOD, code=code) for code in ("BBB", "CCC", "DDD")]
    bars, issues = clean(pd.concat([market(GOOD, row, GOOD), *others]))
    counted = {name for name, issue in issues.items() if issue["rows"]} - {"sparse_date"}
    assert (bars["code"] == "AAA").sum() == 3  # no rule drops a stock-day
    return bars.loc[4, PRICED].astype(float).tolist(), counted


UNTRADED = [NAN] * 5


@pytest.mark.parametrize(
    ("row", "kept", "names"),
    [
        (GOOD, GOOD, set()),
        ((NAN, NAN, NAN, NAN, NAN), UNTRADED, {"no_prices"}),
        ((100, 110, 90, NAN, 10), UNTRADED, {"close_missing"}),
        ((100, 110, 90, -5, 10), UNTRADED, {"close_not_positive", "close_below_low"}),
        ((105, 105, 105, 105, 0), UNTRADED, {"zero_volume"}),
        (
            (100, 110, 90, 105, 0),
            (100, 110, 90, 105, NAN),
            {"zero_volume", "zero_volume_with_range"},
        ),
        ((100, 110, 90, 105, NAN), (100, 110, 90, 105, NAN), {"volume_missing"}),
        ((100, 110, 90, 105, -7), (100, 110, 90, 105, NAN), {"negative_volume"}),
        (
            (0, 0, 0, 105, 10),
            (NAN, NAN, NAN, 105, 10),
            {"open_not_positive", "high_not_positive", "low_not_positive", "close_above_high"},
        ),
        ((0, 110, 90, 105, 10), (NAN, 110, 90, 105, 10), {"open_not_positive"}),
        (
            (100, 110, 0, 105, 10),
            (100, 110, NAN, 105, 10),
            {"low_not_positive"},
        ),
        (
            (100, 90, 110, 100, 10),
            (100, NAN, NAN, 100, 10),
            {"high_below_low", "close_above_high", "close_below_low"} | {"open_above_high", "open_below_low"},
        ),
        ((100, 110, 90, 113, 10), (100, NAN, 90, 113, 10), {"close_above_high"}),
        ((100, 110, 90, 88, 10), (100, 110, NAN, 88, 10), {"close_below_low"}),
        ((100, 110, 90, 115, 10), UNTRADED, {"close_above_high", "close_far_outside"}),
        ((100, 110, 90, 85, 10), UNTRADED, {"close_below_low", "close_far_outside"}),
        ((112, 110, 90, 105, 10), (NAN, 110, 90, 105, 10), {"open_above_high"}),
        ((89, 110, 90, 105, 10), (NAN, 110, 90, 105, 10), {"open_below_low"}),
        ((100, 170, 90, 105, 10), (100, 170, 90, 105, 10), {"far_from_close"}),
    ],
)
def test_each_impossible_row_has_its_rule(row, kept, names):
    values, counted = cleaned_row(row)
    np.testing.assert_array_equal(values, np.array(kept, dtype=float))
    assert counted == names


def test_the_noise_of_float32_is_not_out_of_order():
    values, counted = cleaned_row((100, 110, 90, 110 * (1 + 1e-7), 10))
    assert values[1] == 110
    assert counted == set()


def test_an_issue_is_a_count_of_rows_and_codes_with_its_rule_and_five_examples():
    halted = [(NAN,) * 5] * 8
    bars = pd.concat([market(GOOD, *halted), market(GOOD, *halted, code="BBB")])
    _, issues = clean(bars)
    issue = issues["no_prices"]
    assert (issue["rows"], issue["codes"], len(issue["examples"])) == (16, 2, 5)
    assert issue["examples"][0] == "2024-01-05 AAA open=nan high=nan low=nan close=nan volume=nan"
    assert issue["rule"].startswith("did not trade")


def test_j_quants_tables_become_daily_bars():
    raw = pd.DataFrame(
        {
            "Date": ["2024-01-04", "2024-01-05"],
            "Code": ["72030", "72030"],
            **{"O": [100, None], "H": [110, None], "L": [90, None], "C": [105, None]},
            **{"UL": ["1", "0"], "LL": ["0", "0"], "Vo": [1000, None], "Va": [1e5, None]},
            "AdjFactor": [1.0, 0.5],
            "AdjC": [52.5, None],
        }
    )
    master = pd.DataFrame({"Date": ["2024-01-05"], "Code": ["72030"], "S33Nm": ["輸送用機器"], "MktNm": ["プライム"]})
    bars, report = standardise_bars(raw, master)
    named = [name for name, column in DailyBars.to_schema().columns.items() if not column.regex]
    assert list(bars.columns) == named
    assert bars["adj_factor"].tolist() == [1.0, 0.5]  # the event of a day without trade stays
    assert bars["limit_up"].tolist() == [True, False]
    assert bars["sector"].tolist() == ["n/a", "輸送用機器"]  # not known before its date
    assert bars["market"].tolist() == ["n/a", "プライム"]
    assert report["source"] == "raw_bars"


def test_rows_are_sorted_and_counted():
    raw = pd.concat([market(GOOD, GOOD, code="BBB"), market(GOOD, GOOD, code="AAA")])
    bars, report = standardise_bars(raw.iloc[::-1])
    assert bars["code"].tolist() == ["AAA", "BBB"] * 2
    assert bars["date"].is_monotonic_increasing
    assert {k: report[k] for k in ("rows_in", "rows_out", "codes", "sessions", "from", "to")} == {
        "rows_in": 4,
        "rows_out": 4,
        "codes": 2,
        "sessions": 2,
        "from": "2024-01-04",
        "to": "2024-01-05",
    }


def test_the_order_of_the_file_and_a_repeated_row_change_nothing():
    raw = pd.concat([market(GOOD, GOOD), market(GOOD, code="BBB")], ignore_index=True)
    shuffled = pd.concat([raw, raw.iloc[[1]]]).sample(frac=1, random_state=1)
    first, second = standardise_bars(raw)[1], standardise_bars(shuffled)[1]
    assert first["data_hash"] == second["data_hash"]
    assert second["issues"]["exact_duplicate"]["rows"] == 1


def test_conflicting_rows_of_a_stock_day_are_all_distrusted():
    other = market((100, 110, 90, 106, 1000))
    bars, issues = clean(pd.concat([market(GOOD, GOOD), other]))
    assert bars["close"].isna().tolist() == [True, False]
    assert issues["conflicting_duplicate"]["rows"] == 2


def test_many_conflicts_are_a_wrong_code_column():
    twice = pd.concat([market(*[GOOD] * 30), market(*[(1, 2, 1, 2, 3)] * 30)])
    with pytest.raises(ValueError, match=r"60 rows share date and code .*unique per issue"):
        standardise_bars(twice)


def test_rows_without_date_or_code_are_dropped_when_empty_and_refused_when_not():
    raw = pd.concat([market(GOOD), market((NAN,) * 5).assign(code=None)])
    bars, issues = clean(raw)
    assert len(bars) == issues["empty_row"]["rows"] == 1
    with pytest.raises(ValueError, match=r"1 rows have prices but no code: row 1: 105"):
        standardise_bars(pd.concat([market(GOOD), market(GOOD).assign(code="")]))
    with pytest.raises(ValueError, match=r"1 rows have prices but no date"):
        standardise_bars(pd.concat([market(GOOD), market(GOOD).assign(date=pd.NaT)]))


def test_rows_outside_the_calendar_are_dropped_and_empty_sessions_are_told():
    raw = market(GOOD, GOOD, GOOD, start="2024-01-04")  # Thursday, Friday, Monday 8th: a holiday
    raw.loc[3] = [pd.Timestamp("2024-01-10"), "AAA", *GOOD]
    raw.attrs["source"] = "bars.csv"
    bars, report = standardise_bars(raw, calendar="XTKS")
    assert bars["date"].dt.day.tolist() == [4, 5, 10]
    assert report["issues"]["not_a_session"]["rows"] == 1
    assert "1 sessions of XTKS have no row at all: 2024-01-09" in report["notes"]
    with pytest.raises(ValueError, match=r"calendar is 'TOKYO' .*'XTKS'"):
        standardise_bars(raw, calendar="TOKYO")


def test_an_event_on_a_dropped_date_takes_effect_on_the_next_row():
    outage = market(GOOD, (NAN,) * 5, (50, 55, 45, 52, 10), start="2020-09-30")
    bars, issues = clean(outage.assign(adj_factor=[1, 0.5, 1]), calendar="XTKS")
    assert issues["not_a_session"]["rows"] == 1  # 2020-10-01
    assert bars["adj_factor"].tolist() == [1.0, 0.5]
    assert issues["jump_other"]["rows"] == issues["jump_split_like"]["rows"] == 0


def test_without_adjustment_columns_the_factor_is_one_and_the_report_says_so():
    bars, report = standardise_bars(market(GOOD, GOOD))
    assert (bars["adj_factor"] == 1).all()
    assert any("neither adj_factor nor adj_close" in note for note in report["notes"])
    assert any("no sector" in note for note in report["notes"])
    assert any("survivorship" in note for note in report["notes"])


def test_factors_come_from_adj_close_when_it_is_all_there_is():
    halved = (50, 55, 45, 52.5, 2000)
    raw = market(GOOD, halved, adj_close=[52.5, 52.5])
    assert clean(raw)[0]["adj_factor"].tolist() == [1.0, 0.5]
    given = raw.assign(adj_factor=[1.0, 1.0])
    assert clean(given)[0]["adj_factor"].tolist() == [1.0, 1.0]


def test_an_impossible_factor_is_counted_and_is_one():
    bars, issues = clean(market(GOOD, GOOD, adj_factor=[-1.0, NAN]))
    assert bars["adj_factor"].tolist() == [1.0, 1.0]
    assert issues["adj_factor_not_positive"]["rows"] == 1


@pytest.mark.parametrize(
    ("close", "name"),
    [(210, "jump_split_like"), (34, "jump_split_like"), (170, "jump_other"), (53, "jump_near_half")],
)
def test_moves_without_an_event_are_sorted_by_their_ratio(close, name):
    _, issues = clean(market(GOOD, (close, close, close, close, 10)))
    jumps = {key: issue["rows"] for key, issue in issues.items() if key.startswith("jump")}
    assert jumps == dict.fromkeys(jumps, 0) | {name: 1}


def test_holes_in_the_life_of_an_issue_are_counted_and_not_filled():
    full = market(*[GOOD] * 6)
    holed = market(*[GOOD] * 6, code="BBB").iloc[[1, 4]]
    bars, issues = clean(pd.concat([full, holed]))
    issue = issues["missing_stock_day"]
    assert (issue["rows"], issue["codes"]) == (2, 1)
    assert issue["examples"] == ["2024-01-08 BBB", "2024-01-09 BBB"]
    assert len(bars) == 8


def test_etf_and_reit_are_left_out_when_the_master_names_them():
    raw = pd.concat([market(GOOD, code="72030"), market(GOOD, code="13060")])
    master = pd.DataFrame({"Date": "2024-01-01", "Code": ["7203", "1306"], "S33": ["3700", "9999"], "Mkt": "0111"})
    bars, issues = clean(raw, listed_issues=master)
    assert bars["code"].tolist() == ["72030"]
    assert issues["not_common_stock"]["codes"] == 1
    kept, _ = clean(raw, listed_issues=master, common_stock_only=False)
    assert len(kept) == 2


def test_a_sector_column_of_the_bars_wins_and_changes_are_counted():
    raw = market(GOOD, GOOD, GOOD, sector=["", "Tech", "Food"])
    bars, issues = clean(raw)
    assert bars["sector"].tolist() == ["n/a", "Tech", "Food"]
    assert issues["sector_changed"]["codes"] == 1


def test_an_empty_table_or_one_that_never_trades_is_refused():
    with pytest.raises(ValueError, match=r"bars.csv: no rows"):
        standardise_bars(market(GOOD).iloc[:0])
    stale = market((5, 5, 5, 5, 0), (5, 5, 5, 5, 0))
    with pytest.raises(ValueError, match=r"bars.csv: none of the 2 rows has a price"):
        standardise_bars(stale)


def test_a_missing_master_column_is_named():
    with pytest.raises(ValueError, match=r"listed_issues: no column \['Code'\]"):
        standardise_bars(market(GOOD), pd.DataFrame({"Date": ["2024-01-04"]}))
    empty = pd.DataFrame(columns=["Date", "Code", "S33Nm", "MktNm"])
    assert len(standardise_bars(market(GOOD), empty)[0]) == 1


def test_turnover_is_close_times_volume_only_where_the_source_has_no_such_column():
    raw = pd.DataFrame(
        {
            "date": ["2020-01-06", "2020-01-07"],
            "code": ["A", "A"],
            "open": [10.0, 11.0],
            "high": [12.0, 12.0],
            "low": [9.0, 10.0],
            "close": [11.0, 12.0],
            "volume": [100.0, 200.0],
        }
    )
    bars, report = standardise_bars(raw, calendar=None)
    assert bars["turnover_value"].tolist() == [1100.0, 2400.0]
    assert any("close x volume" in note for note in report["notes"])
    bars, _ = standardise_bars(raw.assign(turnover_value=[1000.0, np.nan]), calendar=None)
    assert bars["turnover_value"].tolist()[0] == 1000.0
    assert np.isnan(bars["turnover_value"].tolist()[1])
