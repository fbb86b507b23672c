"""A registry with models of drawn weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.tracking import fluent

from gogooku_kedro.champion.registry import Registry, Version, facts_of
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.tracking import prepare_database
from gogooku_kedro.training import Ensemble, SeedModel
from tests.model.conftest import model_params

HASH = "ab" * 16


def drawn(seed: int, params: ModelParams | None = None, feature_hash: str = HASH, sizes=(6, 5, 0)) -> Ensemble:
    """A model that was not trained."""
    params = params or model_params()
    torch.manual_seed(seed)
    network = ATFTGATFAN(params, *sizes).eval()
    facts = {"seed": seed, "device": "cpu", "n_parameters": network.n_parameters(), "seconds": 0.0}
    return Ensemble((SeedModel.from_model(network, params, sizes, feature_hash, facts),))


def enrol(registry: Registry, ensemble: Ensemble, unseen_from: str = "2020-10-01") -> Version:
    """Register a model as a run does at its end."""
    with mlflow.start_run():
        return registry.register(ensemble, facts_of(ensemble, {"test": [unseen_from, "2021-01-04"]}, "bars.parquet"))


@contextmanager
def tracked_in(uri: str, artifacts: Path) -> Iterator[None]:
    """Track in an experiment of its own; what MLflow remembers for the process is put back."""
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fluent, "_active_experiment_id", None)
        patched.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
        mlflow.set_tracking_uri(uri)
        if not mlflow.get_experiment_by_name("tests"):
            mlflow.create_experiment("tests", artifact_location=str(artifacts))
        mlflow.set_experiment("tests")
        try:
            yield
        finally:
            os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
            mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> Iterator[str]:
    """A tracking database; its tests tell one another apart by the name of their model."""
    folder = Path(tmp_path_factory.mktemp("registry"))
    at = f"sqlite:///{folder / 'mlflow.db'}"
    prepare_database(at)
    with tracked_in(at, folder / "files"):
        yield at
