import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import build_panel, data_hash, standardise_bars, thin_sessions
from gogooku_kedro.schemas import DailyBars

DATA = Path(os.environ.get("GOGOOKU_DATA", Path(__file__).parents[3] / "shared" / "data"))


def measured(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set GOGOOKU_DATA to the folder of the measured files")
    raw = pd.read_parquet(path)
    raw.attrs["source"] = name
    return standardise_bars(raw)


@pytest.fixture(scope="module")
def nasdaq():
    return measured("nasdaq_ohlcv.parquet")


def count(report, name):
    issue = report["issues"][name]
    return issue["rows"], issue["codes"]


@pytest.mark.parametrize(
    ("name", "rows", "codes"),
    [
        ("open_not_positive", 2314, 160),
        ("high_not_positive", 2277, None),
        ("low_not_positive", 2286, None),
        ("close_not_positive", 0, 0),
        ("high_below_low", 5, None),
        ("close_above_high", 2303, None),
        ("close_below_low", 25, None),
        ("open_above_high", 34, None),
        ("open_below_low", 45, None),
        ("zero_volume", 2688, 141),
        ("exact_duplicate", 0, 0),
        ("conflicting_duplicate", 0, 0),
        ("sparse_date", 552, 552),  # all on 2017-12-11
        ("thin_date", 0, 0),  # 552 of 1,026 is more than half
    ],
)
def test_nasdaq_dirt_is_the_independently_measured_one(nasdaq, name, rows, codes):
    found = count(nasdaq[1], name)
    assert found[0] == rows
    assert codes is None or found[1] == codes


def test_nasdaq_moves_beyond_half_are_the_measured_ones(nasdaq):
    bars, report = nasdaq
    assert count(report, "jump_split_like")[0] + count(report, "jump_other")[0] == 22
    # TTS 2012-09-21 closed at 28.16 in a day's range of 14.55 to 15.70; six more closes are like it
    assert count(report, "close_far_outside")[0] == 7
    jump = build_panel(bars)["invalid_jump"]
    # and three falls near a half that no event explains: XBKS 2012-05-29, HALO 2012-08-02, ALNY 2016-10-06
    assert count(report, "jump_near_half")[0] == 3
    # and nine bars a third lower or a half higher as a whole, of 1.5 million
    assert count(report, "jump_near_part")[0] == 9
    assert (int(jump.sum()), int(jump.any("date").sum())) == (34, 29)
    assert int(jump.sel(date=slice("2013-01-02", None)).sum()) == 23


def test_nasdaq_holes_since_2013_are_the_measured_ones(nasdaq):
    bars = nasdaq[0]
    listed = build_panel(bars)["listed"].sel(date=slice("2013-01-02", None))
    absent = ~listed
    assert (int(absent.sum()), int(absent.any("date").sum())) == (1387, 560)


def test_nasdaq_daily_bars_pass_their_schema_and_the_report_is_json(nasdaq):
    bars, report = nasdaq
    DailyBars.validate(bars, lazy=True)
    assert json.loads(json.dumps(report))["rows_out"] == 1_525_269


def test_tokyo_dirt_is_the_independently_measured_one():
    bars, report = measured("tse_ohlcv.parquet")
    for name in ("open_not_positive", "close_not_positive", "zero_volume"):
        assert count(report, name) == (1, 1)
    for name in ("high_below_low", "close_above_high", "close_below_low", "exact_duplicate"):
        assert count(report, name) == (0, 0)
    thin = build_panel(bars)["thin_date"]
    days = [f"{day:%F}" for day in thin["date"].to_index()[thin.to_numpy()]]
    assert days == ["2016-10-14", "2016-10-18"]
    assert count(report, "thin_date") == (344, 172)
    assert set(bars["code"].str.len()) == {5}


def bars_of(n_rows=3):
    return pd.DataFrame(
        {
            "date": pd.date_range("2024-01-04", periods=n_rows),
            "code": "72030",
            "close": np.arange(n_rows, dtype=float),
            "limit_up": False,
        }
    )


def test_the_hash_follows_content_and_not_the_index_or_the_kind_of_nan():
    bars = bars_of()
    bars.loc[1, "close"] = np.nan
    same = bars.copy()
    same.index = [7, 8, 9]
    same["close"] = np.array([-0.0, np.uint64(0xFFF8000000000001).view(np.float64), 2.0])
    assert data_hash(bars) == data_hash(same)
    assert len(data_hash(bars)) == 64


@pytest.mark.parametrize(
    ("column", "value"),
    [("close", 9.0), ("code", "67580"), ("date", pd.Timestamp("2023-12-29")), ("limit_up", True)],
)
def test_the_hash_sees_every_cell(column, value):
    changed = bars_of()
    changed.loc[0, column] = value
    assert data_hash(changed) != data_hash(bars_of())


def test_the_hash_is_the_same_on_every_machine():
    assert data_hash(bars_of()).startswith("3ba856c34ffe6193")


def test_a_session_is_thin_against_the_sessions_before_it_only():
    counts = np.array([10, 10, 4, 5, 10, 10])
    # medians of the sessions before: -, 10, 10, 10, 7.5, 10
    assert thin_sessions(counts).tolist() == [False, False, True, False, False, False]
    assert thin_sessions(counts, 0.9).tolist() == [False, False, True, True, False, False]


def test_a_market_that_shrank_is_not_thin_after_twenty_sessions():
    counts = np.array([10] * 20 + [4] * 21)
    assert thin_sessions(counts)[20:].tolist() == [True] * 10 + [False] * 11
