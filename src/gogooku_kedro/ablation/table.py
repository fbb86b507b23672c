"""One row per arm and horizon: how good it is, and how far from the model as it is configured."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gogooku_kedro.ablation.gat_effect import ON, ArmSeries
from gogooku_kedro.ablation.scores import ENSEMBLE, KINDS

COLUMNS = [
    "arm",
    "scores",
    "horizon",
    "rank_ic",
    "rank_ic_se",
    "rank_ic_ensemble",
    "rank_icir",
    "sharpe_net",
    "rank_ic_less_on",
    "rank_ic_less_on_low",
    "rank_ic_less_on_high",
    "sharpe_net_less_on",
    "sharpe_net_less_on_low",
    "sharpe_net_less_on_high",
    "days",
    "n_parameters",
    "seconds",
]


def arm_table(daily: pd.DataFrame, runs: pd.DataFrame, series: ArmSeries) -> pd.DataFrame:
    """Return one row per arm, kind of scores and horizon.

    Args:
        daily: Long table of `run_ablation`.
        runs: Its second table, one row per arm and fold.
        series: The arms of `daily`; `on` must be among them.

    Returns:
        `COLUMNS`. rank_ic, rank_icir and sharpe_net are of single models, all seeds and days together, on
        the days that the arm shares with `on`; rank_ic_se is over days and seeds; rank_ic_ensemble is of
        the mean rank of all seeds. `…_less_on` = arm - on with the ends of its 95% interval. n_parameters
        is of one model, seconds of all folds and seeds; arms that share a training both name its seconds.
        NaN = not defined.
    """
    together = daily[daily["seed"] == ENSEMBLE].groupby(["arm", "scores", "horizon"])["rank_ic"].mean()
    costs = runs.groupby("arm").agg(n_parameters=("n_parameters", "max"), seconds=("seconds", "sum"))
    rows = [
        _row(series, arm, kind, horizon)
        | {"rank_ic_ensemble": together.get((arm, kind, horizon))}
        | costs.loc[arm].to_dict()
        for kind in KINDS
        for arm in series.arms
        for horizon in series.horizons
        if series.has(arm, kind)
    ]
    return pd.DataFrame(rows)[COLUMNS].astype({"n_parameters": "int64"})


def _row(series: ArmSeries, arm: str, kind: str, horizon: str) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm, "scores": kind, "horizon": horizon}
    for name in series.statistics:
        found = series.compare(arm, ON, kind, horizon, name)
        low, high = found.interval
        row |= {name: found.first, f"{name}_less_on": found.difference}
        row |= {f"{name}_less_on_low": low, f"{name}_less_on_high": high}
        if name == "rank_ic":
            row |= {"rank_ic_se": series.standard_error(arm, kind, horizon), "days": found.days}
    return row
