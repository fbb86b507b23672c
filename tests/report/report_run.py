"""What a small run left, for tests of what is written from it."""

from typing import Any

import numpy as np
import pandas as pd

from gogooku_kedro.backtest.portfolios import PORTFOLIO_COLUMNS
from gogooku_kedro.backtest.summary import summarise_portfolios
from gogooku_kedro.metrics.daily import summarise_metrics
from gogooku_kedro.report.evidence import Evidence
from gogooku_kedro.report.formats import format_cell
from gogooku_kedro.report.key_results import summarise_key_results
from gogooku_kedro.report.results import GatEffect, Metrics, PortfolioMetrics, parse
from gogooku_kedro.report.tables import Table

HORIZONS = ("1d", "5d", "10d", "20d")
COST = 10.0
SPLIT = {
    "train": ["2020-01-06", "2022-12-30"],
    "valid": ["2023-02-01", "2023-06-30"],
    "test": ["2024-01-04", "2024-03-27"],
    "purge_sessions": 22,
}
RUN = {
    "git_sha": "0123456789abcdef",
    "config_hash": "c0ffee",
    "data_hash": "da7a",
    "environment": "base",
    "seed": 7,
    "device": "cpu",
    "seconds": {"train": 9},
}
QUALITY = {"rows": 1800, "thin_dates": {"below_90_percent": 2}, "source": "a < b"}
MANIFEST = {
    "dropped": {"flows": "table investor_flows is empty"},
    "features": [{"name": name, "family": "trend"} for name in ("sma", "ema")],
}


def metrics_of(daily: pd.DataFrame) -> Metrics:
    """metrics.json of a table of daily metrics."""
    facts = {"run": RUN, "split": SPLIT, "universe": {"codes": 30, "sessions": 60, "features": 5}}
    return parse(Metrics, facts | summarise_metrics(daily, 245, replications=50))


def portfolios_of(daily: pd.DataFrame) -> pd.DataFrame:
    """Portfolios that earn: the model a lot, LightGBM nothing, at every horizon; the universe rises in January."""
    rng, frames = np.random.default_rng(3), []
    dates = daily["date"].drop_duplicates()
    for model, mean in (("model", 0.004), ("lightgbm", 0.0)):
        for portfolio in ("long_short", "long_only"):
            for horizon in HORIZONS:
                gross = rng.normal(mean, 0.004, len(dates))
                rising = np.where(dates.dt.month == 1, 0.001, -0.001) if portfolio == "long_only" else 0.0
                for cost in (0.0, COST):
                    rows = pd.DataFrame({"date": dates, "gross": gross, "turnover": 0.2})
                    paid = cost * 1e-4 * 2 * rows["turnover"]
                    keys = {"model": model, "split": "test", "portfolio": portfolio, "horizon": horizon}
                    rows = rows.assign(**keys, cost_bps=cost, cost=paid, net=gross - paid, benchmark=rising)
                    frames.append(rows)
    table = pd.concat(frames, ignore_index=True)
    return table.reindex(columns=PORTFOLIO_COLUMNS).fillna({"unfilled": 0.0})


def portfolio_metrics_of(portfolios: pd.DataFrame, **after_costs: float) -> PortfolioMetrics:
    """portfolio_metrics.json of a table of portfolios; `after_costs` replaces numbers of the model's long-short one."""
    loanable = {"source": "margin balances", "share_of_stock_days": 0.7}
    found = {"rules": {"loanable": loanable}, **summarise_portfolios(portfolios, 245, replications=50)}
    for portfolio in found["test"]["model"]["long_short"].values():
        portfolio["costs"]["10"] |= after_costs
    return PortfolioMetrics.of(found)


def effect(**run: str) -> dict[str, Any]:
    """gat_effect.json: the graph adds at 1d and 5d, at 1d no more than a permuted one does."""
    found: dict[str, Any] = {
        horizon: {
            "rank_ic": _gain(0.012, 0.003 if horizon in ("1d", "5d") else -0.004, 0.05),
            "sharpe_net": _gain(0.8, -0.3, 0.1),
        }
        for horizon in HORIZONS
    }
    controls = {
        horizon: {"rank_ic": {"on_less_control_ci95": [0.002 if horizon == "5d" else -0.001, 0.02]}}
        for horizon in HORIZONS
    }
    return found | {"controls": {"permuted": controls}, "seeds": [0, 1, 2], "folds": 2, "run": RUN | run}


def _gain(difference: float, low: float, goal: float) -> dict[str, Any]:
    return {
        "on": 2 * difference,
        "off": difference,
        "diff": difference,
        "ci95": [low, 2 * difference - low],
        "relative": 1.0,
        "relative_ci95": [low / difference, 2.0],
        "goal": goal,
        "verdict": "met" if low > goal * difference else "undecided",
        "days_to_decide": 1234,
    }


def evidence_of(
    daily: pd.DataFrame,
    found: dict[str, Any] | None = None,
    after_costs: dict[str, float] | None = None,
    **changes: Any,
) -> Evidence:
    """Everything a report is written from; `found` is gat_effect.json, `after_costs` as of `portfolio_metrics_of`."""
    metrics, returns = metrics_of(daily), portfolios_of(daily)
    portfolios = portfolio_metrics_of(returns, **(after_costs or {}))
    answers = summarise_key_results(
        metrics,
        daily,
        cost_bps=COST,
        sessions_per_year=245,
        returns=returns,
        portfolios=portfolios,
        effect=None if found is None else GatEffect.of(found),
        replications=50,
    )
    settings = {"portfolios": portfolios} | changes
    return Evidence(answers, metrics, QUALITY, MANIFEST, **settings)


def text_rows(table: Table) -> list[list[str]]:
    """The cells of a table as the templates print them."""
    return [[name, *(format_cell(column.of(row), column.spec) for column in table.columns)] for name, row in table.rows]
