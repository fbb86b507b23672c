"""What the graph network adds, with intervals and verdicts, and the table of all variants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gogooku_kedro.ablation.scores import ENSEMBLE, KINDS
from gogooku_kedro.columns import horizon_sessions
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.paired_seeds import SeedDifference, Statistic, days_to_decide, paired_seeds, seed_series

ON, OFF = "on", "off"
CONTROLS = ("identity", "permuted", "mean", "pca_neutral")
COLUMNS = ["variant", "fold", "scores", "seed", "horizon", "date", "rank_ic", "long_short_net"]
TABLE_COLUMNS = [
    *("variant", "scores", "horizon", "rank_ic", "rank_ic_se", "rank_ic_ensemble", "rank_icir", "sharpe_net"),
    *("rank_ic_less_on", "rank_ic_less_on_low", "rank_ic_less_on_high"),
    *("sharpe_net_less_on", "sharpe_net_less_on_low", "sharpe_net_less_on_high"),
    *("days", "n_parameters", "seconds"),
]
LEGEND = {
    "on, off": "statistic of a single model with and without the graph network, all seeds and days together",
    "ci95": "95% interval of diff, over days (in blocks) and seeds",
    "relative_ci95": "95% interval of relative = diff / |off|",
    "verdict": "met: relative_ci95 lies above goal; not met: below; else undecided",
    "days_to_decide": "test days on which a gain of goal * |off| (of |diff| with goal 0) is told from none: "
    "5%, two-sided, power 80%",
    "controls": "diff = control - off: what the network adds on a graph that is not the market's; "
    "on_less_control = on - control",
    "neutral": "the same for scores without the returns' principal components",
    "peer_neutral": "the same for scores in excess of the peers' on the graph, in every variant",
}


def statistics(sessions_per_year: float) -> dict[str, Statistic]:
    """Return what is compared, by its name in gat_effect.json."""
    return {
        "rank_ic": Statistic("rank_ic", "mean"),
        "rank_icir": Statistic("rank_ic", "ratio"),
        "sharpe_net": Statistic("long_short_net", "ratio", math.sqrt(sessions_per_year)),
    }


class VariantSeries:
    """Daily series of the variants of one ablation, paired where two of them are compared.

    Args:
        daily: Long table of `run_ablation`.
        sessions_per_year: For the Sharpe ratio.
        replications: Bootstrap draws.
        seed: Seed of the draws.
    """

    def __init__(self, daily: pd.DataFrame, sessions_per_year: float, replications: int = 1000, seed: int = 0) -> None:
        check_columns(daily, COLUMNS, "ablation_daily")
        self.statistics = statistics(sessions_per_year)
        self.replications, self.seed = replications, seed
        self.horizons = list(dict.fromkeys(daily["horizon"].astype(str)))
        self.variants = list(dict.fromkeys(daily["variant"].astype(str)))
        models = daily[daily["seed"] != ENSEMBLE]
        self._rows = {
            (str(variant), str(kind), str(horizon)): rows
            for (variant, kind, horizon), rows in models.groupby(["variant", "scores", "horizon"])
        }
        self.seeds = sorted({int(seed) for seed in models["seed"]})
        self.folds = int(models["fold"].nunique())

    def series(self, variant: str, kind: str, horizon: str, column: str) -> pd.DataFrame:
        """One daily series of a variant, (fold, date) by seed."""
        return seed_series(self._rows[variant, kind, horizon], column)

    def has(self, variant: str, kind: str) -> bool:
        """Whether a variant has scores of a kind."""
        return any((variant, kind, horizon) in self._rows for horizon in self.horizons)

    def compare(self, first: str, second: str, kind: str, horizon: str, name: str) -> SeedDifference:
        """Compare two variants by one of the `statistics`, on the same sessions."""
        statistic = self.statistics[name]
        return paired_seeds(
            self.series(first, kind, horizon, statistic.column),
            self.series(second, kind, horizon, statistic.column),
            statistic,
            horizon=horizon_sessions(horizon),
            replications=self.replications,
            seed=self.seed,
        )

    def standard_error(self, variant: str, kind: str, horizon: str) -> float:
        """Standard error of a variant's mean rank IC over sessions and seeds."""
        own = self.series(variant, kind, horizon, "rank_ic")
        nothing = own.iloc[:, :1] * 0.0
        sessions = horizon_sessions(horizon)
        found = paired_seeds(
            own,
            nothing,
            self.statistics["rank_ic"],
            horizon=sessions,
            replications=self.replications,
            seed=self.seed,
        )
        return found.standard_error


