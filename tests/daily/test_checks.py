"""Each reason for which a morning publishes nothing, and the sentence that says so."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.daily import checks
from gogooku_kedro.daily.checks import NotPublishedError
from gogooku_kedro.features import feature_manifest
from gogooku_kedro.schemas import DailyBars

SESSIONS = pd.bdate_range("2020-11-02", periods=22)
FRIDAY = pd.Timestamp("2020-11-20")  # the Monday after it is a holiday


def bars(per_day: list[int]) -> pd.DataFrame:
    days = np.repeat(SESSIONS[: len(per_day)].to_numpy(), per_day)
    codes = [f"{code:05d}" for count in per_day for code in range(count)]
    prices = dict.fromkeys(("open", "high", "low", "close", "volume", "turnover_value", "adj_factor"), 1.0)
    flags = {"limit_up": False, "limit_down": False, "sector": "Foods", "market": "Prime"}
    return DailyBars.validate(pd.DataFrame({"date": days, "code": codes} | prices | flags))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2020-11-20 16:29", "2020-11-19"),
        ("2020-11-20 16:30", "2020-11-20"),
        ("2020-11-21 07:00", "2020-11-20"),
        ("2020-11-23 19:00", "2020-11-20"),
        ("2020-11-24 07:00", "2020-11-20"),
        ("2020-11-24 19:00", "2020-11-24"),
        ("2020-10-01 19:00", "2020-09-30"),
    ],
)
def test_the_newest_session_is_that_of_the_calendar(now, expected):
    assert checks.expected_session("XTKS", pd.Timestamp(now), "16:30", 0) == pd.Timestamp(expected)


def test_a_source_that_is_weeks_behind_has_an_earlier_one():
    assert checks.expected_session("XTKS", pd.Timestamp("2021-02-12 19:00"), "16:30", 84) == FRIDAY


def test_another_session_is_refused():
    with pytest.raises(NotPublishedError, match=r"newest prices are of 2020-11-19, .* the exchange is 2020-11-20"):
        checks.check_session(FRIDAY - pd.Timedelta(days=1), FRIDAY)


def test_a_short_session_is_refused_whether_it_is_the_newest_or_one_before():
    usual = [20] * 22
    checks.check_bars(bars([*usual[:-1], 18]), SESSIONS[-1], 0.9)
    for position in (-1, -3, -21):
        rows = usual.copy()
        rows[position] = 17
        with pytest.raises(NotPublishedError, match=rf"17 rows on {SESSIONS[position]:%Y-%m-%d}, .* have 20 "):
            checks.check_bars(bars(rows), SESSIONS[-1], 0.9)
    rows[0] = 1  # before the last 21
    rows[-21] = 20
    checks.check_bars(bars(rows), SESSIONS[-1], 0.9)


def test_bars_of_another_schema_are_refused():
    with pytest.raises(NotPublishedError, match="the bars are not what a model reads"):
        checks.check_bars(bars([5, 5]).rename(columns={"volume": "Vo"}), SESSIONS[1], 0.9)


def market(**without: None) -> xr.Dataset:
    names = [name for name in ("ret_1d", "adj_close", "index_return") if name not in without]
    values = {name: (("date", "code"), np.ones((300, 3))) for name in names}
    return xr.Dataset(values, {"date": pd.bdate_range("2019-01-01", periods=300), "code": list("abc")})


def manifest_of(panel: xr.Dataset) -> dict:
    options = {"normalisation": "gaussian_rank", "normalisation_of": {}, "sector_neutral": (), "clip": 8.0}
    return feature_manifest(panel, ("returns", "trend"), **options)


def test_a_model_of_other_features_and_a_feature_without_data_are_refused():
    manifest = manifest_of(market())
    checks.check_manifest(market(), manifest, [manifest["hash"]])
    with pytest.raises(NotPublishedError, match="trained on features abc, the manifest is"):
        checks.check_manifest(market(), manifest, ["abc"])
    with pytest.raises(NotPublishedError, match=r"have no data any more .* the data have no 'ret_1d'"):
        checks.check_manifest(market(ret_1d=None), manifest, [manifest["hash"]])
    ended = market()
    ended["ret_1d"][-250:] = np.nan
    with pytest.raises(NotPublishedError, match="'ret_1d' is empty"):
        checks.check_manifest(ended, manifest, [manifest["hash"]])
    manifest["features"][0]["name"] = "moon_phase"
    with pytest.raises(NotPublishedError, match="features that are no more: moon_phase"):
        checks.check_manifest(market(), manifest, [manifest["hash"]])


def lacking(shares: list[float]) -> xr.Dataset:
    x = np.repeat(np.array(shares, np.float32)[:, None, None], 4, axis=1)
    inside = np.ones(x.shape[:2], bool)
    inside[:, 3] = False
    x[:, 3] = 9.0
    dims = ("date", "code", "feature")
    return xr.Dataset({"x": (dims, x), "in_universe": (dims[:2], inside)}, {"feature": ["missing_statements"]})


def test_a_family_that_lacks_far_more_than_before_is_refused_and_its_table_named():
    manifest = {"masks": ["statements"]}
    assert checks.check_missing(lacking([0.3] * 9 + [0.5]), manifest, 0.25) == {"statements": pytest.approx(0.5)}
    with pytest.raises(NotPublishedError, match=r"statements lacks 60% .* 30% on the .* the table statements"):
        checks.check_missing(lacking([0.3] * 9 + [0.6]), manifest, 0.25)
    nobody = lacking([0.3] * 3)
    nobody["in_universe"][-1] = False
    with pytest.raises(NotPublishedError, match="no stock is in the universe"):
        checks.check_missing(nobody, manifest, 0.25)
