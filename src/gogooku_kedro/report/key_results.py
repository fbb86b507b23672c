"""The answers of a run as data: better than LightGBM, by how much, tradable, does the graph matter.

Report, model card, terminal and MLflow all show `key_results.json`, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from gogooku_kedro.backtest.targets import LONG_ONLY, LONG_SHORT
from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.table import NETWORK as MODEL
from gogooku_kedro.baselines.table import RIVAL
from gogooku_kedro.columns import horizon_sessions, sorted_horizons
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.paired import PairedDifference, paired_difference
from gogooku_kedro.metrics.significance import sharpe
from gogooku_kedro.report import provenance
from gogooku_kedro.report.numbers import Metrics, compare_models, horizon_names, side_of_zero

SHOWN_HORIZON = "5d"
BEYOND_LUCK = 0.95
"""A net Sharpe ratio is more than the luck of many trials where its deflated one reaches this."""

BLIND_CONTROLS = ("identity", "permuted")
"""Variants of an ablation with a graph that knows nothing: what the graph adds must not be there in them."""

REGIMES = {"up": 1.0, "down": -1.0}


def summarise_key_results(
    metrics: Metrics,
    daily: pd.DataFrame,
    *,
    cost_bps: float,
    sessions_per_year: float,
    portfolios: pd.DataFrame | None = None,
    portfolio: Mapping[str, Any] | None = None,
    effect: Mapping[str, Any] | None = None,
    members: pd.DataFrame | None = None,
    replications: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return key_results.json: every number of the first screen of the report, of the test part.

    Args:
        metrics: metrics.json.
        daily: Table of `daily_metrics`.
        cost_bps: Cost per side of the net figures, in basis points.
        sessions_per_year: For the Sharpe ratios.
        portfolios: Table of `backtest_portfolios`; without it the plain portfolio of `daily` is compared.
        portfolio: portfolio_metrics.json; without it the plain portfolio of metrics.json answers.
        effect: gat_effect.json, None where no ablation was run.
        members: Table of `daily_metrics` of every seed by itself, with a column `seed`.
        replications: Bootstrap draws of an interval.
        seed: Seed of the draws.

    Returns:
        `run`, `horizon` (the one in the words), `better`, `tradable`, `graph`, `regimes` and `seeds`; plain
        numbers, None where there is none.
    """
    draws = {"replications": replications, "seed": seed}
    names = horizon_names(metrics)
    run = metrics.get("run", {})
    ratio = partial(sharpe, sessions_per_year=sessions_per_year)
    returns = _portfolio_returns(daily, portfolios, cost_bps)
    return {
        "run": {name: run.get(name) for name in provenance.IDENTITY},
        "horizon": SHOWN_HORIZON if SHOWN_HORIZON in names else next(iter(names), None),
        "better": {
            "rival": RIVAL,
            "horizons": _beside(daily, RIVAL, returns, ratio, draws),
            "others": {rival.name: _differences(daily, MODEL, rival.name) for rival in table.rivals()[1:]},
        },
        "tradable": {"cost_bps": cost_bps, **_tradable(metrics, portfolio, cost_bps)},
        "graph": {
            **_graph(effect, run),
            "trees": _differences(daily, *table.GRAPH_PAIR),
        },
        "regimes": _regimes(daily, portfolios),
        "seeds": {} if members is None else _seeds(members),
    }


def _portfolio_returns(daily: pd.DataFrame, portfolios: pd.DataFrame | None, cost_bps: float) -> pd.DataFrame:
    """Daily active return of the long-short portfolio after costs: model, horizon, date, net."""
    if portfolios is None:
        plain = daily[daily["split"] == "test"]
        return plain.rename(columns={"long_short_net": "net"})[["model", "horizon", "date", "net"]]
    chosen = (portfolios[["split", "portfolio"]] == ["test", LONG_SHORT]).all(axis=1) & (
        portfolios["cost_bps"] == cost_bps
    )
    return portfolios.loc[chosen, ["model", "horizon", "date", "net"]]


def _differences(daily: pd.DataFrame, first: str, second: str) -> dict[str, dict[str, Any]]:
    return {
        verdict.horizon: _numbers(verdict.comparison) | {"answer": verdict.answer}
        for verdict in compare_models(daily, first, second)
    }


