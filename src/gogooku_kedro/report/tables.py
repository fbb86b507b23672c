"""Tables of the report and the model card: headings, getters and formats; the templates print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import pandas as pd

from gogooku_kedro.baselines import table as models
from gogooku_kedro.columns import sorted_horizons
from gogooku_kedro.report.figures.style import model_order
from gogooku_kedro.report.formats import Estimate
from gogooku_kedro.report.names import short_name, shown_models
from gogooku_kedro.report.results import (
    Comparison,
    ControlGain,
    Earnings,
    GatEffect,
    GraphGain,
    KeyResults,
    Metrics,
    ModelMetrics,
    NetPerformance,
    Portfolio,
    PortfolioMetrics,
    Tradable,
    TradingView,
    WalkForward,
    horizon_names,
)

ORACLE_ROWS = {"with_graph": "expected oracle", "without_graph": "expected, no graph"}
PLAIN, SIMULATED = "plain decile portfolio", "simulated portfolio with fills, limits and costs"
PORTFOLIOS = {"long_short": "Long-short deciles", "long_only": "Long-only top names, over the universe"}
KINDS = {
    "raw": "Scores as they come",
    "neutral": "Scores without the market's principal components",
    "peer_neutral": "Scores in excess of the neighbours'",
}
GAINS = {"rank_ic": ("rank IC", "+.4f"), "rank_icir": ("rank ICIR", "+.3f"), "sharpe_net": ("decile Sharpe", "+.2f")}
"""Statistic of gat_effect.json -> its name and format."""

Oracle = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it shows of a row, and the format.

    Attributes:
        heading: Over the column.
        get: Attribute of the row, or a function of the row; what it returns is a text, a number, an interval or
            an `Estimate`.
        spec: Format of numbers.
    """

    heading: str
    get: str | Callable[[Any], Any]
    spec: str = ""

    def of(self, row: Any) -> Any:
        """Return the value of a row; None for a row that is not there."""
        if row is None:
            return None
        return attrgetter(self.get)(row) if isinstance(self.get, str) else self.get(row)