def gat_effect(series: VariantSeries, goals: Mapping[str, float]) -> dict[str, Any]:
    """Return gat_effect.json: the effect per horizon, the controls, seeds, folds and a legend.

    Args:
        series: The variants; `on` and `off` must be among them.
        goals: Gain of on over off by statistic, as a share of what off reaches.

    Raises:
        ValueError: `on` or `off` was not trained.
    """
    for variant in (ON, OFF):
        if variant not in series.variants:
            raise ValueError(f"the ablation has no variant {variant!r}, only {series.variants}; add it to ablation.run")
    return {
        **_effects(series, "raw", goals),
        "neutral": _effects(series, "pca_neutral", goals),
        "peer_neutral": _effects(series, "peer_neutral", goals),
        "seeds": series.seeds,
        "folds": series.folds,
        "legend": LEGEND,
    }


def variant_table(daily: pd.DataFrame, runs: pd.DataFrame, series: VariantSeries) -> pd.DataFrame:
    """Return one row per variant, kind of scores and horizon.

    Args:
        daily: Long table of `run_ablation`.
        runs: Its second table, one row per variant and fold.
        series: The variants of `daily`; `on` must be among them.

    Returns:
        `TABLE_COLUMNS`. rank_ic, rank_icir and sharpe_net are of single models, all seeds and sessions together, on
        the sessions that the variant shares with `on`; rank_ic_se is over sessions and seeds; rank_ic_ensemble is of
        the mean rank of all seeds. `…_less_on` = variant - on with the ends of its 95% interval. n_parameters
        is of one model, seconds of all folds and seeds; variants that share a training both name its seconds.
        NaN = not defined.
    """
    together = daily[daily["seed"] == ENSEMBLE].groupby(["variant", "scores", "horizon"])["rank_ic"].mean()
    costs = runs.groupby("variant").agg(n_parameters=("n_parameters", "max"), seconds=("seconds", "sum"))
    rows = [
        _table_row(series, variant, kind, horizon)
        | {"rank_ic_ensemble": together.get((variant, kind, horizon))}
        | costs.loc[variant].to_dict()
        for kind in KINDS
        for variant in series.variants
        for horizon in series.horizons
        if series.has(variant, kind)
    ]
    return pd.DataFrame(rows)[TABLE_COLUMNS].astype({"n_parameters": "int64"})


def verdict(relative_interval: Sequence[float], goal: float) -> str:
    """Return "met" or "not met" when the whole interval is above or below the goal, else "undecided"."""
    low, high = relative_interval
    if low > goal:
        return "met"
    return "not met" if high < goal else "undecided"


def _effects(series: VariantSeries, kind: str, goals: Mapping[str, float]) -> dict[str, Any]:
    found: dict[str, Any] = {
        horizon: {name: _effect(series.compare(ON, OFF, kind, horizon, name), goals[name]) for name in goals}
        for horizon in series.horizons
    }
    found["controls"] = {
        control: {
            horizon: {name: _control(series, control, kind, horizon, name) for name in goals}
            for horizon in series.horizons
        }
        for control in CONTROLS
        if series.has(control, kind) and (kind == "raw" or control != "pca_neutral")
    }
    return found


def _effect(found: SeedDifference, goal: float) -> dict[str, Any]:
    delta = goal * abs(found.second) if goal else abs(found.difference)
    return {
        "on": number(found.first),
        "off": number(found.second),
        "diff": number(found.difference),
        "relative": number(found.relative),
        "ci95": [number(end) for end in found.interval],
        "relative_ci95": [number(end) for end in found.relative_interval],
        "goal": goal,
        "verdict": verdict(found.relative_interval, goal),
        "days": found.days,
        "days_to_decide": days_to_decide(found.day_deviation, delta),
    }


def _control(series: VariantSeries, control: str, kind: str, horizon: str, name: str) -> dict[str, Any]:
    less_off = series.compare(control, OFF, kind, horizon, name)
    on_less = series.compare(ON, control, kind, horizon, name)
    return {
        "diff": number(less_off.difference),
        "ci95": [number(end) for end in less_off.interval],
        "on_less_control": number(on_less.difference),
        "on_less_control_ci95": [number(end) for end in on_less.interval],
    }


def _table_row(series: VariantSeries, variant: str, kind: str, horizon: str) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant, "scores": kind, "horizon": horizon}
    for name in series.statistics:
        found = series.compare(variant, ON, kind, horizon, name)
        low, high = found.interval
        row |= {name: found.first, f"{name}_less_on": found.difference}
        row |= {f"{name}_less_on_low": low, f"{name}_less_on_high": high}
        if name == "rank_ic":
            row |= {"rank_ic_se": series.standard_error(variant, kind, horizon), "days": found.days}
    return row
