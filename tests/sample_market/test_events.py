"""The event tables of the sample market: shape of J-Quants, plausible, and blind to returns."""

import hashlib
import inspect

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.exchange.calendar import sessions
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market, settings
from gogooku_kedro.sample_market.flows import investor_flows_table, margin_balances_table
from gogooku_kedro.sample_market.latent import draw_latent
from gogooku_kedro.sample_market.statements import COLUMNS, statements_table
from gogooku_kedro.sample_market.universe import draw_universe

EVENTS = ("statements", "investor_flows", "margin_balances")
REFORM = pd.Timestamp("2022-04-04")
VERSION_1 = {
    "bars": "06fd2448ea82d825",
    "listed_issues": "53cc7fabaada84a1",
    "market_index": "33adf16b4db9e2be",
    "peers": "5eb57524a0635162",
}


@pytest.fixture(scope="module")
def made():
    return SampleMarketSettings(n_codes=120, start="2020-07-01", end="2022-06-30", replicates=2)


@pytest.fixture(scope="module")
def market(made):
    return generate_sample_market(made)


@pytest.fixture(scope="module")
def filings(market):
    return market["statements"]


def results(filings):
    return filings[filings["DocType"].str.contains("FinancialStatements")]


def test_statements_have_the_columns_of_j_quants_as_text(filings):
    assert tuple(filings.columns) == COLUMNS
    assert filings["DiscDate"].dtype == "datetime64[ns]"
    assert filings["DiscNo"].is_unique
    assert filings["DiscNo"].str.fullmatch(r"\d{14}").all()
    ordered = filings.sort_values(["DiscDate", "DiscTime", "DiscNo"], kind="stable")
    assert ordered.index.is_monotonic_increasing
    for name in COLUMNS[12:]:
        assert filings[name].str.fullmatch(r"|-?\d+(\.\d+)?").all(), name


def test_every_listed_company_reports_four_times_a_year(filings, market):
    bars = market["bars"]
    span = bars.groupby("Code")["Date"].agg(["min", "max"])
    whole = span.index[(span["min"] == bars["Date"].min()) & (span["max"] == bars["Date"].max())]
    year = results(filings)[lambda rows: rows["DiscDate"].between("2021-01-01", "2021-12-31")]
    periods = year.drop_duplicates(["Code", "CurPerType", "CurFYEn"]).groupby("Code").size()
    assert (periods[whole] == 4).mean() > 0.9  # the others move over the turn of a year
    assert results(filings)["CurFYEn"].str[5:7].eq("03").mean() == pytest.approx(0.66, abs=0.15)
    assert (filings["DiscDate"] <= filings["Code"].map(span["max"])).all()
    new = span.index[span["min"] > bars["Date"].min()]
    first = filings.groupby("Code")["DiscDate"].min()
    assert (first.reindex(new).dropna() >= span.loc[first.reindex(new).dropna().index, "min"]).all()
    assert filings["DiscDate"].isin(sessions("2017-12-01", "2022-06-30")).all()


def test_results_come_30_to_58_days_after_the_period(filings):
    first = results(filings).drop_duplicates(["Code", "CurPerType", "CurFYEn"])
    wait = (first["DiscDate"] - pd.to_datetime(first["CurPerEn"])).dt.days
    assert wait.between(30, 58).all()


def test_figures_are_cumulative_and_cash_flows_half_yearly(filings):
    rows = results(filings)
    assert (rows.loc[rows["CurPerType"].isin(["1Q", "3Q"]), "CFO"] == "").all()
    assert (rows.loc[rows["CurPerType"].isin(["2Q", "FY"]), "CFO"] != "").all()
    first = rows.drop_duplicates(["Code", "CurPerType", "CurFYEn"]).assign(Sales=lambda r: r["Sales"].astype(float))
    wide = first.pivot(index=["Code", "CurFYEn"], columns="CurPerType", values="Sales").dropna()
    assert (wide["1Q"] < wide["2Q"]).all()
    assert (wide["3Q"] / wide["FY"]).median() == pytest.approx(0.75, abs=0.03)


