"""What a study found: its best trial, how much each setting matters, and how many trials count as luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pandas as pd

from gogooku_kedro.params import SpaceParams
from gogooku_kedro.tuning.space import distributions

STATISTICS = ("rank_ic", "rank_icir")
MIN_FINISHED = 4
"""Finished trials below which no importance is computed."""


def summarise(trials: Sequence[Mapping[str, Any]], counted: int, space: SpaceParams) -> dict[str, Any]:
    """Return what a study found, JSON-ready.

    Args:
        trials: From `store.trial_rows`.
        counted: Trials that ended on this data, in all studies.
        space: What they chose from.

    Returns:
        `trials`: how many finished, were pruned or diverged, and how many are counted; `best`: trial, value, settings,
        and means over folds by horizon, None where no trial finished; `importance`: share of the variance of the
        value by setting (fANOVA, Hutter et al., 2014), empty with fewer than `MIN_FINISHED` finished trials.
    """
    states = [trial["state"] for trial in trials]
    numbers = {state: states.count(state) for state in ("finished", "pruned", "diverged")}
    finished = [trial for trial in trials if trial["state"] == "finished"]
    best = max(finished, key=lambda trial: trial["value"], default=None)
    found = None
    if best is not None:
        found = {name: best[name] for name in ("trial", "value", "settings")}
        found |= {name: _means(best["folds"], name) for name in STATISTICS}
    return {"trials": numbers | {"counted": counted}, "best": found, "importance": importance(trials, space)}


def importance(trials: Sequence[Mapping[str, Any]], space: SpaceParams) -> dict[str, float]:
    """Return the share of every setting that varies in the variance of the value, the largest first."""
    study = rebuilt(trials, space)
    values = [trial.value for trial in study.trials]
    if len(values) < MIN_FINISHED or len(set(values)) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varying(trials))
    return {name: round(float(share), 4) for name, share in shares.items()}


def varying(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that have more than one value among the finished trials."""
    finished = [trial["settings"] for trial in trials if trial["state"] == "finished"]
    names = finished[0] if finished else {}
    return [name for name in names if len({repr(each[name]) for each in finished}) > 1]


def rebuilt(trials: Sequence[Mapping[str, Any]], space: SpaceParams) -> optuna.Study:
    """Return the finished trials as a study of Optuna, in memory."""
    study, of = optuna.create_study(direction="maximize"), distributions(space)
    for trial in (trial for trial in trials if trial["state"] == "finished"):
        study.add_trial(
            optuna.trial.create_trial(params=trial["settings"], distributions=of, value=float(trial["value"]))
        )
    return study


def trial_table(trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per trial: trial, state, value, folds, seconds, rank_ic_<h>d over its folds, and its settings."""
    rows = []
    for trial in trials:
        folds = trial["folds"]
        row = {name: trial[name] for name in ("trial", "state", "value")}
        row |= {"folds": len(folds), "seconds": round(sum(fold["seconds"] for fold in folds), 1)}
        row |= {f"rank_ic_{horizon}": mean for horizon, mean in _means(folds, "rank_ic").items()}
        rows.append(row | trial["settings"])
    return pd.DataFrame(rows)


def _means(folds: Sequence[Mapping[str, Any]], statistic: str) -> dict[str, float | None]:
    """Means over folds by horizon; None where no fold has a number."""
    table = pd.DataFrame([fold[statistic] for fold in folds], dtype=float)
    return {str(name): None if pd.isna(mean) else float(mean) for name, mean in table.mean().items()}
