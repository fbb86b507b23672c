"""The event families: every formula by hand, null rules, and what the sample market makes of them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.features.families import investor_flows, margin, statements
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.market import build_events, build_panel, standardise_bars
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market

EVERY = {f.name: f for family in (statements, investor_flows, margin) for f in family.FEATURES}
N_DATES, N_CODES = 180, 6
WARM = 130
TABLES = ("statements", "investor_flows", "margin_balances")


def compute(feature: Feature, panel: xr.Dataset) -> np.ndarray:
    values = feature.function(panel[list(feature.needs)].astype(np.float64))
    return values.transpose(*(["date"] if feature.kind == "market" else ["date", "code"])).values


def random_market() -> xr.Dataset:
    """Positive figures everywhere, so that every formula has a value."""
    rng = np.random.default_rng(4)
    needs = sorted({need for feature in EVERY.values() for need in feature.needs})
    by_date = {f"flow_{name}" for name in ("breadth", "imbalance", "sessions_since", "total_turnover")}
    fields = {}
    for need in needs:
        flow = need in by_date or need.startswith("flow_") or need == "margin_sessions_since"
        dims, shape = (("date",), N_DATES) if flow else (("date", "code"), (N_DATES, N_CODES))
        values = rng.uniform(1, 10, shape)
        if need.endswith("balance") or need == "ret_1d":
            values = rng.normal(0, 0.5, shape)
        fields[need] = (dims, values)
    return xr.Dataset(fields)


@pytest.fixture(scope="module")
def made() -> xr.Dataset:
    return random_market()


def z(series, window):
    return (series[-1] - series[-window:].mean()) / series[-window:].std(ddof=1)


def expected_statements(p: dict[str, float]) -> dict[str, float]:
    v = {name.removeprefix("stmt_"): value for name, value in p.items()}
    value = v["adj_close"] * v["adj_shares"]
    return {
        "sales_growth": v["sales"] / v["sales_year_ago"] - 1,
        "op_growth": v["op"] / v["op_year_ago"] - 1,
        "np_growth": v["np"] / v["np_year_ago"] - 1,
        "sales_ttm_growth": v["sales_ttm"] / v["sales_ttm_year_ago"] - 1,
        "op_ttm_growth": v["op_ttm"] / v["op_ttm_year_ago"] - 1,
        "np_ttm_growth": v["np_ttm"] / v["np_ttm_year_ago"] - 1,
        "sales_quarter_growth": v["sales_quarter"] / v["sales_quarter_year_ago"] - 1,
        "asset_growth": v["total_assets"] / v["total_assets_year_ago"] - 1,
        "op_margin": v["op_ttm"] / v["sales_ttm"],
        "net_margin": v["np_ttm"] / v["sales_ttm"],
        "op_margin_change": v["op"] / v["sales"] - v["op_year_ago"] / v["sales_year_ago"],
        "return_on_equity": v["np_ttm"] / v["equity"],
        "return_on_assets": v["np_ttm"] / v["total_assets"],
        "asset_turnover": v["sales_ttm"] / v["total_assets"],
        "equity_ratio": v["equity"] / v["total_assets"],
        "cash_ratio": v["cash"] / v["total_assets"],
        "accruals": (v["np_ttm_of_cfo"] - v["cfo_ttm"]) / v["total_assets"],
        "earnings_surprise": (v["np_quarter"] - v["np_quarter_year_ago"]) / value,
        "sales_progress": v["sales"] / v["own_forecast_sales"] - v["sales_year_ago"] / v["previous_fy_sales"],
        "op_progress": v["op"] / v["own_forecast_op"] - v["op_year_ago"] / v["previous_fy_op"],
        "fy_op_surprise": (v["fy_op"] - v["fy_forecast_op"]) / v["fy_sales"],
        "fy_np_surprise": (v["fy_np"] - v["fy_forecast_np"]) / value,
        "sales_forecast_revision": v["forecast_sales"] / v["forecast_sales_previous"] - 1,
        "op_forecast_revision": v["forecast_op"] / v["forecast_op_previous"] - 1,
        "op_forecast_revision_year": v["forecast_op"] / v["forecast_op_initial"] - 1,
        "np_forecast_revision": (v["forecast_np"] - v["forecast_np_previous"]) / value,
        "forecast_revision_balance": v["revision_balance"],
        "sales_forecast_growth": v["forecast_sales"] / v["fy_sales"] - 1,
        "op_forecast_growth": v["forecast_op"] / v["fy_op"] - 1,
        "forecast_margin_change": v["forecast_op"] / v["forecast_sales"] - v["fy_op"] / v["fy_sales"],
        "earnings_yield": v["np_ttm"] / value,
        "book_to_price": v["equity"] / value,
        "sales_to_price": v["sales_ttm"] / value,
        "cash_flow_yield": v["cfo_ttm"] / value,
        "forecast_earnings_yield": v["forecast_np"] / value,
        "dividend_yield": v["adj_forecast_dividend"] / v["adj_close"],
        "forecast_payout": v["adj_forecast_dividend"] * v["adj_shares"] / v["forecast_np"],
        "log_market_value": np.log(value),
        "net_share_issuance": np.log(v["adj_shares"] / v["adj_shares_year_ago"]),
        "sessions_since_statement": v["sessions_since"],
        "weekdays_to_statement": v["weekdays_to_next"],
        "sessions_since_revision": v["revision_sessions_since"],
    }


def expected_flows(h: dict[str, np.ndarray]) -> dict[str, float]:
    classes = ("foreign", "individual", "trust_bank", "investment_trust", "business", "proprietary")
    ratio = {c: h[f"flow_{c}_balance"] / h[f"flow_{c}_turnover"] for c in (*classes, "small_foreign", "large_foreign")}
    ret = h["ret_1d"]
    slope = {c: np.polyfit(ratio[c][-120:], ret[-120:], 1)[0] for c in classes[:3]}
    correlation = {c: np.corrcoef(ratio[c][-120:], ret[-120:])[0, 1] for c in classes[:3]}
    found = {f"{c}_net_ratio": ratio[c][-1] for c in classes}
    found |= {f"{c}_net_z_60d": z(ratio[c], 60) for c in classes[:3]}
    found |= {f"{c}_net_mean_20d": ratio[c][-20:].mean() for c in classes[:2]}
    found |= {f"{c}_participation": (h[f"flow_{c}_turnover"] / h["flow_total_turnover"])[-1] for c in classes[:2]}
    found |= {f"{c}_flow_beta_120d": slope[c] for c in classes[:3]}
    return found | {
        "small_foreign_gap": ratio["small_foreign"][-1] - ratio["large_foreign"][-1],
        "flow_breadth": h["flow_breadth"][-1],
        "flow_imbalance": (h["flow_imbalance"] / h["flow_total_turnover"])[-1],
        "sessions_since_flows": h["flow_sessions_since"][-1],
        "foreign_flow_correlation_60d": np.corrcoef(ratio["foreign"][-60:], ret[-60:])[0, 1],
        "flow_exposure_120d": sum(correlation[c] * z(ratio[c], 60) for c in classes[:3]),
    }


def expected_margin(h: dict[str, np.ndarray]) -> dict[str, float]:
    volume = h["adj_volume"][-20:].mean()
    found = {
        "margin_ratio": np.log(h["margin_long"] / h["margin_short"])[-1],
        "sessions_since_margin": h["margin_sessions_since"][-1],
    }
    for side in ("long", "short"):
        balance = h[f"margin_{side}"]
        found |= {
            f"margin_{side}_change_{weeks}w": (balance[-1] - h[f"margin_{side}_{weeks}w"][-1]) / volume
            for weeks in (1, 4, 13)
        }
        found |= {
            f"margin_{side}_days_to_cover": balance[-1] / volume,
            f"margin_{side}_growth_4w": np.log(balance[-1] / h[f"margin_{side}_4w"][-1]),
            f"margin_{side}_z_120d": z(np.log(balance), 120),
            f"margin_{side}_standardised_share": h[f"margin_{side}_standardised"][-1] / balance[-1],
            f"margin_{side}_to_shares": balance[-1] / h["stmt_adj_shares"][-1],
        }
    return found


def test_every_feature_follows_its_formula(made):
    code = 2
    history = {name: (v[:, code] if "code" in v.dims else v).values for name, v in made.data_vars.items()}
    expected = expected_statements({name: values[-1] for name, values in history.items()})
    expected |= expected_flows(history) | expected_margin(history)
    assert set(expected) == set(EVERY)
    for name, value in expected.items():
        found = compute(EVERY[name], made)
        assert float(found[-1] if found.ndim == 1 else found[-1, code]) == pytest.approx(value, rel=1e-9), name


def test_the_families_are_large_and_complete():
    sizes = {name: sum(f.family == name for f in EVERY.values()) for name in ("statements", "investor_flows", "margin")}
    assert sizes["statements"] >= 22
    assert sizes["investor_flows"] >= 12
    assert sizes["margin"] >= 12
    assert len(EVERY) == sum(sizes.values()) == sum(len(f.FEATURES) for f in (statements, investor_flows, margin))
    for feature in EVERY.values():
        assert feature.source
        assert "\n" not in feature.formula
        assert feature.lookback <= 120


def test_the_look_back_is_what_a_feature_reads(made):
    for feature in EVERY.values():
        before = compute(feature, made)[-1]
        for gone, same in (
            (N_DATES - 1 - feature.lookback, True),
            (N_DATES - max(feature.lookback, 1) + 1, False),
        ):
            other = made.copy(deep=True)
            for need in feature.needs:
                other[need].values[:gone] *= 3.0
                other[need].values[:gone] += 1.0
            after = compute(feature, other)[-1]
            if same:
                np.testing.assert_allclose(after, before, rtol=1e-9, err_msg=feature.name)
            elif feature.lookback > 0:
                assert not np.allclose(after, before), feature.name


def test_market_features_have_one_value_a_date_and_stock_features_one_a_stock(made):
    for feature in EVERY.values():
        shape = compute(feature, made).shape
        assert shape == ((N_DATES,) if feature.kind == "market" else (N_DATES, N_CODES)), feature.name
    assert sum(f.kind == "stock" for f in investor_flows.FEATURES) >= 4


@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.parametrize(
    ("name", "denominator"),
    [
        *[(n, n.removesuffix("_growth") + "_year_ago") for n in ("sales_growth", "op_growth", "np_growth")],
        ("op_margin", "sales_ttm"),
        ("return_on_equity", "equity"),
        ("accruals", "total_assets"),
        ("op_progress", "own_forecast_op"),
        ("op_progress", "previous_fy_op"),
        ("fy_op_surprise", "fy_sales"),
        ("op_forecast_revision", "forecast_op_previous"),
        ("op_forecast_growth", "fy_op"),
        ("forecast_payout", "forecast_np"),
        ("earnings_yield", "adj_shares"),
        ("log_market_value", "adj_shares"),
        ("net_share_issuance", "adj_shares_year_ago"),
    ],
)
def test_a_denominator_that_is_not_positive_gives_no_value(made, name, denominator, value):
    other = made.copy(deep=True)
    other[f"stmt_{denominator}"][-1, 1] = value
    found = compute(EVERY[name], other)[-1]
    assert np.flatnonzero(np.isnan(found)).tolist() == [1]


def test_a_loss_in_the_numerator_is_a_value(made):
    other = made.copy(deep=True)
    other["stmt_np"][-1, 1] = -3.0
    assert compute(EVERY["np_growth"], other)[-1, 1] < -1


def test_no_short_balance_is_no_ratio_but_zero_days_to_cover(made):
    other = made.copy(deep=True)
    other["margin_short"][-1, 1] = 0.0
    for name in (
        "margin_ratio",
        "margin_short_growth_4w",
        "margin_short_z_120d",
        "margin_short_standardised_share",
    ):
        assert np.isnan(compute(EVERY[name], other)[-1, 1]), name
    assert compute(EVERY["margin_short_days_to_cover"], other)[-1, 1] == 0


@pytest.fixture(scope="module")
def sample() -> tuple[xr.Dataset, np.ndarray]:
    settings = SampleMarketSettings(n_codes=80, start="2020-01-06", end="2022-06-30", replicates=2, seed=2)
    market = generate_sample_market(settings)
    bars, _ = standardise_bars(market["bars"], market["listed_issues"], calendar="XTKS")
    panel = build_panel(bars, market["market_index"])
    events = build_events(panel, *(market[name] for name in TABLES))
    return panel.assign(events.data_vars), panel["traded"].values


def test_every_stock_feature_varies_across_the_sample_market(sample):
    panel, traded = sample
    for feature in EVERY.values():
        values = compute(feature, panel)
        if feature.kind == "market":
            known = values[WARM:]
            assert np.isfinite(known).mean() > 0.9, feature.name
            assert len(np.unique(known[np.isfinite(known)])) >= 5, feature.name
            continue
        seen = np.where(traded, values, np.nan)[WARM:]
        different = np.array([len(np.unique(row[np.isfinite(row)])) for row in seen])
        assert ((different > 1) & (traded[WARM:].sum(axis=1) > 50)).mean() >= 0.95, feature.name
        assert np.isfinite(seen).sum() > 0.7 * traded[WARM:].sum(), feature.name


def test_statement_growth_exists_from_the_first_session(sample):
    panel, traded = sample
    for name in (
        "sales_growth",
        "sales_ttm_growth",
        "return_on_equity",
        "op_progress",
        "margin_long_growth_4w",
    ):
        first = compute(EVERY[name], panel)[0][traded[0]]
        assert np.isfinite(first).mean() > 0.75, name


def test_no_feature_orders_the_stocks_like_another(sample):
    panel, traded = sample
    days = range(WARM, traded.shape[0], 60)
    grids = {n: np.where(traded, compute(f, panel), np.nan) for n, f in EVERY.items() if f.kind == "stock"}
    total = sum(
        pd.DataFrame({n: grid[day] for n, grid in grids.items()}).corr("spearman").abs().to_numpy() for day in days
    )
    mean = total / len(days) - np.eye(len(grids))
    assert np.nanmax(mean) < 0.99
    series = pd.DataFrame({n: compute(f, panel)[WARM:] for n, f in EVERY.items() if f.kind == "market"})
    correlation = series.corr("spearman").abs().to_numpy() - np.eye(series.shape[1])
    assert np.nanmax(correlation) < 0.99


@pytest.mark.parametrize("position", [40, 300])
def test_features_up_to_t_do_not_change_with_what_comes_after(position):
    settings = SampleMarketSettings(n_codes=24, start="2021-01-04", end="2022-06-30", replicates=2, seed=9)
    market = generate_sample_market(settings)

    def features(tables):
        bars, _ = standardise_bars(tables["bars"], tables["listed_issues"], calendar="XTKS")
        panel = build_panel(bars, tables["market_index"])
        panel = panel.assign(build_events(panel, *(tables[name] for name in TABLES)).data_vars)
        return panel, {name: compute(feature, panel) for name, feature in EVERY.items()}

    panel, before = features(market)
    t = panel.indexes["date"][position]
    dates = {"bars": "Date", "market_index": "Date", "statements": "DiscDate"}
    dates |= {"investor_flows": "PubDate", "margin_balances": "Date"}
    kept = {name: market[name][market[name][column] < t] for name, column in dates.items()}
    kept |= {name: market[name][market[name]["Date"] <= t] for name in ("bars", "market_index")}
    other_panel, after = features(market | kept)
    columns = panel.indexes["code"].get_indexer(other_panel["code"].values)
    for name, values in before.items():
        known = values[: position + 1]
        known = known if values.ndim == 1 else known[:, columns]
        np.testing.assert_array_equal(after[name].view(np.uint64), known.view(np.uint64), err_msg=name)


def test_without_a_table_the_panel_lacks_what_its_family_needs(sample):
    panel, _ = sample
    bare = panel.drop_vars([name for name in panel.data_vars if str(name).startswith(("stmt_", "flow_", "margin_"))])
    events = build_events(bare, None, None, None)
    needs = {need for feature in EVERY.values() for need in feature.needs}
    assert not events.data_vars
    assert {need for need in needs if need not in bare} == {
        n for n in needs if n.startswith(("stmt_", "flow_", "margin_"))
    }
