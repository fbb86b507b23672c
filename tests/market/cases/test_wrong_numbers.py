"""What once gave a wrong return without a word: now the right one, none, or one sentence."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.backtest.fills import TradableMarket
from gogooku_kedro.labels.returns import Status, forward_returns
from gogooku_kedro.market import build_panel, standardise_bars
from gogooku_kedro.report.publish import show_ingestion

from .made_up import CODES, DAYS, PRICES, SPLIT_DAY, at, bars, split_bars

# 1412 closes at 4000, 4010, ..., 4040, then 4050, ... before the split of two for one
RETURN_OF_THE_SPLIT_DAY = 4050 / 4040 - 1


def ingest(table, **options):
    """Panel and quality report of a table."""
    limits = {"price_limits": options.pop("price_limits", "none")}
    table.attrs["source"] = "bars.csv"
    daily, report = standardise_bars(table, **options)
    return build_panel(daily, **limits), report


def returns(panel, code):
    return panel["ret_1d"].sel(code=code).to_numpy()


def note(report, start):
    return next(text for text in report["notes"] if text.startswith(start))


def with_event(stated, session, code="1412"):
    table = split_bars(code)
    table["AdjustmentFactor"] = 1.0
    table.loc[at(table, code, session), "AdjustmentFactor"] = stated
    return table


def cumulative(before, after, table=None):
    table = split_bars() if table is None else table
    late = (table["Code"] == "1412") & (table["Date"] >= f"{DAYS[SPLIT_DAY]:%Y-%m-%d}")
    return table.assign(adj_factor=np.where(late, after, before))


def test_a_shifted_event_is_counted():
    _, report = ingest(with_event(0.5, SPLIT_DAY - 1))
    assert report["issues"]["adj_factor_shifted"]["rows"] == 1
    assert report["issues"]["adj_factor_shifted"]["examples"][0].startswith("2020-06-08 14120")


def test_a_cumulative_factor_with_a_step_of_a_cash_dividend_leaves_the_dividend_out():
    panel, _ = ingest(cumulative(10.0, 10.2, table=bars()))
    np.testing.assert_allclose(returns(panel, "14120")[SPLIT_DAY], RETURN_OF_THE_SPLIT_DAY, rtol=1e-5)


def test_an_event_that_fits_neither_row_is_refused_with_the_row():
    with pytest.raises(
        ValueError, match=r"bars.csv: adj_factor does not fit .*2020-06-03 14120 factor 0.5, close 4010 "
    ):
        ingest(with_event(0.5, 2))


@pytest.mark.parametrize("session", range(SPLIT_DAY - 1, len(DAYS)))
@pytest.mark.parametrize("stated_on", [SPLIT_DAY - 1, SPLIT_DAY])
def test_what_is_adjusted_up_to_a_session_does_not_depend_on_what_comes_after(session, stated_on):
    table = with_event(0.5, stated_on)
    whole, _ = ingest(table)
    known, _ = ingest(table[table["Date"] <= f"{DAYS[session]:%Y-%m-%d}"].copy())
    for name in ("adj_close", "adj_volume", "ret_1d", "invalid_jump"):
        assert known[name].values.tobytes() == whole[name].values[: session + 1].tobytes(), name


def test_unused_columns_and_jumps_are_named_on_the_terminal(capsys):
    panel, report = ingest(split_bars().assign(Remark="x", Yield=1.0))
    show_ingestion(report, {})
    printed = capsys.readouterr().out
    assert report["unknown_columns"] == ["Remark", "Yield"]
    assert "columns not used: Remark, Yield" in printed
    assert "codes have the five characters of J-Quants: 1301 is 13010 in every table" in printed
    assert "60 rows in, 60 out, 6 codes, 10 sessions 2020-06-01 to 2020-06-12" in printed
    assert "invalid jumps, the first: 2020-06-08 14120" in printed  # 2025 / 4040 is 0.501
    assert report["issues"]["jump_near_half"]["rows"] == 1
    assert np.isnan(returns(panel, "14120")[SPLIT_DAY])
    assert panel["invalid_jump"].sum() == 1


def test_a_jump_near_a_split_ratio_is_a_return_where_the_user_says_so():
    daily, _ = standardise_bars(split_bars(), split_like_jumps=False)
    panel = build_panel(daily, split_like_jumps=False)
    np.testing.assert_allclose(returns(panel, "14120")[SPLIT_DAY], 2025 / 4040 - 1, rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.5, 5 / 3, 0.675])
def test_a_whole_bar_near_three_for_two_is_no_return_and_is_shown(ratio):
    panel, report = ingest(split_bars(ratio=ratio))
    assert np.argwhere(panel["invalid_jump"].values).tolist() == [[SPLIT_DAY, 3]]
    assert np.isnan(returns(panel, "14120")[SPLIT_DAY])
    assert report["issues"]["jump_near_part"]["examples"][0].startswith("2020-06-08 14120")
    daily, report = standardise_bars(split_bars(ratio=ratio), split_like_jumps=False)
    panel = build_panel(daily, split_like_jumps=False)
    np.testing.assert_allclose(returns(panel, "14120")[SPLIT_DAY], 4050 / ratio / 4040 - 1, rtol=1e-5)
    assert report["issues"]["jump_near_part"]["rows"] == 0


def test_a_fall_of_a_third_within_the_day_is_a_return():
    table = split_bars(ratio=1.5)
    table.loc[at(table, "1412", SPLIT_DAY), ["Open", "High"]] = 4000.0
    panel, _ = ingest(table)
    np.testing.assert_allclose(returns(panel, "14120")[SPLIT_DAY], 2700 / 4040 - 1, rtol=1e-5)
    assert np.isnan(returns(ingest(table, price_limits="tse")[0], "14120")[SPLIT_DAY])  # the limit is 700 yen away


def test_a_last_session_stated_twice_with_another_volume_keeps_the_last():
    table = bars()
    again = table[table["Date"] == "2020-06-12"].assign(Volume=980)
    panel, report = ingest(pd.concat([table, again], ignore_index=True))
    assert report["issues"]["repeated_bar"]["rows"] == len(CODES)
    assert panel["volume"].values[-1].tolist() == [980.0] * len(CODES)
    np.testing.assert_allclose(returns(panel, "13010")[-1], 1090 / 1080 - 1, rtol=1e-5)


def test_a_history_restated_after_a_split_keeps_the_last_and_is_counted():
    old = bars(codes=("1301",))
    new = old.copy()
    new[PRICES] /= 2
    panel, report = ingest(pd.concat([old, bars(CODES[1:]), new], ignore_index=True))
    assert report["issues"]["restated_bar"]["rows"] == len(DAYS)
    assert panel["close"].sel(code="13010").values[:2].tolist() == [500.0, 505.0]


def test_a_session_that_would_be_lost_to_conflicting_rows_stops_the_run():
    table = bars()
    again = table[table["Date"] == "2020-06-12"].copy()
    again["Close"] += 3
    with pytest.raises(
        ValueError, match=r"on 2020-06-12 6 of 6 stocks have rows with different prices .*13010 close 1090"
    ):
        ingest(pd.concat([table, again], ignore_index=True))


def test_several_bars_a_session_are_named_by_their_interval():
    table = bars()
    stamped = [table.assign(Date=table["Date"] + f" {hour}:00:00+09:00") for hour in ("09", "10", "11")]
    with pytest.raises(
        ValueError, match=r"bars.csv: these are hourly bars.*60 stock-days.*13010 on 2020-06-01 at 09:00"
    ):
        ingest(pd.concat(stamped, ignore_index=True))
    five = [table.assign(Time=f"09{minute:02d}00") for minute in (0, 5, 10)]
    with pytest.raises(ValueError, match=r"these are 5-minute bars"):
        ingest(pd.concat(five, ignore_index=True))


def locked_market():
    """1301 closes at 1040 on Friday and trades on Monday at 1340 alone, the upper limit (300 yen)."""
    table = bars()
    table.loc[at(table, "1301", SPLIT_DAY), PRICES] = 1340.0
    return table


def test_a_session_locked_at_the_tokyo_limit_is_entered_by_nobody():
    panel, _ = ingest(locked_market(), price_limits="tse")
    assert panel["limit_up"].sum() == 1
    assert bool(panel["limit_up"].sel(code="13010", date=DAYS[SPLIT_DAY]))
    assert not panel["limit_down"].any()
    for entry, decided in (("next_open", SPLIT_DAY - 1), ("close", SPLIT_DAY)):
        status = forward_returns(panel, [1], entry)["status"].sel(code="13010").values[:, 0]
        assert status[decided] == Status.entry_locked_at_limit, entry
        assert not TradableMarket.read(panel, entry).buyable[SPLIT_DAY, 0], entry


def test_a_close_at_the_limit_is_no_entry_for_label_and_portfolio_alike():
    table = locked_market()
    table.loc[at(table, "1301", SPLIT_DAY), ["Open", "Low"]] = 1100.0
    panel, _ = ingest(table, price_limits="tse")
    assert forward_returns(panel, [1], "close")["status"].values[SPLIT_DAY, 0, 0] == Status.entry_locked_at_limit
    assert not TradableMarket.read(panel, "close").buyable[SPLIT_DAY, 0]
    # at the open of 1100 it could be bought
    assert forward_returns(panel, [1], "next_open")["status"].values[SPLIT_DAY - 1, 0, 0] == Status.present
    assert TradableMarket.read(panel, "next_open").buyable[SPLIT_DAY, 0]


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        (lambda day: f"{day - pd.Timedelta(hours=9):%Y-%m-%d %H:%M:%S}", "read as UTC in Asia/Tokyo"),
        (lambda day: f"{day:%Y-%m-%dT00:00:00}+09:00", None),
        (lambda day: f"{day - pd.Timedelta(hours=9):%Y-%m-%dT%H:%M:%S}Z", None),
    ],
)
def test_a_stamp_is_never_a_day_early(stamps, said):
    table = bars()
    table["Date"] = pd.to_datetime(table["Date"]).map(stamps)
    panel, report = ingest(table)
    assert panel.indexes["date"].equals(pd.DatetimeIndex(DAYS, name="date").as_unit("ns"))
    assert any("date:" in text for text in report["notes"]) == (said is not None)
    if said:
        assert said in note(report, "date:")


def test_midnight_in_utc_is_the_date_it_shows_where_the_zone_would_make_it_a_day_early():
    table = bars().replace({"Code": {code: f"US{code}" for code in CODES}})
    table["Date"] += "T00:00:00Z"
    panel, report = ingest(table, timezone="America/New_York")
    assert panel.indexes["date"][0] == DAYS[0]
    assert "by the date they show" in note(report, "date:")


def test_dates_that_are_a_day_early_without_a_time_ask_for_the_zone_by_name():
    table = bars()
    table["Date"] = (pd.to_datetime(table["Date"]) - pd.Timedelta(days=1)).dt.strftime("%Y-%m-%d")
    with pytest.raises(ValueError, match=r"Sundays and never on Fridays .*ingestion.timezone: Asia/Jerusalem"):
        ingest(table)
    panel, _ = ingest(table, timezone="Asia/Jerusalem")
    assert panel.indexes["date"][0] == pd.Timestamp("2020-05-31")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (lambda t: t["Close"] * t["Volume"] * 1.01, 1010.0 * 1000, None),
        (lambda t: t["Close"] * t["Volume"] / 1000, 1000.0 * 1000, "10^-3 of close x volume"),
        (lambda t: 0.001 + 0.002 * (t["Close"] % 7), 1000.0 * 1000, "a rate and no value"),
    ],
)
def test_a_traded_value_is_held_against_close_times_volume(column, value, said):
    table = bars()
    panel, report = ingest(table.assign(Turnover=column(table)))
    assert panel["turnover_value"].values[0, 0] == np.float32(value)
    assert any(said in text for text in report["notes"]) if said else True


def test_beside_an_amount_a_turnover_is_not_the_value():
    table = bars()
    panel, report = ingest(table.assign(amount=table["Close"] * 999.0, turnover=0.001))
    assert panel["turnover_value"].values[0, 0] == np.float32(999000)
    assert report["unknown_columns"] == ["turnover"]


def test_limit_prices_become_flags_where_the_day_reaches_them():
    table = bars().assign(limit_up=lambda t: t["Close"] * 1.1, limit_down=lambda t: t["Close"] * 0.9)
    table.loc[at(table, "1301", 3), "limit_up"] = 1035.0  # the high of a close of 1030
    table.loc[at(table, "1338", 4), "limit_down"] = 2035.0  # the low of a close of 2040
    panel, report = ingest(table)
    assert np.argwhere(panel["limit_up"].values).tolist() == [[3, 0]]
    assert np.argwhere(panel["limit_down"].values).tolist() == [[4, 1]]
    assert "a price in this source" in note(report, "limit_up:")


def outage():
    """Nobody trades on Wednesday 2020-06-03: rows without a price."""
    table = bars()
    table[[*PRICES, "Volume"]] = table[[*PRICES, "Volume"]].astype(float)
    table.loc[table["Date"] == "2020-06-03", [*PRICES, "Volume"]] = np.nan
    return table


def test_a_date_on_which_nobody_traded_is_no_session_and_is_said():
    panel, report = ingest(outage())
    assert pd.Timestamp("2020-06-03") not in panel.indexes["date"]
    np.testing.assert_allclose(returns(panel, "13010")[2], 1030 / 1010 - 1, rtol=1e-5)
    assert report["issues"]["nobody_traded"]["rows"] == len(CODES)
    assert "nobody traded on 1 dates: 2020-06-03 (no sessions" in note(report, "nobody traded")


def test_it_is_a_session_where_the_calendar_says_so():
    panel, report = ingest(outage(), calendar="XTKS")
    assert not panel["traded"].sel(date="2020-06-03").any()
    assert "kept as sessions of XTKS" in note(report, "nobody traded")


def test_a_halt_of_single_issues_is_a_session():
    table = bars(codes=("1301", "1338"))
    table.loc[table["Date"] == "2020-06-03", "Volume"] = 0
    table.loc[table["Date"] == "2020-06-03", PRICES] = 5.0
    assert ingest(table)[0].sizes["date"] == len(DAYS)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["NA", "NAN", "NULL", "TRUE", "1E5"], ["1E5", "NA", "NAN", "NULL", "TRUE"]),
        (["1301.0", "1338.0"], ["13010", "13380"]),
        (["0700", "0005"], ["0005", "0700"]),
        (["130A", "1301"], ["13010", "130A0"]),
        ([1301.0, 1338.0], ["13010", "13380"]),
        (["１３０１", "１３３８"], ["13010", "13380"]),
        (["'1301", '="1338"'], ["13010", "13380"]),
    ],
)
def test_codes_stay_what_they_are(theirs, ours):
    panel, _ = ingest(bars(codes=theirs))
    assert panel["code"].values.tolist() == ours
