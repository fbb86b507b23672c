"""Orders, fills, drift and costs of the simulated portfolios, on markets that can be worked by hand."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gogooku_kedro.backtest.portfolios import backtest_portfolios
from gogooku_kedro.backtest.simulation import crowded_capital
from gogooku_kedro.labels.target import make_labels
from gogooku_kedro.metrics.decile_portfolios import long_short
from tests.backtest.small_market import (
    events_of,
    held_portfolios,
    locked_down,
    locked_up,
    make_panel,
    one_portfolio,
    portfolios,
    predictions,
    random_market,
    rules,
)

NAN = np.nan
ABC = np.arange(6.0)[::-1]  # A is best, F is worst


def flat(sessions: int, **moves: dict[int, float]) -> np.ndarray:
    """Prices of A to F: 100 until a session gives a new one, which then stays."""
    prices = np.full((sessions, 6), 100.0)
    for code, changes in moves.items():
        for session, price in changes.items():
            prices[session:, "ABCDEF".index(code)] = price
    return prices


def test_three_days_by_hand() -> None:
    # Decisions after sessions 0, 1, 2; trades at the opens of 1, 2, 3; marks at those of 2, 3, 4.
    opens = flat(5, A={2: 110.0}, F={2: 95.0, 3: 96.9, 4: 93.993}, E={4: 97.0}, B={4: 101.0})
    panel = locked_up(make_panel(opens), session=2, code="B")
    best_b = np.array([4.0, 5.0, 3.0, 2.0, 1.0, 0.0])
    worst_d = np.array([3.0, 5.0, 4.0, 0.0, 1.0, 2.0])
    loanable = np.array([1, 1, 1, 0, 1, 1])  # D cannot be borrowed
    portfolio = one_portfolio(portfolios(panel, np.stack([ABC, best_b, worst_d]), loanable=loanable))
    # Day 0: +1 A, -1 F. A gains 10 %, F loses 5 %.
    # Day 1: B, at its upper limit, is not bought; 1.10 A are sold and F, now -0.95, is sold to -1.
    #        F gains 2 %.
    # Day 2: +1 B; F, now -1.02, is bought back; D is the worst but not loanable, E the next: -1 E.
    np.testing.assert_allclose(portfolio["gross"], [0.10 + 0.05, -0.02, 0.01 + 0.03], atol=1e-6)
    np.testing.assert_allclose(portfolio["turnover"] * 2, [2.0, 1.10 + 0.05, 1.0 + 1.02 + 1.0], atol=1e-6)
    np.testing.assert_allclose(portfolio["cost"], [0.0020, 0.00115, 0.00302], atol=1e-8)
    np.testing.assert_allclose(portfolio["net"], [0.148, -0.02115, 0.03698], atol=1e-6)
    np.testing.assert_allclose(portfolio["unfilled"], [0.0, 1.0, 0.0])
    np.testing.assert_allclose(portfolio[["long", "short"]], [[1, 1], [0, 1], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(portfolio[["n_long", "n_short"]], [[1, 1], [0, 1], [1, 1]])


def test_half_a_portfolio_is_renewed_and_the_other_half_drifts_with_prices() -> None:
    opens = flat(5, A={2: 110.0, 3: 121.0}, F={2: 90.0})
    days = held_portfolios(make_panel(opens), np.stack([ABC, ABC, ABC]), horizon=2)
    np.testing.assert_allclose(days[0].weights[0, [0, 5]], [0.5, -0.5])
    # The second half enters at the open of session 2; the first has drifted to 0.55 and -0.45.
    np.testing.assert_allclose(days[1].weights[0, [0, 5]], [1.05, -0.95], atol=1e-6)
    # The first half, 0.605 and -0.45 by then, is set back to one half; the second is 0.55 and -0.5.
    np.testing.assert_allclose(days[2].weights[0, [0, 5]], [1.05, -1.0], atol=1e-6)
    np.testing.assert_allclose(days[2].trades[0, [0, 5]], [-0.105, -0.05], atol=1e-6)


def test_a_sale_refused_at_the_lower_limit_is_tried_again_every_session() -> None:
    opens = flat(6, A={2: 80.0, 3: 64.0})
    panel = locked_down(locked_down(make_panel(opens), 2, "A"), 3, "A")
    reversed_score = np.stack([ABC, ABC[::-1], ABC[::-1], ABC[::-1]])
    days = held_portfolios(panel, reversed_score, horizon=1)
    np.testing.assert_allclose([day.weights[0, 0] for day in days], [1.0, 0.8, 0.64, -1.0], atol=1e-6)
    # Half the portfolio is renewed on days 0 and 2 but leaves on day 3; the order to enter short on day 2 lapsed.
    halves = held_portfolios(panel, reversed_score, horizon=2)
    np.testing.assert_allclose([day.weights[0, 0] for day in halves], [0.5, 0.4, 0.32, -0.5], atol=1e-6)


def test_a_buyer_at_the_lower_limit_and_a_seller_at_the_upper_one_are_filled() -> None:
    panel = locked_up(locked_down(make_panel(flat(3)), 1, "A"), 1, "F")
    assert held_portfolios(panel, ABC[None])[0].weights[0].tolist() == [1, 0, 0, 0, 0, -1]
    touched = make_panel(flat(3), limit_up=np.ones((3, 6), dtype=bool))  # reached, not at the open
    assert held_portfolios(touched, ABC[None])[0].refused[0] == 0.0
    at_the_close = make_panel(flat(3), limit_up=np.ones((3, 6), dtype=bool), high=flat(3).astype(np.float32))
    assert held_portfolios(at_the_close, ABC[None], entry="close")[0].weights[0].tolist() == [
        0,
        0,
        0,
        0,
        0,
        -1,
    ]


def test_a_halted_position_stays_and_earns_its_move_when_it_trades_again() -> None:
    opens = flat(6, A={4: 150.0})
    opens[2:4, 0] = NAN  # halted on sessions 2 and 3
    portfolio = one_portfolio(portfolios(make_panel(opens), np.stack([ABC, ABC[::-1], ABC[::-1], ABC[::-1]])))
    np.testing.assert_allclose(portfolio["gross"], [0.0, 0.0, 0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(portfolio["unfilled"], [0.0, 2.0, 2.0, 0.0], atol=1e-6)  # sell 1, go short 1
    assert portfolio["long"].tolist()[1:3] == [2.0, 2.0]  # A stays beside F, which is bought


def test_a_stock_is_marked_at_its_last_close_while_it_has_no_open() -> None:
    opens, closes = flat(5), flat(5, A={1: 120.0})
    opens[2:, 0] = closes[2:, 0] = NAN
    portfolio = one_portfolio(portfolios(make_panel(opens, closes), np.stack([ABC, ABC])))
    np.testing.assert_allclose(portfolio["gross"], [0.2, 0.0], atol=1e-6)


def test_a_stock_that_opens_late_is_not_marked_at_the_close_of_that_session() -> None:
    opens, closes = flat(5, A={2: 130.0}), flat(5, A={2: 130.0})
    opens[2, 0] = NAN  # trades on session 2, but has no open
    portfolio = one_portfolio(portfolios(make_panel(opens, closes), np.stack([ABC, ABC])))
    np.testing.assert_allclose(portfolio["gross"], [0.0, 0.3], atol=1e-6)


def test_nothing_is_filled_at_the_open_of_an_invalid_jump() -> None:
    jump = np.zeros((5, 6), dtype=bool)
    jump[1, 0] = True
    opens = flat(5)
    opens[1, 0] = 300.0  # the print of the jump is no price
    portfolio = one_portfolio(portfolios(make_panel(opens, flat(5), invalid_jump=jump), np.stack([ABC, ABC])))
    np.testing.assert_allclose(portfolio["long"], [0.0, 1.0])
    np.testing.assert_allclose(portfolio["gross"], [0.0, 0.0], atol=1e-6)


def test_a_delisted_position_is_closed_at_its_last_price_and_pays_its_cost() -> None:
    opens, closes = flat(12), flat(12, A={2: 90.0})
    opens[3:, 0] = closes[3:, 0] = NAN
    listed = np.isfinite(opens)
    portfolio = one_portfolio(portfolios(make_panel(opens, closes, listed=listed), np.stack([ABC] * 10), horizons=(1,)))
    # In the market from day 0 to day 6, when the fifth session without a bar has passed.
    no_more = 6
    assert (portfolio["long"][:no_more] > 0.8).all()
    np.testing.assert_allclose(portfolio["gross"].sum(), -0.1, atol=1e-6)
    np.testing.assert_allclose(portfolio["turnover"][no_more] * 2, 0.9, atol=0.11)
    assert (portfolio["long"][no_more:] < 1e-9).all()


@pytest.mark.parametrize("entry", ["next_open", "close"])
def test_without_frictions_the_daily_portfolio_is_that_of_the_metrics(entry: str) -> None:
    panel, score = random_market()
    labels = make_labels(panel, [1], entry)["ret"].values[: len(score), :, 0]
    plain = long_short(score, labels, horizon=1, cost_bps=10.0)
    portfolio = one_portfolio(portfolios(panel, score, entry=entry, decile_share=0.1))
    np.testing.assert_allclose(portfolio["gross"], plain.gross, atol=1e-6)
    # The plain portfolio forgets that weights drift before they are set again.
    np.testing.assert_allclose(portfolio["turnover"], plain.turnover, atol=0.06)
    assert (portfolio["turnover"] - plain.turnover).abs().max() > 1e-4


@cache
def rough_market() -> tuple[xr.Dataset, np.ndarray]:
    """Halts, locked limits and sectors at random."""
    rng = np.random.default_rng(5)
    panel, score = random_market(3, sector=[f"s{i % 5}" for i in range(30)])
    halted = rng.random(panel["open"].shape) < 0.05
    for name in ("open", "close", "high", "low", "adj_open", "adj_close", "exact_open", "exact_close"):
        panel[name] = panel[name].where(~halted)
    panel["traded"] = panel["traded"] & ~halted
    for flag, extreme in (("limit_up", "high"), ("limit_down", "low")):
        locked = rng.random(panel["open"].shape) < 0.05
        panel[flag] = (("date", "code"), locked)
        panel[extreme] = panel[extreme].where(~locked, panel["open"])
    return panel, score


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    costs=st.sets(st.integers(1, 200), min_size=2, max_size=4),
    horizon=st.sampled_from([1, 3]),
)
def test_zero_cost_is_gross_and_a_higher_cost_never_helps(seed: int, costs: set[int], horizon: int) -> None:
    panel, score = rough_market()
    shuffled = np.random.default_rng(seed).permuted(score, axis=1)
    table = portfolios(panel, shuffled, (horizon,), costs_bps=[0, *sorted(costs)])
    nets = table.pivot(index=["portfolio", "date"], columns="cost_bps", values="net")
    gross = table[table["cost_bps"] == 0.0].set_index(["portfolio", "date"])["gross"]
    pd.testing.assert_series_equal(nets[0.0], gross.sort_index(), check_names=False, check_exact=True)
    held = nets.dropna(how="all")  # a day on which no order was filled and nothing held has no return
    assert len(held) > 0.9 * len(nets)
    assert (held.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert (held.diff(axis=1).iloc[:, 1:] < 0).any(axis=None)


def test_costs_are_paid_on_both_sides_of_every_trade() -> None:
    panel, score = random_market(1)
    for horizon, portfolio in ((1, "long_short"), (5, "long_only")):
        days = one_portfolio(portfolios(panel, score, (horizon,)), portfolio, horizon)
        np.testing.assert_allclose(days["gross"] - days["net"], 0.001 * 2 * days["turnover"], rtol=1e-9)
        assert (days["net"] < days["gross"]).all()


def test_the_opposite_score_earns_the_opposite_before_costs() -> None:
    panel, score = random_market(2)
    for horizon in (1, 5):
        forward, backward = (one_portfolio(portfolios(panel, s, (horizon,)), horizon=horizon) for s in (score, -score))
        np.testing.assert_allclose(forward["gross"], -backward["gross"], atol=1e-12)
        np.testing.assert_allclose(forward["cost"], backward["cost"], atol=1e-12)


def test_who_knows_the_next_return_gains_every_day() -> None:
    panel, score = random_market(4)
    labels = make_labels(panel, [1], "next_open")["ret"].values[: len(score), :, 0]
    assert (one_portfolio(portfolios(panel, labels))["gross"] > 0).all()
    assert (one_portfolio(portfolios(panel, np.roll(labels, 1, axis=0)))["gross"] < 0.02).any()  # a day late


def test_a_constant_score_holds_nothing_and_its_days_are_missing() -> None:
    panel, _ = random_market()
    table = portfolios(panel, np.ones((20, 30)), (1, 5))
    assert table[["gross", "cost", "net", "turnover", "long", "capacity"]].isna().all(axis=None)


def test_without_loanable_stocks_there_is_no_long_short_portfolio() -> None:
    panel, score = random_market()
    assert one_portfolio(portfolios(panel, score, loanable=np.zeros(30)))["net"].isna().all()  # as the data tell
    none = portfolios(panel, score, assumed="none")
    assert one_portfolio(none)["net"].isna().all()
    assert one_portfolio(none, "long_only")["net"].notna().all()


def test_the_days_whose_mark_lies_beyond_the_data_are_missing() -> None:
    panel, _ = random_market()
    score = np.random.default_rng(0).normal(size=(40, 30))  # up to the last session
    days = one_portfolio(portfolios(panel, score))
    assert days["net"].isna().tolist() == [False] * 38 + [True] * 2
    assert one_portfolio(portfolios(panel, score, entry="close"))["net"].isna().sum() == 1


def test_the_exposure_is_lent_by_h_sub_portfolios() -> None:
    panel, score = random_market()
    days = one_portfolio(portfolios(panel, score, (5,)), "long_only", 5)
    np.testing.assert_allclose(days["long"][:5], [0.2, 0.4, 0.6, 0.8, 1.0], atol=0.1)
    np.testing.assert_allclose(days["long"][5:], 1.0, atol=0.1)
    assert (days["n_long"] <= 5 * 2).all()


def test_the_turnover_cap_is_never_exceeded() -> None:
    panel, score = random_market(6)
    for horizon, cap in ((1, 0.2), (3, 0.1)):
        capped = one_portfolio(portfolios(panel, score, (horizon,), turnover_cap=cap), horizon=horizon)
        free = one_portfolio(portfolios(panel, score, (horizon,)), horizon=horizon)
        assert capped["turnover"].max() <= cap + 1e-12
        assert capped["turnover"].mean() < free["turnover"].mean()


def test_a_long_only_portfolio_is_held_against_the_stocks_that_could_be_bought() -> None:
    opens = flat(3, A={2: 112.0}, F={2: 94.0})
    portfolio = one_portfolio(portfolios(make_panel(opens), ABC[None], top_k=1), "long_only")
    assert portfolio["gross"][0] == pytest.approx(0.12)
    assert portfolio["benchmark"][0] == pytest.approx((0.12 - 0.06) / 6, abs=1e-6)
    assert one_portfolio(portfolios(make_panel(opens), ABC[None]))["benchmark"][0] == 0.0


@pytest.mark.parametrize("entry", ["next_open", "close"])
def test_weights_up_to_t_do_not_change_with_prices_after_t(entry: str) -> None:
    panel, score = rough_market()
    lag = 1 if entry == "next_open" else 0
    settings_ = {"hysteresis": 0.4, "sector_cap": 0.5, "turnover_cap": 0.5}
    before = held_portfolios(panel, score, 3, entry, **settings_)
    last = 15  # decided on session 15, traded on session 15 + lag
    changed = panel.copy(deep=True)
    after = slice(last + lag + 1, None)
    for name in (
        "open",
        "close",
        "high",
        "low",
        "adj_open",
        "adj_close",
        "exact_open",
        "exact_close",
        "turnover_value",
    ):
        changed[name].values[after] *= np.random.default_rng(0).lognormal(0, 0.5, changed[name][after].shape)
    changed["listed"].values[after] = False
    changed["limit_up"].values[after] ^= True
    later = held_portfolios(changed, score, 3, entry, **settings_)
    for day in range(last + 1):
        np.testing.assert_array_equal(before[day].weights, later[day].weights, err_msg=str(day))
    assert not np.array_equal(before[last + 2].weights, later[last + 2].weights)


def test_capacity_by_hand() -> None:
    # A tenth of what is traded is in the stock that is full first: 5 % of 2 million over 0.1 of the capital.
    trades, value = np.array([[0.1, -0.5, 0.4, 0.0]]), np.array([2e6, 1e9, 1e9, 1.0])
    assert crowded_capital(trades, value, 0.05)[0] == pytest.approx(0.05 * 2e6 / 0.1)
    # A stock of 5 % of the trades does not bind alone: the next one is full at 5 % of 100 million over 0.5.
    trades, value = np.array([[0.05, -0.5, 0.45, 0.0]]), np.array([2e6, 1e8, 1e9, 1.0])
    assert crowded_capital(trades, value, 0.05)[0] == pytest.approx(0.05 * 1e8 / 0.5)
    assert np.isnan(crowded_capital(np.zeros((1, 4)), value, 0.05)[0])
    unknown = np.array([NAN, 1e8, 1e9, 1.0])
    assert crowded_capital(trades, unknown, 0.05)[0] == pytest.approx(0.05 * 1e8 / 0.5)


def test_capacity_reads_the_traded_value_up_to_the_decision() -> None:
    value = np.full((40, 30), 1e8, dtype=np.float32)
    value[25:] = 1e12
    panel, score = random_market(turnover_value=value)
    days = one_portfolio(portfolios(panel, score))
    assert days["capacity"][:19].isna().all()  # fewer than 20 sessions
    assert (days["capacity"][19:30] < 1e9).all()


def test_panel_and_labels_must_be_of_one_market() -> None:
    panel, score = random_market()
    labels, scored, later = (
        make_labels(panel, [1], "close"),
        predictions(panel, score),
        panel.isel(date=slice(1, None)),
    )
    with pytest.raises(ValueError, match="panel and labels differ in date"):
        backtest_portfolios(scored, labels, later, events_of(later), "close", rules(), [0.0])
