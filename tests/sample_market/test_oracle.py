"""The sample market plants what its oracle says, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from gogooku_kedro.sample_market.frictions import quote_prices, traded_sessions
from gogooku_kedro.sample_market.latent import draw_latent
from gogooku_kedro.sample_market.oracle import (
    daily_rank_ic,
    forward_returns,
    forward_weight,
    oracle_scores,
    rank_ic_bounds,
)
from gogooku_kedro.sample_market.own_history import peer_news_seen_alone
from gogooku_kedro.sample_market.universe import draw_universe

OUTAGE = pd.Timestamp("2020-10-01")
ENTRIES_AND_HORIZONS = 8


@pytest.fixture(scope="module")
def settings():
    return SampleMarketSettings(n_codes=150, start="2019-01-04", end="2020-12-30", replicates=3)


@pytest.fixture(scope="module")
def market(settings):
    return generate_sample_market(settings)


@pytest.fixture(scope="module")
def hidden(settings):
    universe = draw_universe(settings)
    return universe, draw_latent(settings, universe)


def t_statistic(daily):
    daily = daily[~np.isnan(daily)]
    return daily.mean() / (daily.std() / np.sqrt(len(daily)))


def forward_from_bars(bars, horizon):
    wide = bars[bars["Date"] != OUTAGE].pivot(index="Date", columns="Code", values=["O", "AdjFactor"])
    adjusted = wide["O"] / wide["AdjFactor"].fillna(1).cumprod()
    return adjusted.shift(-1 - horizon) / adjusted.shift(-1) - 1


def test_forward_weight_of_the_next_open_loses_one_night_and_gains_another():
    assert forward_weight("close", 3, 0.5, 0.3) == pytest.approx(1 + 0.5 + 0.25)
    assert forward_weight("next_open", 1, 0.5, 0.3) == pytest.approx(0.7 + 0.3 * 0.5)
    assert forward_weight("next_open", 20, 1.0, 0.3) == pytest.approx(20)
    with pytest.raises(ValueError, match="entry='open'"):
        forward_weight("open", 1, 0.5, 0.3)


def test_daily_rank_ic_is_the_spearman_correlation_of_each_date():
    score = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, np.nan, 5], [1, 1, 1, 1, 1]])
    returns = np.array([[2.0, 1, 4, 3, 5], [5, 3, 1, 0, np.nan], [1, 2, 3, 4, 5]])
    ic = daily_rank_ic(score, returns)
    assert ic[:2] == pytest.approx([0.8, -1.0])
    assert np.isnan(ic[2])


@pytest.mark.parametrize("horizon", [1, 5])
def test_true_scores_reach_their_bounds(market, horizon):
    returns = forward_from_bars(market["bars"], horizon)
    bounds = market["oracle"].set_index(["entry", "horizon"]).loc[("next_open", horizon)]
    for kind in ("own", "graph"):
        score = market["oracle_scores"].pivot(index="date", columns="code", values=f"{kind}_{horizon}d")
        ic = daily_rank_ic(score.to_numpy(np.float64), returns.to_numpy())
        error = np.nanstd(ic) * np.sqrt(horizon / len(ic))
        assert np.nanmean(ic) == pytest.approx(bounds[kind], abs=3 * error)
        assert np.nanmean(ic) > 3 * error


def test_the_graph_raises_every_bound_by_more_than_its_error(market):
    bounds = market["oracle"]
    assert len(bounds) == ENTRIES_AND_HORIZONS
    assert (bounds["graph"] - bounds["own"] > 5 * (bounds["graph_se"] + bounds["own_se"])).mean() > 0.7
    assert (bounds["graph"] > bounds["own"]).all()
    tomorrow = bounds.set_index(["entry", "horizon"]).loc[("next_open", 1)]
    assert 0.04 < tomorrow["own"] < 0.06
    assert 0.07 < tomorrow["graph"] < 0.09


def test_own_history_alone_is_used_to_the_last_bit(settings, hidden):
    """What the filter leaves over is uncorrelated with every past return of the code itself."""
    universe, latent = hidden
    seen = peer_news_seen_alone(settings, universe, latent)
    left_over = latent.unshared_news - seen
    loading = settings.peer_signal * universe.volatility / (np.sqrt(latent.variance[:-1]) * latent.tail)
    returns = latent.shock.copy()
    returns[1:] += loading[1:] * latent.unshared_news[:-1]
    for lag in (0, 1, 3, 8):
        pairs = left_over[lag:].ravel(), returns[: len(returns) - lag].ravel()
        daily = (left_over[lag:] * returns[: len(returns) - lag]).mean(axis=1)
        assert abs(np.corrcoef(*pairs)[0, 1]) < 0.02
        assert abs(t_statistic(daily)) < 4
    assert np.var(seen) > 0.03 * np.var(latent.unshared_news)  # and there was something to see
    assert np.mean(seen * latent.unshared_news) / np.mean(seen**2) == pytest.approx(1, abs=0.15)


def test_abnormal_volume_shows_the_characteristic(market, hidden):
    bars = market["bars"][market["bars"]["Date"] != OUTAGE]
    wide = bars.pivot(index="Date", columns="Code", values=["Vo", "AdjFactor"])
    volume = wide["Vo"] * wide["AdjFactor"].fillna(1).cumprod()
    abnormal = np.log(volume.rolling(5, min_periods=3).mean() / volume.rolling(60, min_periods=30).mean())
    characteristic = hidden[1].characteristic
    assert np.nanmean(daily_rank_ic(abnormal.to_numpy(), characteristic)) > 0.6


def test_peers_can_be_found_in_residual_correlations():
    settings = SampleMarketSettings(n_codes=200, start="2019-01-04", end="2020-01-31", replicates=2)
    market = generate_sample_market(settings)
    wide = market["bars"].pivot(index="Date", columns="Code", values=["C", "AdjFactor"])
    returns = (wide["C"] / wide["AdjFactor"].fillna(1).cumprod()).pct_change(fill_method=None)
    index = market["market_index"].set_index("Date")["C"].pct_change()
    peers = market["peers"].groupby("target")["source"].agg(set)
    window = returns.tail(250).dropna(axis="columns", thresh=200)
    factor = index.loc[window.index] - index.loc[window.index].mean()
    beta = window.mul(factor, axis=0).sum() / (factor**2).sum()
    correlation = window.sub(np.outer(factor, beta)).corr()
    np.fill_diagonal(values := correlation.to_numpy(copy=True), -1)
    top = np.argsort(-values, axis=1)
    hits = []
    for row, code in enumerate(correlation.index):
        found = peers[code] & set(correlation.columns)
        hits.append(len(found & set(correlation.columns[top[row, : len(found)]])) / len(found))
    assert np.mean(hits) > 0.8


def test_without_a_signal_nothing_is_predictable():
    """The very scores that predict at full strength order nothing at strength 0."""
    settings = SampleMarketSettings(n_codes=100, start="2019-01-04", end="2020-12-30")
    daily = {"characteristic": [], "peers": [], "own": [], "graph": []}
    for replicate in range(4):
        universe = draw_universe(settings, replicate)
        latent = draw_latent(settings, universe, replicate)
        traded = traded_sessions(settings, universe, replicate)
        quotes = quote_prices(settings, universe, latent, traded, signal_strength=0.0)
        returns = forward_returns(universe, quotes, traded, "next_open", 1)
        scores = next(oracle_scores(settings, universe, latent))
        for name, values in {
            "characteristic": latent.characteristic,
            "peers": latent.unshared_news,
            "own": scores.own,
            "graph": scores.graph,
        }.items():
            daily[name].append(daily_rank_ic(values, returns))
    for name, ics in daily.items():
        assert abs(t_statistic(np.concatenate(ics))) < 3, name


def test_signal_strength_changes_nothing_but_the_drift():
    arguments = {"n_codes": 40, "start": "2019-01-04", "end": "2019-12-30", "replicates": 2}
    planted = generate_sample_market(SampleMarketSettings(**arguments))
    silent = generate_sample_market(SampleMarketSettings(**arguments, signal_strength=0.0))
    same = ["Date", "Code", "Vo", "AdjFactor"]
    pd.testing.assert_frame_equal(planted["bars"][same], silent["bars"][same])
    for table in ("listed_issues", "market_index", "peers"):
        pd.testing.assert_frame_equal(planted[table], silent[table])
    assert not planted["bars"]["C"].equals(silent["bars"]["C"])
    close = {
        name: market["bars"].pivot(index="Date", columns="Code", values="C")
        for name, market in (("planted", planted), ("silent", silent))
    }
    assert close["planted"].iloc[0].equals(close["silent"].iloc[0])  # the first drift moves session 2


def test_without_a_signal_there_are_no_scores_and_every_bound_is_0():
    settings = SampleMarketSettings(n_codes=40, start="2019-01-04", end="2019-12-30", signal_strength=0)
    market = generate_sample_market(settings)
    assert market["oracle_scores"].drop(columns=["date", "code"]).isna().all(axis=None)
    assert (market["oracle"][["own", "own_se", "graph", "graph_se"]] == 0).all(axis=None)


def test_half_the_signal_gives_about_half_the_bound(settings):
    half = rank_ic_bounds(settings.model_copy(update={"signal_strength": 0.5}))
    whole = rank_ic_bounds(settings)
    assert (half["graph"] / whole["graph"]).to_numpy()[[0, 4]] == pytest.approx(0.5, abs=0.05)
