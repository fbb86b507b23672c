"""A random market of twelve stocks as the data stages leave it, and settings for two short folds."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.features import compute_features, feature_manifest
from gogooku_kedro.graph import build_edges
from gogooku_kedro.labels.target import make_labels
from gogooku_kedro.params import EvaluationParams, FeaturesParams, LabelsParams, WalkForwardParams
from gogooku_kedro.walk_forward.folds import walk_forward_splits
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import FoldResult, FoldSettings
from gogooku_kedro.walk_forward.walk_forward import walk_forward
from tests.backtest.small_market import rules
from tests.features.conftest import make_panel
from tests.graph.conftest import graph_params
from tests.model.conftest import model_params
from tests.training.conftest import training_params

FAMILIES = ("volume", "neighbours")
WARMUP = 125  # sessions before every feature of these families has a value
SESSIONS = 330
PURGE = 21  # 20 sessions and the entry at the next open


def features_params(**changes: Any) -> FeaturesParams:
    settings: dict[str, Any] = {
        "families": FAMILIES,
        "normalisation": "gaussian_rank",
        "normalisation_of": {},
        "sector_neutral": (),
        "clip": 8.0,
        "min_history": 20,
        "leak_cap": 0.5,
        "checks": {"on_failure": "drop", "constant_share": 0.05, "duplicate_correlation": 0.9999},
        "engine": "local",
        "scheduler": None,
        "workers": 1,
        "memory_mb": 64,
    }
    return FeaturesParams.model_validate(settings | changes)


def evaluation_params(**changes: Any) -> EvaluationParams:
    settings: dict[str, Any] = {
        "cost_bps": 10,
        "sessions_per_year": 245,
        "bootstrap_samples": 50,
        "factors": {"number": 2, "window": 60, "cadence": 20},
        "portfolio": rules().model_dump(),
        "monitoring": {"horizon": 5, "window": 60, "drift_window": 20, "false_alarm_rate": 0.05, "draws": 100},
        "blend": "valid",
        "trading": {"sessions": [5, 20], "decays": [0.0, 0.8], "costs_bps": [10, 20]},
        "seed": 0,
    }
    return EvaluationParams.model_validate(settings | changes)


def plan(**changes: Any) -> WalkForwardParams:
    settings: dict[str, Any] = {
        "scheme": "expanding",
        "folds": 2,
        "test_sessions": 30,
        "valid_sessions": 25,
        "train_sessions": None,
        "embargo_sessions": 0,
        "online_rate": None,
        "folder": "unused",
    }
    return WalkForwardParams.model_validate(settings | changes)


def history_of(panel: xr.Dataset) -> History:
    """Everything that the data stages compute from a panel."""
    labels = LabelsParams(
        entry="next_open",
        limit_entry="missing",
        delisting="missing",
        residual="none",
        residual_window=20,
        pca_factors=1,
        pca_cadence=10,
    )
    manifest = feature_manifest(
        panel, FAMILIES, normalisation="gaussian_rank", normalisation_of={}, sector_neutral=(), clip=8.0
    )
    return History(
        raw_features=compute_features(panel, FAMILIES),
        panel=panel,
        labels=make_labels(panel, HORIZONS, **labels.model_dump()),
        graph_edges=build_edges(panel, graph_params()),
        candidate_manifest=manifest,
    )


def another_future(panel: xr.Dataset, first: int) -> xr.Dataset:
    """The same market up to a session, and another one from session number `first` on."""
    other = make_panel(n_dates=panel.sizes["date"], seed=1)
    return xr.concat(
        [panel.isel(date=slice(None, first)), other.isel(date=slice(first, None))],
        "date",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
    )


def fold_settings(folder: Path, **changes: Any) -> FoldSettings:
    training = training_params(folder, max_epochs=1, chunk_days=16, seeds=[0, 1], refit="valid")
    gat = {"edge_attributes": ["correlation", "is_self"]}
    settings: dict[str, Any] = {
        "features": features_params(),
        "model": model_params(gat=gat),
        "training": training,
        "evaluation": evaluation_params(),
    }
    return FoldSettings(**({"online_rate": 0.001} | settings | changes))


@pytest.fixture(scope="package")
def history() -> History:
    return history_of(make_panel(n_dates=SESSIONS))


@pytest.fixture(scope="package")
def splits(history: History) -> list[dict[str, Any]]:
    return walk_forward_splits(
        history.panel["date"].values,
        plan(),
        purge_sessions=PURGE,
        warmup=WARMUP,
        max_horizon=20,
        entry="next_open",
    )


@pytest.fixture(scope="package")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("walk_forward")


@pytest.fixture(scope="package")
def results(history: History, splits: list[dict[str, Any]], root: Path) -> list[FoldResult]:
    """Both folds, finished below `root` once in this process: tests compare bits with what they train themselves."""
    return walk_forward(history, splits, fold_settings(root), root)
