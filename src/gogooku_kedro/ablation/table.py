"""One row per variant and horizon: how good it is, and how far from the model as it is configured."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gogooku_kedro.ablation.gat_effect import ON, VariantSeries
from gogooku_kedro.ablation.scores import ENSEMBLE, KINDS

COLUMNS = [
    "variant",
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


def variant_table(daily: pd.DataFrame, runs: pd.DataFrame, series: VariantSeries) -> pd.DataFrame:
    """Return one row per variant, kind of scores and horizon.

    Args:
        daily: Long table of `run_ablation`.
        runs: Its second table, one row per variant and fold.
        series: The variants of `daily`; `on` must be among them.

    Returns:
        `COLUMNS`. rank_ic, rank_icir and sharpe_net are of single models, all seeds and days together, on
        the days that the variant shares with `on`; rank_ic_se is over days and seeds; rank_ic_ensemble is of
        the mean rank of all seeds. `…_less_on` = variant - on with the ends of its 95% interval. n_parameters
        is of one model, seconds of all folds and seeds; variants that share a training both name its seconds.
        NaN = not defined.
    """
    together = daily[daily["seed"] == ENSEMBLE].groupby(["variant", "scores", "horizon"])["rank_ic"].mean()
    costs = runs.groupby("variant").agg(n_parameters=("n_parameters", "max"), seconds=("seconds", "sum"))
    rows = [
        _row(series, variant, kind, horizon)
        | {"rank_ic_ensemble": together.get((variant, kind, horizon))}
        | costs.loc[variant].to_dict()
        for kind in KINDS
        for variant in series.variants
        for horizon in series.horizons
        if series.has(variant, kind)
    ]
    return pd.DataFrame(rows)[COLUMNS].astype({"n_parameters": "int64"})


def _row(series: VariantSeries, variant: str, kind: str, horizon: str) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant, "scores": kind, "horizon": horizon}
    for name in series.statistics:
        found = series.compare(variant, ON, kind, horizon, name)
        low, high = found.interval
        row |= {name: found.first, f"{name}_less_on": found.difference}
        row |= {f"{name}_less_on_low": low, f"{name}_less_on_high": high}
        if name == "rank_ic":
            row |= {"rank_ic_se": series.standard_error(variant, kind, horizon), "days": found.days}
    return row