def test_forecasts_are_of_the_running_year_and_with_fy_of_the_next(filings):
    annual = results(filings)[lambda rows: rows["CurPerType"] == "FY"]
    assert (annual["FSales"] == "").all()
    assert (annual["NxFSales"] != "").all()
    assert (results(filings)[lambda rows: rows["CurPerType"] != "FY"]["FSales"] != "").all()
    revised = filings[filings["DocType"] == "EarnForecastRevision"]
    assert 0.08 < len(revised) / len(filings) < 0.25
    assert (revised["Sales"] == "").all()


def test_a_few_results_are_corrected_under_a_later_number(filings):
    keys = ["Code", "CurPerType", "CurFYEn"]
    rows = results(filings)
    again = rows[rows.duplicated(keys)]
    assert 0.002 < len(again) / len(rows) < 0.04
    both = rows.merge(again[keys], on=keys).groupby(keys)
    assert (both["DiscNo"].first() < both["DiscNo"].last()).all()
    assert (both["Sales"].nunique() == 2).mean() > 0.9


def test_banks_state_no_operating_profit(filings, market):
    sector = market["listed_issues"].groupby("Code")["S33"].first()
    bank = results(filings)["Code"].map(sector).isin(["7050", "7150"])
    assert bank.any()
    assert ((results(filings)["OP"] == "") == bank).all()
    assert (filings.loc[filings["Code"].map(sector).isin(["7050"]), ["FOP", "NxFOP"]] == "").all(axis=None)


def test_a_split_multiplies_the_shares_that_are_filed(made, filings):
    universe = draw_universe(made)
    split = int(np.flatnonzero(universe.split_factor == 0.1)[0])
    day = made.sessions[universe.split_session[split]]
    own = results(filings)[lambda rows: rows["Code"] == universe.codes[split]]
    shares = own["ShOutFY"].astype(float)
    after, before = shares[own["DiscDate"] >= day], shares[own["DiscDate"] < day]
    assert after.iloc[0] / before.iloc[-1] == pytest.approx(10, rel=0.2)


def test_yearly_growth_exists_from_the_first_session(made, market):
    before = results(market["statements"])[lambda rows: rows["DiscDate"] < made.sessions[0]]
    bars = market["bars"]
    first_day = bars.loc[bars["Date"] == made.sessions[0], "Code"]
    spans = before.groupby("Code")["CurFYEn"].nunique().reindex(first_day).fillna(0)
    assert (spans >= 3).all()


def test_flows_are_weekly_and_buying_equals_selling(market):
    table = market["investor_flows"]
    assert (table["TotBal"] == 0).all()
    assert (table["TotBuy"] == table["TotSell"]).all()
    leaves = [name[:-3] for name in table if name.endswith("Bal") and name not in ("TotBal", "BrkBal")]
    for part in ("Sell", "Buy", "Tot", "Bal"):
        np.testing.assert_array_equal(table[[f"{name}{part}" for name in leaves]].sum(axis=1), table[f"Tot{part}"])
    assert (table.filter(regex="(Sell|Buy)$") >= 0).all(axis=None)
    old = table["EnDate"] < REFORM
    assert set(table.loc[old, "Section"]) == {"TSE1st", "TSE2nd", "TSEMothers", "TSEJASDAQ"}
    assert set(table.loc[~old, "Section"]) == {"TSEPrime", "TSEStandard", "TSEGrowth"}


def test_flows_come_on_the_fourth_business_day_of_the_next_week(market):
    table = market["investor_flows"]
    first = table.drop_duplicates(["EnDate", "Section"])
    days = sessions(first["EnDate"].min(), "2022-07-29")
    for published, end in first[["PubDate", "EnDate"]].drop_duplicates().itertuples(index=False):
        week = days[(days > end) & (days.to_period("W-SUN") == (end + pd.Timedelta(days=7)).to_period("W-SUN"))]
        if len(week):
            assert published == week[min(4, len(week)) - 1]
    again = table[table.duplicated(["EnDate", "Section"])]
    assert 0.003 < len(again) / len(table) < 0.05