def _beside(
    daily: pd.DataFrame, rival: str, returns: pd.DataFrame, ratio: Any, draws: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    found = _differences(daily, MODEL, rival)
    for name, numbers in found.items():
        of_horizon = returns[returns["horizon"] == name]
        pair = of_horizon.pivot(index="date", columns="model", values="net")
        if {MODEL, rival} <= set(pair):
            series = (pair[MODEL], pair[rival])
            days = horizon_sessions(name)
            numbers["sharpe_net"] = _numbers(paired_difference(*series, horizon=days, statistic=ratio, **draws))
    return found


def _numbers(found: PairedDifference) -> dict[str, Any]:
    return {
        "model": number(found.first),
        "rival": number(found.second),
        "difference": number(found.difference),
        "relative": number(found.relative),
        "ci95": [number(found.low), number(found.high)],
        "t": number(found.t),
        "p": number(found.p),
        "days": found.days,
    }


def _tradable(metrics: Metrics, portfolio: Mapping[str, Any] | None, cost_bps: float) -> dict[str, Any]:
    plain: Mapping[str, Any] = metrics.get("test", {}).get(MODEL, {})
    held = {} if portfolio is None else portfolio.get("test", {}).get(MODEL, {}).get(LONG_SHORT, {})
    horizons = {}
    for name in horizon_names(metrics):
        if name not in plain:
            continue
        cell = {key: plain[name][key] for key in ("rank_ic", "rank_ic_one_day_late")}
        of_horizon = held.get(name)
        cell |= _plain_portfolio(plain[name]) if of_horizon is None else _held_portfolio(of_horizon, cost_bps)
        deflated = cell["deflated_sharpe"]
        luck = None if deflated is None else deflated < BEYOND_LUCK
        horizons[name] = cell | {"answer": _earns(cell), "luck": luck}
    trials = None if portfolio is None else portfolio["trials"]["test"]["count"]
    source = "metrics.json" if portfolio is None else "portfolio_metrics.json"
    return {"portfolio": LONG_SHORT, "source": source, "trials": trials, "horizons": horizons}


def _plain_portfolio(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sharpe_net": cell["sharpe_net"],
        "ci95": list(cell["sharpe_net_ci"]),
        "sharpe_gross": cell["sharpe_gross"],
        "turnover": cell["turnover"],
        **dict.fromkeys(("probabilistic_sharpe", "deflated_sharpe", "max_drawdown", "break_even_bps")),
    }


def _held_portfolio(portfolio: Mapping[str, Any], cost_bps: float) -> dict[str, Any]:
    after = portfolio["costs"][f"{cost_bps:g}"]
    return {
        "sharpe_net": after["sharpe_active"],
        "ci95": list(after["sharpe_active_ci"]),
        "sharpe_gross": portfolio["sharpe_gross"],
        "turnover": portfolio["turnover"],
        "probabilistic_sharpe": after["probabilistic_sharpe"],
        "deflated_sharpe": after["deflated_sharpe"],
        "max_drawdown": after["max_drawdown"],
        "break_even_bps": portfolio["break_even_bps"],
    }


def _earns(cell: Mapping[str, Any]) -> str:
    """Say on which side of 0 the whole interval lies; `luck` of the same cell is of the deflated ratio."""
    words = {"positive": "earns", "negative": "loses", "undecided": "not shown"}
    side = side_of_zero(*cell["ci95"])
    return words.get(side, side)


def _graph(effect: Mapping[str, Any] | None, run: Mapping[str, Any]) -> dict[str, Any]:
    state = provenance.origin(effect, run)
    found: dict[str, Any] = {
        "state": state,
        "remark": provenance.remark("ablation", state, effect, run),
        "horizons": {},
        "seeds": [],
        "folds": None,
    }
    if effect is None or not provenance.usable(state):
        return found
    names = sorted_horizons(effect)
    found["horizons"] = {
        name: {key: effect[name][key] for key in ("rank_ic", "sharpe_net") if key in effect[name]}
        | {"answer": _matters(effect, name)}
        for name in names
    }
    return found | {"seeds": effect["seeds"], "folds": effect["folds"], "of": effect.get("run", {})}


def _matters(effect: Mapping[str, Any], horizon: str) -> str:
    """Say "matters" for a gain over the model without graph and over every graph that knows nothing."""
    side = side_of_zero(*effect[horizon]["rank_ic"]["ci95"])
    if side != "positive":
        return {"negative": "harms", "undecided": "undecided", "unknown": "unknown"}[side]
    controls = effect.get("controls", {})
    lows = [
        controls[name][horizon]["rank_ic"]["on_less_control_ci95"][0]
        for name in BLIND_CONTROLS
        if horizon in controls.get(name, {})
    ]
    beaten = all(low is not None and low > 0 for low in lows)
    return "matters" if beaten else "no more than a blind graph"


def _regimes(daily: pd.DataFrame, portfolios: pd.DataFrame | None) -> dict[str, Any]:
    """Mean test rank IC in months in which the equally weighted universe rose, and in those it fell."""
    if portfolios is None:
        return {}
    universe = portfolios[
        (portfolios[["split", "portfolio", "model", "horizon"]] == ["test", LONG_ONLY, MODEL, "1d"]).all(axis=1)
        & (portfolios["cost_bps"] == portfolios["cost_bps"].min())
    ]
    monthly = universe.groupby(universe["date"].dt.to_period("M"))["benchmark"].sum(min_count=1).dropna()
    rows = daily[(daily["split"] == "test") & daily["model"].isin([MODEL, RIVAL])]
    months = rows["date"].dt.to_period("M").map(monthly)
    found = {}
    for name, sign in REGIMES.items():
        means = rows[months * sign > 0].groupby(["model", "horizon"])["rank_ic"].mean()
        found[name] = {"months": int((monthly * sign > 0).sum())} | {
            model: {str(h): number(v) for h, v in means.xs(model).items()}
            for model in (MODEL, RIVAL)
            if model in means.index.get_level_values("model")
        }
    return found


def _seeds(members: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Mean test rank IC of every seed by itself."""
    test = members[members["split"] == "test"]
    means = test.groupby(["seed", "horizon"], sort=False)["rank_ic"].mean()
    return {str(seed): {str(h): number(value) for h, value in means.xs(seed).items()} for seed in test["seed"].unique()}
