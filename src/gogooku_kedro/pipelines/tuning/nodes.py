"""Settings are tried on folds of the training part; what was found is shown, and the best becomes an environment.

What imports torch or Optuna is imported inside the functions, so that other commands start in seconds.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.params import (
    FeaturesParams,
    GraphParams,
    LabelsParams,
    ModelParams,
    SplitParams,
    TrainingParams,
    TuningParams,
)
from gogooku_kedro.walk_forward.folds import plan_folds
from gogooku_kedro.walk_forward.refit import History


def split_trials(
    panel: xr.Dataset,
    candidate_manifest: dict[str, Any],
    split: dict[str, Any],
    params: TuningParams,
    purge: SplitParams,
    labels: LabelsParams,
    graph: GraphParams,
    model: ModelParams,
) -> list[dict[str, Any]]:
    """Split the training part into the folds that trials are measured on, for the longest window among them."""
    dates = panel["date"].sel(date=slice(None, split["train"][1])).to_numpy()
    windows = params.spaces[params.space]
    longest = max([model.window, *map(int, windows.choices.get("model.window", ()))])  # type: ignore[arg-type]
    if "model.window" in windows.ranges:
        longest = max(longest, int(windows.ranges["model.window"].high))
    try:
        return plan_folds(dates, candidate_manifest, params.walk_forward, purge, labels, graph, longest)
    except ValueError as error:
        raise ValueError(f"tuning.{error}; the folds lie in the training part, up to split.train_end") from error


def make_tuning_settings(
    params: TuningParams, features: FeaturesParams, model: ModelParams, training: TrainingParams
) -> Any:
    """Gather the settings that trials have in common; see that the best may be written where it is to be."""
    from gogooku_kedro.tuning.environment import check_target
    from gogooku_kedro.tuning.search import Search
    from gogooku_kedro.tuning.space import tuned_base

    if params.export_to is not None:
        check_target(Path(params.export_to))
    return Search(params, tuned_base(params, model, training), features, ())


def train_trials(
    raw_features: xr.Dataset,
    panel: xr.Dataset,
    labels: xr.Dataset,
    graph_edges: pd.DataFrame,
    candidate_manifest: dict[str, Any],
    tuning_splits: list[dict[str, Any]],
    settings: Any,
    quality_report: dict[str, Any],
) -> dict[str, Any]:
    """Run the trials that the study lacks; return those it has, and how many this data has seen in all."""
    from dataclasses import replace

    from gogooku_kedro.tuning.folds import FoldScores
    from gogooku_kedro.tuning.search import run_trials
    from gogooku_kedro.tuning.store import StudyStore, identify, trial_rows

    params, features = settings.params, settings.features
    history = History(raw_features, panel, labels, graph_edges, candidate_manifest)
    folder = Path(params.walk_forward.folder)
    raw = quality_report["data_hash"]
    identity = identify(history, tuning_splits, settings.base, features, params, raw)
    store = StudyStore(folder, params.study, identity)
    run_trials(store, replace(settings, splits=tuning_splits), FoldScores(history, tuning_splits, features, folder))
    return {"study": store.study.study_name, "counted": store.counted(), "trials": trial_rows(store)}


def summarise_trials(
    tuning_trials: dict[str, Any],
    tuning_splits: list[dict[str, Any]],
    run_record: dict[str, Any],
    quality_report: dict[str, Any],
    params: TuningParams,
) -> dict[str, Any]:
    """Say which trial is the best, what matters, and how many trials count against a Sharpe ratio on this data."""
    from gogooku_kedro.tuning.summary import summarise

    run = {name: run_record[name] for name in ("git_sha", "config_hash", "environment", "preset", "stale")}
    plan = {"study": tuning_trials["study"], "objective": params.objective, "space": params.space}
    space = params.spaces[params.space]
    plan |= {"sampler": space.sampler, "seeds": list(params.seeds), "folds": tuning_splits}
    found = summarise(tuning_trials["trials"], tuning_trials["counted"], space)
    return {"run": run | {"data_hash": quality_report["data_hash"]}} | plan | found


def write_tuning_page(tuning_trials: dict[str, Any], tuning_study: dict[str, Any], params: TuningParams) -> str:
    """Write one HTML page that opens offline: history, importance, contour and every trial."""
    from gogooku_kedro.report.tuning import render_tuning

    return render_tuning(tuning_trials["trials"], tuning_study, params.spaces[params.space], params.export_to)


def write_tuned_settings(
    tuning_study: dict[str, Any], params: TuningParams, model: ModelParams, training: TrainingParams
) -> str:
    """Write the best trial as an environment, where `tuning.export_to` says; return its parameters."""
    from gogooku_kedro.tuning.environment import tuned_parameters

    return tuned_parameters(tuning_study, params, model, training)
