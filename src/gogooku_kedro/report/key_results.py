"""The answers of a run as data: better than the best baseline, by how much, tradable, does the graph matter.

Report, model card, terminal and MLflow all show `key_results.json`, so that they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from gogooku_kedro.backtest.targets import LONG_ONLY, LONG_SHORT
from gogooku_kedro.baselines.table import GRAPH_PAIR, NETWORK, REFERENCE, WITHOUT_GRAPH, on_first_screen
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.paired import paired_difference
from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.report import provenance
from gogooku_kedro.report.results import (
    Better,
    Comparison,
    Earnings,
    GatEffect,
    Graph,
    GraphAnswer,
    Interval,
    KeyResults,
    Metrics,
    ModelMetrics,
    NetPerformance,
    Portfolio,
    PortfolioMetrics,
    Regime,
    RunFacts,
    RunIdentity,
    Tradable,
    horizon_names,
)

SHOWN_HORIZON = "5d"
BEYOND_LUCK = 0.95
"""A net Sharpe ratio is more than the luck of many trials where its deflated one reaches this."""

REGIMES = {"up": 1.0, "down": -1.0}


def summarise_key_results(
    metrics: Metrics,
    daily: pd.DataFrame,
    *,
    cost_bps: float,
    sessions_per_year: float,
    returns: pd.DataFrame | None = None,
    portfolios: PortfolioMetrics | None = None,
    effect: GatEffect | None = None,
    seed_daily: pd.DataFrame | None = None,
    replications: int = 1000,
    seed: int = 0,
) -> KeyResults:
    """Return every number of the first screen of the report, of the test part.

    Args:
        metrics: metrics.json.
        daily: Table of `daily_metrics`.
        cost_bps: Cost per side of the net figures, in basis points.
        sessions_per_year: For the Sharpe ratios.
        returns: Table of `backtest_portfolios`; without it the decile portfolio of `daily` is compared.
        portfolios: portfolio_metrics.json; without it the decile portfolio of metrics.json answers.
        effect: gat_effect.json, None where no ablation was run.
        seed_daily: Table of `daily_metrics` of every seed by itself, with a column `seed`.
        replications: Bootstrap draws of an interval.
        seed: Seed of the draws.
    """
    run, names, best = metrics.run, horizon_names(metrics.test), best_baseline(metrics)
    test = daily[daily["split"] == "test"]
    earned = _net_returns(test, returns, cost_bps)
    of_sharpe = partial(sharpe, sessions_per_year=sessions_per_year)
    drawn: dict[str, Any] = {"column": "net", "statistic": of_sharpe, "replications": replications, "seed": seed}

    def compared(baseline: str) -> dict[str, Comparison]:
        ratios = compare_models(earned, second=baseline, **drawn)
        found = compare_models(test, second=baseline)
        return {name: replace(cell, sharpe_net=ratios.get(name)) for name, cell in found.items()}

    return KeyResults(
        run=RunIdentity(run.git_sha, run.config_hash, run.data_hash, run.environment),
        horizon=SHOWN_HORIZON if SHOWN_HORIZON in names else next(iter(names), None),
        better=Better(best, compared(best), _others(test, best)),
        tradable=_tradable(metrics, portfolios, cost_bps),
        graph=_graph(effect, run, compare_models(test, *GRAPH_PAIR), compared(WITHOUT_GRAPH)),
        regimes={} if returns is None else _regimes(test, returns, best),
        seeds={} if seed_daily is None else _rank_ic_by_seed(seed_daily),
    )


def best_baseline(metrics: Metrics) -> str:
    """Return the baseline with the largest rank IC on the validation part, averaged over its horizons.

    The test part has no say: a baseline that was chosen there would be the luckiest. Without validation numbers of
    any baseline it is LightGBM.
    """
    means = {}
    for model in (model.name for model in on_first_screen() if model.name in metrics.test):
        cells = metrics.valid.get(model, {}).values()
        found = [cell.rank_ic for cell in cells if cell.rank_ic is not None]
        if found:
            means[model] = sum(found) / len(found)
    return max(means, key=means.__getitem__) if means else REFERENCE


def _others(test: pd.DataFrame, best: str) -> dict[str, dict[str, Comparison]]:
    baselines = (model.name for model in on_first_screen() if model.name != best)
    return {name: compare_models(test, NETWORK, name) for name in baselines}


def compare_models(
    daily: pd.DataFrame,
    first: str = NETWORK,
    second: str = REFERENCE,
    *,
    column: str = "rank_ic",
    **settings: Any,
) -> dict[str, Comparison]:
    """Return, per horizon, whether `first` beats `second`, session by session on the same dates.

    "better" and "worse" need a 95% interval of the difference that excludes 0; otherwise the answer is
    "undecided", or "unknown" with too few common sessions.

    Args:
        daily: Daily series of one part of the split: model, horizon, date and `column`.
        first: Model in question.
        second: Model it is compared with.
        column: Daily series to compare.
        settings: Of `paired_difference`: the statistic and its draws; the mean by default.

    Returns:
        Empty when either model is absent.
    """
    found = {}
    for name, days in daily[daily["model"].isin([first, second])].groupby("horizon", sort=False):
        pair = days.pivot(index="date", columns="model", values=column)
        if {first, second} <= set(pair):
            result = paired_difference(pair[first], pair[second], horizon=horizon_sessions(name), **settings)
            found[str(name)] = Comparison(
                model=number(result.first),
                baseline=number(result.second),
                difference=number(result.difference),
                relative=number(result.relative),
                ci95=(number(result.low), number(result.high)),
                t=number(result.t),
                p=number(result.p),
                days=result.days,
                answer=side_of_zero((result.low, result.high), positive="better", negative="worse"),
            )
    return found


def side_of_zero(interval: Interval, *, positive: str, negative: str, undecided: str = "undecided") -> str:
    """Return the word for the side of 0 on which the whole interval lies; "unknown" without an interval."""
    low, high = interval
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "unknown"
    if low > 0:
        return positive
    return negative if high < 0 else undecided


def _net_returns(test: pd.DataFrame, returns: pd.DataFrame | None, cost_bps: float) -> pd.DataFrame:
    """Daily active return of the long-short portfolio after costs: model, horizon, date, net."""
    if returns is None:
        return test.rename(columns={"long_short_net": "net"})
    chosen = (returns[["split", "portfolio", "cost_bps"]] == ["test", LONG_SHORT, cost_bps]).all(axis=1)
    return returns[chosen]


def _tradable(metrics: Metrics, portfolios: PortfolioMetrics | None, cost_bps: float) -> Tradable:
    plain = metrics.test.get(NETWORK, {})
    simulated = {} if portfolios is None else portfolios.test.get(NETWORK, {}).get(LONG_SHORT, {})
    source = "metrics.json" if portfolios is None else "portfolio_metrics.json"
    names = [name for name in horizon_names(metrics.test) if name in plain]
    horizons = {name: _earnings(plain[name], simulated.get(name), cost_bps) for name in names}
    return Tradable(cost_bps, LONG_SHORT, source, None if portfolios is None else portfolios.trials, horizons)


def _earnings(plain: ModelMetrics, simulated: Portfolio | None, cost_bps: float) -> Earnings:
    """Return the simulated portfolio after costs, the decile portfolio where none was simulated."""
    ci95, net = plain.sharpe_net_ci, NetPerformance(sharpe_active=plain.sharpe_net)
    if simulated is not None:
        net = simulated.costs[f"{cost_bps:g}"]
        ci95 = net.sharpe_active_ci
    of = simulated or plain
    return Earnings(
        answer=side_of_zero(ci95, positive="earns", negative="loses", undecided="not shown"),
        luck=None if net.deflated_sharpe is None else net.deflated_sharpe < BEYOND_LUCK,
        rank_ic=plain.rank_ic,
        rank_ic_one_day_late=plain.rank_ic_one_day_late,
        sharpe_net=net.sharpe_active,
        ci95=ci95,
        sharpe_gross=of.sharpe_gross,
        probabilistic_sharpe=net.probabilistic_sharpe,
        deflated_sharpe=net.deflated_sharpe,
        max_drawdown=net.max_drawdown,
        turnover=of.turnover,
        break_even_bps=None if simulated is None else simulated.break_even_bps,
    )


def _graph(
    effect: GatEffect | None, run: RunFacts, trees: Mapping[str, Comparison], arm: Mapping[str, Comparison]
) -> Graph:
    found = None if effect is None else effect.run
    state, remark = provenance.origin(found, run), provenance.remark("ablation", found, run)
    if effect is None or not provenance.usable(state):
        return Graph(state, remark, {}, [], None, trees, arm)
    horizons = {
        name: GraphAnswer(gains["rank_ic"], gains["sharpe_net"], _matters(effect, name))
        for name, gains in effect.raw.horizons.items()
    }
    return Graph(state, remark, horizons, effect.seeds, effect.folds, trees, arm, of=found)


def _matters(effect: GatEffect, horizon: str) -> str:
    """Say "matters" for a gain over the model without graph and over every control of the ablation, at least one."""
    interval = effect.raw.horizons[horizon]["rank_ic"].ci95
    lows = {
        name: of[horizon]["rank_ic"].on_less_control_ci95[0] if horizon in of else None
        for name, of in effect.raw.controls.items()
    }
    unbeaten = {name for name, low in lows.items() if low is None or low <= 0}
    positive = "matters" if lows else "a gain, but no control was run"
    if unbeaten:
        positive = "no more than neutral scores" if unbeaten == {"pca_neutral"} else "no more than a control graph"
    return side_of_zero(interval, positive=positive, negative="harms")


def _regimes(test: pd.DataFrame, returns: pd.DataFrame, best: str) -> dict[str, Regime]:
    """Mean test rank IC in months in which the equally weighted universe rose, and in those it fell."""
    universe = returns[
        (returns[["split", "portfolio", "model", "horizon"]] == ["test", LONG_ONLY, NETWORK, "1d"]).all(axis=1)
        & (returns["cost_bps"] == returns["cost_bps"].min())
    ]
    monthly = universe.groupby(universe["date"].dt.to_period("M"))["benchmark"].sum(min_count=1).dropna()
    rows = test[test["model"].isin([NETWORK, best])]
    months = rows["date"].dt.to_period("M").map(monthly)
    found = {}
    for name, sign in REGIMES.items():
        means = rows[months * sign > 0].groupby(["model", "horizon"])["rank_ic"].mean()
        models = {model: _by_horizon(means, model) for model in (NETWORK, best) if model in means.index}
        found[name] = Regime(int((monthly * sign > 0).sum()), models)
    return found


def _rank_ic_by_seed(seed_daily: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    test = seed_daily[seed_daily["split"] == "test"]
    means = test.groupby(["seed", "horizon"], sort=False)["rank_ic"].mean()
    return {str(seed): _by_horizon(means, seed) for seed in test["seed"].unique()}


def _by_horizon(means: pd.Series[float], key: object) -> dict[str, float | None]:
    return {str(horizon): number(value) for horizon, value in means.xs(key).items()}
