"""Events of the sample market against a slow reading of the long tables, and against a changed future."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.market import build_events, build_panel, standardise_bars
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market

NAN = np.nan
EVENT_DATES = {"statements": "DiscDate", "investor_flows": "PubDate", "margin_balances": "Date"}
FORECASTS = {"sales": ("FSales", "NxFSales"), "op": ("FOP", "NxFOP"), "np": ("FNP", "NxFNp")}


@pytest.fixture(scope="module")
def tables():
    settings = SampleMarketSettings(n_codes=40, start="2021-01-04", end="2022-06-30", replicates=2, seed=5)
    return generate_sample_market(settings)


def panel_of(bars, tables):
    return build_panel(standardise_bars(bars, tables["listed_issues"], calendar="XTKS")[0])


def events_of(panel, tables):
    return build_events(panel, *(tables[name] for name in EVENT_DATES))


@pytest.fixture(scope="module")
def panel(tables):
    return panel_of(tables["bars"], tables)


@pytest.fixture(scope="module")
def events(panel, tables):
    return events_of(panel, tables)


def number(row, column):
    return NAN if row is None or row[column] == "" else float(row[column])


class Reader:
    """What a reader of the filings before a date knows of one company."""

    def __init__(self, table, code, date):
        seen = table[(table["Code"] == code) & (table["DiscDate"] < date)]
        self.rows = seen.sort_values(["DiscDate", "DiscTime", "DiscNo"]).to_dict("records")
        self.results = {}
        self.first = {}
        for row in self.rows:
            if "FinancialStatements" in row["DocType"]:
                key = (row["CurFYEn"][:7], row["CurPerType"])
                self.results[key] = row
                self.first.setdefault(key, row["DiscDate"])
        order = ["1Q", "2Q", "3Q", "FY"]
        self.latest = max(self.results, key=lambda key: (key[0], order.index(key[1])), default=None)

    def at(self, column, back=0, period=None, before=0):
        year, quarter = self.latest
        return number(self.results.get((shift(year, back), period or quarter)), column)

    def ttm(self, column, back=0):
        to_date = self.at(column, back)
        if self.latest[1] == "FY":
            return to_date
        return self.at(column, back + 1, "FY") + to_date - self.at(column, back + 1)

    def forecasts(self, year, name, before=None):
        found = []
        for row in self.rows:
            annual = row["CurPerType"] == "FY" and "FinancialStatements" in row["DocType"]
            of = shift(row["CurFYEn"][:7], -1) if annual else row["CurFYEn"][:7]
            stated = any(row[pair[annual]] != "" for pair in FORECASTS.values())
            if of == year and stated and (before is None or row["DiscDate"] < before):
                found.append(number(row, FORECASTS[name][annual]))
        return found


def shift(year_end, back):
    year, month = year_end.split("-")
    return f"{int(year) - back}-{month}"


def expected_figures(reader):
    year, quarter = reader.latest
    running = shift(year, -1) if quarter == "FY" else year
    values = {}
    for name, column in (("sales", "Sales"), ("op", "OP"), ("np", "NP")):
        forecasts = reader.forecasts(running, name)
        values |= {
            f"stmt_{name}": reader.at(column),
            f"stmt_{name}_year_ago": reader.at(column, 1),
            f"stmt_{name}_ttm": reader.ttm(column),
            f"stmt_{name}_ttm_year_ago": reader.ttm(column, 1),
            f"stmt_forecast_{name}": forecasts[-1] if forecasts else NAN,
            f"stmt_forecast_{name}_previous": forecasts[-2:][0] if forecasts else NAN,
        }
    own = reader.forecasts(year, "op", reader.first.get((year, "FY")))
    return values | {
        "stmt_total_assets": reader.at("TA"),
        "stmt_equity": reader.at("Eq"),
        "stmt_own_forecast_op": own[-1] if own else NAN,
        "stmt_previous_fy_op": reader.at("OP", 1, "FY"),
    }


def test_statements_equal_a_slow_reading_of_the_filings(tables, panel, events):
    rng = np.random.default_rng(0)
    dates, codes = panel.indexes["date"], panel.indexes["code"]
    compared = 0
    for position, column in zip(rng.integers(0, len(dates), 400), rng.integers(0, len(codes), 400), strict=True):
        reader = Reader(tables["statements"], codes[column], dates[position])
        if reader.latest is None or (dates[position] - reader.first[reader.latest]).days > 270:
            continue
        cell = events.isel(date=position, code=column)
        for name, value in expected_figures(reader).items():
            np.testing.assert_allclose(float(cell[name]), value, rtol=2e-6, err_msg=name)
            compared += np.isfinite(value)
    assert compared > 5_000


def test_margin_balances_equal_a_slow_reading(tables, panel, events):
    table, dates = tables["margin_balances"], panel.indexes["date"]
    code = panel["code"].values[int(panel["traded"].sum("date").values.argmax())]
    own = table[table["Code"] == code].set_index("Date")["LongVol"]
    level = (panel["adj_volume"] / panel["volume"]).sel(code=code).to_series().ffill()
    for position in (30, 77, 150, 290):
        seen = own[own.index <= dates[position - 3]]
        value = seen.iloc[-1] * level.asof(seen.index[-1])
        assert float(events["margin_long"].sel(code=code)[position]) == pytest.approx(value, rel=1e-5)


def test_investor_flows_equal_a_slow_reading(tables, panel, events):
    table = tables["investor_flows"]
    for date in panel.indexes["date"][[5, 100, 250, 300, 330]]:
        seen = table[table["PubDate"] < date]
        week = seen[seen["EnDate"] == seen["EnDate"].max()].drop_duplicates("Section", keep="last")
        found = events.sel(date=date)
        assert float(found["flow_foreign_balance"]) == pytest.approx(week["FrgnBal"].sum(), rel=1e-6)
        assert float(found["flow_total_turnover"]) == pytest.approx(week["TotTot"].sum(), rel=1e-6)


def changed(tables, t):
    """Other figures in every event row that is not usable on t, other prices after t."""
    rng = np.random.default_rng(1)
    later = {}
    for name, column in EVENT_DATES.items():
        table = tables[name].copy()
        late = table[column] >= t
        for figure in table.columns.difference([column, "Code", "Section", "StDate", "EnDate", "PubDate"]):
            values = table[figure]
            if values.dtype == "float64":
                table.loc[late, figure] = values[late] * rng.uniform(0.1, 9, late.sum())
            elif figure in (
                "Sales",
                "OP",
                "NP",
                "TA",
                "Eq",
                "CFO",
                "ShOutFY",
                "FSales",
                "FOP",
                "FNP",
                "NxFOP",
            ):
                table.loc[late, figure] = rng.integers(1, 10**9, late.sum()).astype(str)
        later[name] = table
    bars = tables["bars"].copy()
    late = bars["Date"] > t
    level = bars.groupby("Code")["AdjFactor"].cumprod()
    bars.loc[late, "AdjFactor"] = rng.choice([1.0, 0.5, 2.0], late.sum())
    level = (bars.groupby("Code")["AdjFactor"].cumprod() / level)[late]  # a price moves with its splits
    bars.loc[late, ["O", "H", "L", "C"]] = bars.loc[late, ["O", "H", "L", "C"]].mul(
        level * rng.uniform(0.9, 1.1, late.sum()), axis=0
    )
    return tables | later | {"bars": bars}


def deleted(tables, t):
    """The data end with t, and no event row that is not usable on t exists."""
    later = {name: tables[name][tables[name][column] < t] for name, column in EVENT_DATES.items()}
    return tables | later | {"bars": tables["bars"][tables["bars"]["Date"] <= t]}


@pytest.mark.parametrize("change", [changed, deleted])
@pytest.mark.parametrize("position", [3, 120, 300])
def test_no_bit_up_to_t_changes_with_what_comes_after(change, position, tables, panel, events):
    t = panel.indexes["date"][position]
    other_tables = change(tables, t)
    other = events_of(panel_of(other_tables["bars"], tables), other_tables)
    assert set(other.data_vars) == set(events.data_vars)
    for name in events.data_vars:
        kept = {"date": slice(None, t)} | ({"code": other["code"].values} if "code" in events[name].dims else {})
        before, after = (frame[name].sel(kept).to_numpy().view(np.uint32) for frame in (events, other))
        np.testing.assert_array_equal(after, before, err_msg=name)
    if change is changed:
        tail = slice(position + 1, None)
        moved = [n for n in events if not np.array_equal(events[n][tail], other[n][tail], equal_nan=True)]
        assert len(moved) > 50


def test_shuffled_rows_give_the_same_events(tables, panel, events):
    shuffled = {name: tables[name].sample(frac=1, random_state=3) for name in EVENT_DATES}
    other = events_of(panel, shuffled)
    for name in events.data_vars:
        if not name.startswith("flow_"):  # revisions of a week on one PubDate keep their order in the file
            np.testing.assert_array_equal(other[name], events[name], err_msg=name)


def test_numbers_and_text_are_read_alike(tables, panel, events):
    text = tables["statements"]
    numbers = text.assign(**{name: pd.to_numeric(text[name]) for name in ("Sales", "OP", "NP", "ShOutFY", "FOP")})
    other = build_events(panel, numbers)
    for name in other.data_vars:
        np.testing.assert_array_equal(other[name], events[name], err_msg=name)