def test_margin_balances_are_of_the_last_session_of_full_weeks(made, market):
    table = market["margin_balances"]
    days = pd.Series(sessions("2020-01-01", "2022-07-29"))
    week = days.dt.to_period("W-SUN")
    full = days.groupby(week).agg(["max", "size"])
    expected = full.loc[full["size"] > 2, "max"]
    inside = expected[expected.between(table["Date"].min(), made.end)]
    assert sorted(table["Date"].unique()) == list(inside)
    assert table["PubDate"].isna().all()
    assert set(table["IssType"]) == {"1", "2"}
    for side in ("Long", "Shrt"):
        np.testing.assert_array_equal(table[f"{side}StdVol"] + table[f"{side}NegVol"], table[f"{side}Vol"])
        assert (table[f"{side}Vol"] % 100 == 0).all()
    span = market["bars"].groupby("Code")["Date"].agg(["min", "max"])
    assert (table["Date"] <= table["Code"].map(span["max"])).all()


@pytest.mark.parametrize("other", [{"signal_strength": 0.0}, {"volume_noise": 0.5}, {"garch_shock": 0.01}])
def test_events_do_not_depend_on_returns(made, market, other):
    """By construction: settings that change every return and the drift leave each event as it is."""
    changed = generate_sample_market(made.model_copy(update=other))
    for name in EVENTS:
        pd.testing.assert_frame_equal(changed[name], market[name])
    assert not changed["bars"].equals(market["bars"])
    for table in (statements_table, margin_balances_table, investor_flows_table):
        assert set(inspect.signature(table).parameters) <= {"settings", "universe"}


def test_events_do_not_foretell_the_drift(made, filings):
    """By statistics: mean correlation of each company's growth with its later drift is nil."""
    universe = draw_universe(made)
    drift = draw_latent(made, universe).drift / universe.volatility
    code = pd.Series(np.arange(len(universe.codes)), index=universe.codes)
    rows = results(filings)[lambda rows: rows["DiscDate"] >= made.sessions[0]]
    profit = pd.to_numeric(rows["NP"]) / pd.to_numeric(rows["Sales"])
    at = made.sessions.searchsorted(rows["DiscDate"])
    later = np.array([drift[t : t + 20, c].mean() for t, c in zip(at, code[rows["Code"]], strict=True)])
    correlation = np.corrcoef(profit.rank(), later)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(rows))


def test_the_other_tables_are_those_of_the_generator_without_events(made, market, monkeypatch):
    """Events draw from streams of their own: other event streams leave every other table alone."""
    original = settings.random_stream
    own = {"companies", "filings", "investor_flows", "margin_balances"}

    def other_events(seed, replicate, purpose):
        return original(seed + 1 if purpose in own else seed, replicate, purpose)

    for module in ("companies", "statements", "flows", "universe", "latent", "frictions", "tables"):
        monkeypatch.setattr(f"gogooku_kedro.sample_market.{module}.random_stream", other_events, raising=False)
    again = generate_sample_market(made)
    for name, table in market.items():
        assert again[name].equals(table) == (name not in EVENTS), name


def test_bars_are_those_of_generator_version_1():
    """Bytes of the bars and the index before the event tables existed."""
    small = SampleMarketSettings(n_codes=24, start="2019-01-04", end="2019-07-31", replicates=2)
    market = generate_sample_market(small)
    digests = {
        name: hashlib.sha256(market[name].to_csv(index=False).encode()).hexdigest()[:16]
        for name in ("bars", "listed_issues", "market_index", "peers")
    }
    assert digests == VERSION_1
