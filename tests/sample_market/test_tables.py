"""The sample market's tables keep the rules of the exchange and of J-Quants."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import OUTAGES, sessions
from gogooku_kedro.exchange.tse import SECTORS_33, limit_width
from gogooku_kedro.sample_market import SampleMarketSettings, full_profile, generate_sample_market

OUTAGE = pd.Timestamp("2020-10-01")
PRICES = ["O", "H", "L", "C"]
SMALL = {"n_codes": 60, "start": "2020-07-01", "end": "2022-06-30", "replicates": 2}


@pytest.fixture(scope="module")
def settings():
    return SampleMarketSettings(**SMALL, news_rate=2.0)


@pytest.fixture(scope="module")
def market(settings):
    return generate_sample_market(settings)


@pytest.fixture(scope="module")
def bars(market):
    return market["bars"]


def wide(bars, column):
    return bars.pivot(index="Date", columns="Code", values=column)


def test_bars_have_one_row_per_listed_code_and_business_day(bars, settings):
    assert not bars.duplicated(["Date", "Code"]).any()
    assert sorted(bars["Date"].unique()) == list(sessions(settings.start, settings.end).union(OUTAGES))
    listed = wide(bars, "AdjFactor").notna().to_numpy()
    runs = np.diff(np.vstack([np.zeros(listed.shape[1]), listed]), axis=0)
    assert ((runs == 1).sum(axis=0) == 1).all()  # a code never comes back
    assert bars["Code"].str.fullmatch(r"[0-9A-Z]{4}0").all()


def test_prices_volume_and_turnover_are_null_together(bars):
    null = bars[[*PRICES, "Vo", "Va"]].isna()
    assert null.any(axis=1).any()
    assert (null.all(axis=1) == null.any(axis=1)).all()
    assert (bars.loc[~null["C"], "Vo"] >= 100).all()
    assert (bars.loc[null["C"], ["UL", "LL"]] == "0").all(axis=None)


def test_the_outage_has_null_rows_and_a_standing_index(market, bars):
    outage = bars[bars["Date"] == OUTAGE]
    assert len(outage) > 50
    assert outage[[*PRICES, "Vo", "Va"]].isna().all(axis=None)
    index = market["market_index"].set_index("Date")
    assert (index.loc[OUTAGE] == index.loc["2020-09-30", "C"]).all()


def test_open_and_close_lie_between_low_and_high(bars):
    traded = bars.dropna(subset="C")
    assert (traded["L"] <= traded[["O", "C"]].min(axis=1)).all()
    assert (traded["H"] >= traded[["O", "C"]].max(axis=1)).all()


def test_no_price_lies_outside_the_daily_limits_of_its_base_price(bars):
    close = wide(bars, "C")
    split = wide(bars, "AdjFactor").fillna(1).cumprod()
    base = close.ffill().shift(1)
    no_event = split == split.where(close.notna()).ffill().shift(1)
    known = (base.notna() & close.notna() & no_event).to_numpy()
    room = limit_width(base.to_numpy()[known])
    assert known.sum() > 20_000
    for column in PRICES:
        move = (wide(bars, column) - base).abs().to_numpy()[known]
        assert (move <= room + 1e-6).all(), column


def test_a_move_cut_off_by_the_limit_carries_over(bars):
    close, level = wide(bars, "C"), wide(bars, "AdjFactor").cumprod()
    locked = (wide(bars, "UL") == "1") & (close == wide(bars, "H"))
    gap = (wide(bars, "O") / level).shift(-1) / (close / level) - 1
    carried = gap.to_numpy()[locked.to_numpy()]
    assert locked.to_numpy().sum() >= 10
    assert np.nanmean(carried) > 0.02


def test_adjustment_factors_match_the_jumps_of_raw_prices(bars):
    close, factor = wide(bars, "C"), wide(bars, "AdjFactor")
    raw_move = close / close.shift(1)
    events = (factor != 1) & raw_move.notna() & factor.notna()
    assert events.to_numpy().sum() >= 2
    adjusted_move = (raw_move / factor).to_numpy()[events.to_numpy()]
    assert np.abs(adjusted_move - 1).max() < 0.35
    assert {0.1, 10.0} <= set(bars["AdjFactor"])  # the dearest code split 1:10, the cheapest consolidated


def test_a_split_multiplies_the_shares_traded():
    calm = SampleMarketSettings(**SMALL, volume_noise=0.0, volume_signal=0.0, volume_of_moves=0.0)
    bars = generate_sample_market(calm)["bars"].dropna(subset="Vo")
    split = bars.loc[bars["AdjFactor"] == 0.1, ["Date", "Code"]].iloc[0]
    volume = bars[bars["Code"] == split["Code"]].set_index("Date")["Vo"]
    after, before = volume[split["Date"] :].iloc[0], volume[: split["Date"]].iloc[-2]
    assert after == pytest.approx(10 * before, rel=0.2)


def test_issues_are_listed_and_delisted_on_the_way(bars, market):
    span = bars.groupby("Code")["Date"].agg(["min", "max"])
    assert (span["min"] > bars["Date"].min()).any()
    assert (span["max"] < bars["Date"].max()).any()
    listing = market["listed_issues"].groupby("Code")["Date"].min()
    pd.testing.assert_series_equal(listing, span["min"], check_names=False)


def test_segments_change_names_on_2022_04_04(market):
    issues = market["listed_issues"]
    reform = pd.Timestamp("2022-04-04")
    assert issues.loc[issues["Date"] < reform, "Mkt"].isin(["0101", "0102", "0104", "0106", "0107"]).all()
    assert set(issues.loc[issues["Date"] >= reform, "Mkt"]) == {"0111", "0112", "0113"}
    assert issues["MktNm"].notna().all()


def test_every_sector_occurs(market):
    assert set(market["listed_issues"]["S33"]) == set(SECTORS_33)


def test_peers_form_clusters_of_6_to_8_that_cross_sectors(market):
    peers = market["peers"]
    assert peers.groupby("target").size().between(5, 7).all()
    np.testing.assert_allclose(peers.groupby("target")["weight"].sum(), 1)
    sector = market["listed_issues"].groupby("Code")["S33"].first()
    same = sector[peers["source"]].to_numpy() == sector[peers["target"]].to_numpy()
    assert same.mean() < 0.05
    assert (peers["source"] != peers["target"]).all()


def test_same_settings_same_bytes(settings, market, tmp_path):
    again = generate_sample_market(settings)
    for table, frame in market.items():
        files = [tmp_path / "a", tmp_path / "b"]
        frame.to_parquet(files[0])
        again[table].to_parquet(files[1])
        assert files[0].read_bytes() == files[1].read_bytes(), table


def test_another_seed_is_another_market(bars):
    other = generate_sample_market(SampleMarketSettings(**SMALL, seed=99))["bars"]
    assert not other.equals(bars)


def test_the_full_profile_is_4000_codes_over_ten_years():
    full = full_profile(seed=3)
    assert (full.n_codes, full.seed) == (4_000, 3)
    assert len(full.sessions) > 2_400


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_codes": 10}, "n_codes=10: the peer clusters"),
        ({"start": "2020-05-01", "end": "2020-04-01"}, "end=2020-04-01 lies before"),
        ({"start": "2020-05-01", "end": "2020-06-01"}, "take at least 100"),
        ({"garch_memory": 0.95}, "less than 1"),
        ({"signal": 2}, "Extra inputs"),
    ],
)
def test_impossible_settings_name_the_setting(wrong, message):
    with pytest.raises(ValueError, match=message):
        SampleMarketSettings(**wrong)