@dataclass(frozen=True)
class Table:
    """A table whose rows are results.

    Attributes:
        caption: What the table shows, with units.
        columns: Columns beside the names of the rows.
        rows: Name and results of every row.
        strong: Name of the row to emphasise.
        of_results: Whether the entry rule belongs to it.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Any]]
    strong: str = "model"
    of_results: bool = True


VARIANTS = [
    Column("rank IC", "rank_ic", "+.4f"),
    Column("s.e.", "rank_ic_se", "+.4f"),
    Column("rank IC, ensemble", "rank_ic_ensemble", "+.4f"),
    Column("rank ICIR", "rank_icir", "+.3f"),
    Column("decile Sharpe", "sharpe_net", "+.2f"),
    Column("rank IC less on", "rank_ic_less_on", "+.4f"),
    Column("95% interval", lambda row: (row.rank_ic_less_on_low, row.rank_ic_less_on_high), "+.4f"),
    Column("parameters", "n_parameters", ",.0f"),
    Column("seconds", "seconds", ",.0f"),
]


def columns_of(kind: type, path: str = "") -> list[Column]:
    """Return the columns that a class of results describes with its fields; `path` leads to it from a row."""
    return [Column(f.metadata["heading"], path + f.name, f.metadata["spec"]) for f in fields(kind) if f.metadata]


def horizon_columns(names: Iterable[str], get: Callable[[Any], Any], spec: str = "+.4f") -> list[Column]:
    """Return a column per horizon, for rows that are mappings of horizons."""

    def of(name: str) -> Callable[[Any], Any]:
        return lambda row: None if row.get(name) is None else get(row[name])

    return [Column(name, of(name), spec) for name in names]


def difference(cell: Comparison) -> Estimate:
    """Return the difference of a comparison with its interval."""
    return Estimate(cell.difference, cell.ci95)


def portfolio_name(tradable: Tradable) -> str:
    """Return which of the two portfolios an answer is of."""
    return PLAIN if tradable.source == "metrics.json" else SIMULATED


def behind_the_answers(key_results: KeyResults) -> list[Table]:
    """Return the wider tables behind the first screen."""
    better, tradable, graph = key_results.better, key_results.tradable, key_results.graph
    names = list(better.horizons) or list(tradable.horizons)
    compared = horizon_columns(names, difference)
    found = {better.baseline: better.horizons, **better.baselines}
    baselines = [(model.label, found[model.name]) for model in models.on_first_screen() if found.get(model.name)]
    caption = (
        f"Long-short portfolio of the model after {tradable.cost_bps:g} bps a side ({portfolio_name(tradable)}, of "
        f"{tradable.source}); it earns where the whole interval lies above 0"
    )
    trees = [("neighbours' features less own features", graph.trees)] if graph.trees else []
    regimes = [
        (f"{model}, {regime} months ({of.months})", of.models[model])
        for regime, of in key_results.regimes.items()
        for model in of.models
    ]
    months = "Rank IC in months in which the equally weighted universe rose, and in which it fell"
    trained = "Trees: rank IC with the neighbours' mean features less that without anything of the graph"
    tables = [
        Table("Rank IC of the model less that of …, paired by session [95% interval]", compared, baselines),
        Table(caption, columns_of(Earnings), list(tradable.horizons.items())),
        *(
            gain_table(
                f"Graph network on and off, from the ablation: {GAINS[statistic][0]}",
                {name: getattr(of, statistic) for name, of in graph.horizons.items()},
                statistic,
            )
            for statistic in ("rank_ic", "sharpe_net")
        ),
        Table(trained, compared, trees),
        Table(months, horizon_columns(names, float), regimes),
    ]
    return [table for table in tables if table.rows]


def metrics_tables(
    metrics: Metrics, oracle: Oracle | None, cost_bps: float, portfolios: PortfolioMetrics | None = None
) -> list[Table]:
    """Return rank IC, with the expectation of a sample market's oracle, and net Sharpe of the shown models.

    The Sharpe ratio is that of the simulated long-short portfolio, of the plain decile portfolio where none was
    simulated.
    """
    names, rows = horizon_names(metrics.test), _shown(metrics.test)
    expected = [(label, oracle[key]) for key, label in ORACLE_ROWS.items() if oracle is not None and key in oracle]
    rank_ic = horizon_columns(names, lambda cell: _rank_ic(cell) if isinstance(cell, ModelMetrics) else cell)
    get: Callable[[Any], Estimate] = decile_sharpe
    caption, held = f"Test decile Sharpe a year [95% interval] of the {PLAIN}", rows
    if portfolios is not None:
        caption, get = f"Test net Sharpe a year [95% interval] of the long-short {SIMULATED}", net_sharpe(cost_bps)
        held = [(name, of["long_short"]) for name, of in _shown(portfolios.test)]
    ratios = Table(f"{caption}, {cost_bps:g} bps a side", horizon_columns(names, get, "+.2f"), held)
    return [Table("Test rank IC [95% interval]", rank_ic, rows + expected), ratios]


def decile_sharpe(cell: ModelMetrics) -> Estimate:
    """Return the Sharpe ratio after costs of the plain decile portfolio."""
    return Estimate(cell.sharpe_net, cell.sharpe_net_ci)


def net_sharpe(cost_bps: float) -> Callable[[Portfolio], Estimate]:
    """Return what takes the net Sharpe ratio at this cost of a simulated portfolio."""

    def of(portfolio: Portfolio) -> Estimate:
        net = portfolio.costs[f"{cost_bps:g}"]
        return Estimate(net.sharpe_active, net.sharpe_active_ci)

    return of


def trading_table(metrics: Metrics) -> list[Table]:
    """Return the trading view: net Sharpe of portfolios that hold for weeks, plain, smoothed and a session late."""
    rows = [
        (f"{short_name(model)}, {name}", view)
        for model, horizons in metrics.trading.items()
        for name, view in horizons.items()
    ]
    costs = sorted({cost for _, view in rows for cost in view.smoothed.costs}, key=float)

    def ratio(version: str, cost: str) -> Callable[[TradingView], Estimate]:
        def of(view: TradingView) -> Estimate:
            found = getattr(view, version).costs[cost]
            return Estimate(found.sharpe_net, found.sharpe_net_ci)

        return of

    words = {"plain": "plain", "smoothed": "smoothed", "one_day_late": "smoothed, lag-1"}
    columns = [
        Column("decay", "decay", ".2f"),
        Column("turnover, plain", "plain.turnover", ".0%"),
        Column("smoothed", "smoothed.turnover", ".0%"),
        *(Column(f"{words[v]}, {c} bps", ratio(v, c), "+.2f") for c in costs for v in words),
    ]
    caption = (
        "Trading view: test net Sharpe a year [95% interval] of long-short portfolios held for the sessions of the "
        "horizon; decay of the ranks chosen on valid"
    )
    return [Table(caption, columns, rows)] if rows else []


def seed_tables(metrics: Metrics) -> list[Table]:
    """Return rank IC of every seed on the validation part and the correlation of its scores with the others'."""
    seeds, names = metrics.seeds, sorted_horizons({name for of in metrics.seeds.rank_ic.values() for name in of})
    if len(seeds.rank_ic) < 2:
        return []
    columns = horizon_columns(names, float)
    captions = {
        "Seeds on the validation part: rank IC": seeds.rank_ic,
        "Rank correlation of a seed's scores with those of the others": seeds.correlation,
    }
    return [
        Table(caption, columns, [(f"seed {seed}", row) for seed, row in of.items()]) for caption, of in captions.items()
    ]


def full_tables(metrics: Metrics) -> list[Table]:
    """Return every number of metrics.json, one table per part and horizon."""
    return [
        Table(
            f"{part} part, {name} horizon; decile Sharpe is of the {PLAIN}",
            columns_of(ModelMetrics),
            [(model, models[model].get(name, ModelMetrics())) for model in model_order(list(models))],
        )
        for part, models in (("test", metrics.test), ("valid", metrics.valid))
        for name in horizon_names(models)
    ]


def portfolio_tables(measured: PortfolioMetrics, cost_bps: float) -> list[Table]:
    """Return the simulated portfolios of the shown models after costs, one table per portfolio and horizon."""
    rows, cost = _shown(measured.test), f"{cost_bps:g}"
    return [
        Table(
            f"{title}, {name} horizon, test part, {cost} bps a side; {SIMULATED}",
            columns_of(NetPerformance, "net.") + columns_of(Portfolio, "portfolio."),
            [
                (model, SimpleNamespace(portfolio=of[portfolio][name], net=of[portfolio][name].costs[cost]))
                for model, of in rows
            ],
        )
        for portfolio, title in PORTFOLIOS.items()
        for name in next(iter(measured.test.values()), {}).get(portfolio, {})
    ]


def cost_table(measured: PortfolioMetrics, model: str = "model") -> list[Table]:
    """Return the model's long-short Sharpe ratio at every cost and horizon; nothing without the model."""
    horizons = measured.test.get(model, {}).get("long_short", {})
    costs = next(iter(horizons.values())).costs if horizons else {}
    rows = [(f"{cost} bps", {name: of.costs[cost] for name, of in horizons.items()}) for cost in costs]
    ratios = horizon_columns(horizons, lambda net: Estimate(net.sharpe_active, net.sharpe_active_ci), "+.2f")
    caption = f"Net Sharpe a year [95% interval] by cost a side, long-short {SIMULATED}"
    return [Table(caption, ratios, rows)] if rows else []


def fold_tables(found: WalkForward) -> list[Table]:
    """Return the rank IC of every fold of a walk-forward evaluation, one table per horizon."""

    def of(number: str) -> Callable[[ModelMetrics], Estimate | None]:
        return lambda cell: _rank_ic(cell.folds[number]) if number in cell.folds else None

    columns = [
        *(Column(f"{k}: {fold['split']['test'][0][:7]}", of(str(k)), "+.4f") for k, fold in enumerate(found.folds, 1)),
        Column("all folds", _rank_ic, "+.4f"),
    ]
    return [
        Table(
            f"Rank IC [95% interval] by test fold, {name} horizon",
            columns,
            [(model, of[name]) for model, of in _shown(found.test)],
        )
        for name in next(iter(found.test.values()), {})
    ]


def effect_tables(effect: GatEffect, variants: pd.DataFrame | None) -> list[Table]:
    """Return the controls, every kind of scores with the graph on and off, and all variants of the ablation."""
    controls = [
        Table(
            f"Rank IC of the controls: a graph without information, or none. {KINDS[kind]}",
            columns_of(ControlGain),
            rows,
        )
        for kind, gains in effect.kinds.items()
        if (
            rows := [
                (f"{control}, {name}", cells["rank_ic"])
                for control, horizons in gains.controls.items()
                for name, cells in horizons.items()
            ]
        )
    ]
    on_and_off = [
        gain_table(
            f"{KINDS[kind]}: {label} of single models with the graph network on and off",
            {name: cells[statistic] for name, cells in gains.horizons.items()},
            statistic,
        )
        for kind, gains in effect.kinds.items()
        for statistic, (label, _) in GAINS.items()
    ]
    if variants is None:
        return [*controls, *on_and_off]
    raw = variants[variants["scores"] == "raw"]
    every = [
        Table(f"All variants, {name} horizon", VARIANTS, [(str(row.variant), row) for row in rows.itertuples()], "on")
        for name, rows in raw.groupby("horizon", sort=False)
    ]
    return [*controls, *on_and_off, *every]


def gain_table(caption: str, gains: Mapping[str, GraphGain], statistic: str) -> Table:
    """Return a statistic with the graph network on and off at every horizon, beside its goal."""
    spec = GAINS[statistic][1]
    columns = [
        Column("verdict", "verdict"),
        Column("goal", "goal", "+.0%"),
        Column("relative", "relative", "+.0%"),
        Column("95% interval", "relative_ci95", "+.0%"),
        Column("difference", "diff", spec),
        Column("95% interval", "ci95", spec),
        Column("on", "on", spec),
        Column("off", "off", spec),
        Column("sessions to decide", "days_to_decide", ",d"),
    ]
    return Table(caption, columns, list(gains.items()))


def issue_tables(quality_report: Mapping[str, Any]) -> list[Table]:
    """Return what was wrong with the bars and what was done; nothing where nothing was counted."""
    columns = [
        Column("rows", lambda issue: issue["rows"], ",d"),
        Column("stocks", lambda issue: issue["codes"], ",d"),
        Column("what is done", lambda issue: issue["rule"]),
    ]
    issues = quality_report.get("issues", {}).items()
    rows = [(name.replace("_", " "), issue) for name, issue in issues if issue["rows"]]
    return [Table("Findings", columns, rows, of_results=False)] if rows else []


def _shown(models: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(short_name(model), models[model]) for model in shown_models(model_order(list(models)))]


def _rank_ic(cell: ModelMetrics) -> Estimate:
    return Estimate(cell.rank_ic, cell.rank_ic_ci)
